"""Kernels of radial basis functions, as functions of u = r^2, the squared distance in widths."""

import jax
import jax.numpy as jnp


def gaussian_kernel(u: jax.Array) -> jax.Array:
    """The Gaussian kernel: exp(-u / 2) = exp(-r^2 / 2).

    Args:
      u: floats [...], squared distances r^2 in widths.

    Returns:
      [...] of u's dtype, from 0 to 1.

    Raises:
      TypeError: if u is not an array.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.rbf.gaussian_kernel(jnp.array(2.0)):.4f}"
    '0.3679'
    """
    return jnp.exp(-u / 2)


def multiquadric_kernel(u: jax.Array) -> jax.Array:
    """The multiquadric kernel, which grows with the distance: sqrt(1 + u) = sqrt(1 + r^2).

    Args:
      u: floats [...], squared distances r^2 in widths.

    Returns:
      [...] of u's dtype, at least 1.

    Raises:
      TypeError: if u is not an array.

    (Hardy, 1971.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.multiquadric_kernel(jnp.array([0.0, 3.0])).tolist()
    [1.0, 2.0]
    """
    return jnp.sqrt(1 + u)


def inverse_multiquadric_kernel(u: jax.Array) -> jax.Array:
    """The inverse multiquadric kernel: 1 / sqrt(1 + u) = 1 / sqrt(1 + r^2).

    Args:
      u: floats [...], squared distances r^2 in widths.

    Returns:
      [...] of u's dtype, from 0 to 1.

    Raises:
      TypeError: if u is not an array.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.inverse_multiquadric_kernel(jnp.array([0.0, 3.0])).tolist()
    [1.0, 0.5]
    """
    return 1 / jnp.sqrt(1 + u)


def thin_plate_kernel(u: jax.Array) -> jax.Array:
    """The thin plate spline, the surface of a bent plate: u log(u) / 2 = r^2 log r, and 0 at 0.

    Args:
      u: floats [...], squared distances r^2 in widths.

    Returns:
      [...] of u's dtype, negative for r between 0 and 1.

    Raises:
      TypeError: if u is not an array.

    (Duchon, 1977.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.thin_plate_kernel(jnp.array([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    positive = u > 0
    return jnp.where(positive, u * jnp.log(jnp.where(positive, u, jnp.ones_like(u))) / 2, 0)
