"""Neighborhood functions: how strongly a unit learns at a distance from the best-matching unit."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def gaussian_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """A Gaussian of the distance: h(d) = exp(-d^2 / (2 radius^2)).

    Args:
      d: floats [...], distances on the grid in columns.
      radius: a positive number, the standard deviation in columns.

    Returns:
      Floats [...], from 0 to 1.

    Raises:
      TypeError: if d is not an array, or radius is neither an array nor a number.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.som.gaussian_neighbourhood(jnp.array(2.0), 1.0):.4f}"
    '0.1353'
    """
    return jnp.exp(-jnp.square(d / radius) / 2)


def bubble_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """A step function of the distance: h(d) = 1 if d <= radius, else 0.

    Args:
      d: floats [...], distances on the grid in columns.
      radius: a positive number, in columns.

    Returns:
      [...] of d's dtype, 0 or 1.

    Raises:
      TypeError: if d is not an array, or radius is neither an array nor a number.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.bubble_neighbourhood(jnp.array([0.0, 1.0, 2.0]), 1.0).tolist()
    [1.0, 1.0, 0.0]
    """
    return (d <= radius).astype(d.dtype)


def mexican_hat_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """A Mexican hat, negative beyond the radius: units there are pushed away from the data.

    h(d) = (1 - d^2 / radius^2) exp(-d^2 / (2 radius^2))

    Args:
      d: floats [...], distances on the grid in columns.
      radius: a positive number, in columns.

    Returns:
      Floats [...], at most 1.

    Raises:
      TypeError: if d is not an array, or radius is neither an array nor a number.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.som.mexican_hat_neighbourhood(jnp.array(2.0), 1.0):.4f}"
    '-0.4060'
    """
    u = jnp.square(d / radius)
    return (1 - u) * jnp.exp(-u / 2)


def triangle_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """A linear decrease to zero at the radius: h(d) = max(1 - d / radius, 0).

    Args:
      d: floats [...], distances on the grid in columns.
      radius: a positive number, in columns.

    Returns:
      Floats [...], from 0 to 1.

    Raises:
      TypeError: if d is not an array, or radius is neither an array nor a number.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.triangle_neighbourhood(jnp.array([0.0, 1.0, 3.0]), 2.0).tolist()
    [1.0, 0.5, 0.0]
    """
    return jnp.maximum(1 - d / radius, jnp.zeros_like(d))
