"""Distances of vectors from a set of others, exact where the data lie.

|x - c|^2 is summed from differences. By products, |x|^2 - 2 x c + |c|^2, it would take a third of
the time where there are many features, and be wrong wherever the vectors lie in groups farther
apart than they lie from each other within a group: what is left of large numbers is rounding.
"""

import jax
import jax.numpy as jnp

from jaxnn import core

FEW = 8  # features up to which sums of differences are faster than products
CLEAR = (
    100  # squared lengths over the squared distance of the nearest, up to which products are right
)


def squared_distances(x: jax.Array, centres: jax.Array) -> jax.Array:
    """|x - c|^2 of every x and every one of the centres.

    Half precision is computed in float32. Nothing of the size [..., centres, features] is kept.

    Args:
      x: floats [..., features].
      centres: floats [centres, features].

    Returns:
      [..., centres] in the wider dtype of the two, float32 at least.

    Raises:
      TypeError: where x or the centres are not floating point.
      ValueError: where their numbers of features differ.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.squared_distances(jnp.array([[10001.0]]), jnp.array([[10000.0], [10003.0]])).tolist()
    [[1.0, 4.0]]
    """
    title = "squared_distances"
    wide = core.features(x, title).shape[-1:]
    if core.features(centres, title).ndim != 2 or centres.shape[1:] != wide:
        raise ValueError(
            f"{title} takes x [..., features] and centres [centres, features], got "
            f"{core.describe(x)} and {core.describe(centres)}."
        )
    x, centres = core.at_least_float32((x, centres))
    rows, shape = x.reshape(-1, x.shape[-1]), (*x.shape[:-1], len(centres))
    if centres.shape[1] > FEW:
        return _many_features(rows, centres).reshape(shape)
    columns = [(rows[:, i], centres[:, i]) for i in range(centres.shape[1])]
    total = sum(jnp.square(x[:, None] - c[None]) for x, c in columns)
    return jnp.reshape(total, shape)


@jax.custom_vjp
def _many_features(x: jax.Array, centres: jax.Array) -> jax.Array:
    """The distances of x [rows, features]."""
    return jnp.square(x[:, None] - centres[None]).sum(axis=-1)


def _forward(x, centres):
    return _many_features(x, centres), (x, centres)


def _backward(kept, pull):
    # 2 sum_k g_k (x - c_k) by products, as differences would take the memory of them all; both seen
    # from the mean of the centres, so that data far from zero lose nothing.
    mean = kept[1].mean(axis=0)[None]
    x, centres = (each - mean for each in kept)
    by_x = x * pull.sum(axis=1)[:, None] - jnp.matmul(pull, centres, precision="highest")
    by_centres = centres * pull.sum(axis=0)[:, None] - jnp.matmul(pull.T, x, precision="highest")
    return 2 * by_x, 2 * by_centres


_many_features.defvjp(_forward, _backward)


def nearest(x: jax.Array, centres: jax.Array) -> jax.Array:
    """The index of the centre nearest to each x, the first of several that are equally near.

    Args:
      x, centres: as in `squared_distances`.

    Returns:
      int32 [...].

    >>> import jax.numpy as jnp
    >>> nearest(jnp.array([[1.0], [8.0]]), jnp.array([[0.0], [9.0]])).tolist()
    [0, 1]
    """
    return jnp.argmin(squared_distances(x, centres), axis=-1).astype(jnp.int32)


def root(squares: jax.Array) -> jax.Array:
    """The square root, whose gradient at 0 is 0 in place of infinity."""
    zero = squares == 0
    return jnp.where(zero, jnp.zeros_like(squares), jnp.sqrt(jnp.where(zero, 1, squares)))
