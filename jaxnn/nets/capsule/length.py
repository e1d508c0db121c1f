"""The length of a capsule, which is the probability that its entity is present, and `squash`."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.layers.distance import root


def capsule_lengths(x: jax.Array) -> jax.Array:
    """The length of each capsule: sqrt(sum_d x_d^2).

    The gradient at a capsule of zeros, where it is undefined, is zero.

    Args:
      x: floats [..., dimension].

    Returns:
      [...] of x's dtype.

    Raises:
      TypeError: if x is not floating point.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.capsule.capsule_lengths(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    return _length(core.check_features(x, "capsule_lengths")).astype(x.dtype)


def squash(x: jax.Array) -> jax.Array:
    """Scale capsules to lengths below 1, without changing their directions.

    y = |x|^2 / (1 + |x|^2) x / |x|

    A capsule of zeros stays zero and has a gradient of zero.

    Args:
      x: floats [..., dimension].

    Returns:
      [..., dimension] of x's dtype.

    Raises:
      TypeError: if x is not floating point.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017, equation 1.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.capsule.squash(jnp.array([0.0, 1.0])).tolist()
    [0.0, 0.5]
    """
    length = _length(core.check_features(x, "squash"))
    # Equal to length / (1 + length^2), but finite where the square overflows.
    factor = 1 / (length + 1 / jnp.where(length == 0, 1, length))
    factor = jnp.where(length == 0, 0, factor)
    return (x.astype(factor.dtype) * factor[..., None]).astype(x.dtype)


def check_capsules(x: Any, title: str) -> Any:
    """`x`; raises ValueError unless it is [batch, capsules, dimension]."""
    if core.check_features(x, title).ndim != 3:
        raise ValueError(
            f"{title} takes capsules [batch, capsules, dimension], got {core.describe(x)}: reshape "
            "it, or put primary_capsules before it."
        )
    return x


def _length(x: jax.Array) -> jax.Array:
    """The length in float32 at least, in which squares of half precision do not overflow."""
    x = core.at_least_float32(x)
    # Divided by the largest entry, since the squares of x itself may over- or underflow.
    largest = jax.lax.stop_gradient(jnp.abs(x).max(axis=-1, keepdims=True))
    largest = jnp.where(largest > 0, largest, 1)
    return largest[..., 0] * root(jnp.sum(jnp.square(x / largest), axis=-1))
