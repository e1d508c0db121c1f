"""Distances of vectors to a set of centers, accurate wherever the data are.

Differences are squared and summed. The expansion |x|^2 - 2 x c + |c|^2 is faster with many
features, but inaccurate if the vectors are farther from zero, or in groups farther apart, than from
each other: only rounding errors remain of large numbers. If only the nearest center is wanted, the
expansion selects a few candidates, by a bound on its rounding, and differences decide among them.
"""

import math
from functools import partial, reduce

import jax
import jax.numpy as jnp

from jaxnn import core

FEW = 8  # features up to which a sum of terms is faster than a reduction
LIKELY = 3  # candidates of a row that differences are computed for


def squared_distances(x: jax.Array, centres: jax.Array) -> jax.Array:
    """The squared distance |x - c|^2 of every x to every center.

    Half precision is computed in float32. Nothing of size [..., centers, features] is stored.
    Squares in float32 overflow for differences of 1.8e19 and more, and are 0 below 1e-19.

    Args:
      x: floats [..., features].
      centres: floats [centers, features].

    Returns:
      [..., centers] in the wider dtype of the two, float32 at least.

    Raises:
      TypeError: if x or the centers are not floating point.
      ValueError: if their numbers of features differ, or if there are no centers.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.squared_distances(jnp.array([[10001.0]]), jnp.array([[10000.0], [10003.0]])).tolist()
    [[1.0, 4.0]]
    """
    rows, centres = _fitting(x, centres, "squared_distances")
    return _direct(rows, centres).reshape(*x.shape[:-1], centres.shape[0])


def nearest(x: jax.Array, centres: jax.Array) -> jax.Array:
    """The index of the center nearest to each x; on ties, the first.

    It is accurate at every scale of x and centers, which are multiplied by one power of two.

    Args:
      x: floats [..., features].
      centres: floats [centers, features].

    Returns:
      int32 [...].

    Raises:
      TypeError: if x or the centers are not floating point.
      ValueError: if their numbers of features differ, or if there are no centers.

    >>> import jax.numpy as jnp
    >>> nearest(jnp.array([[1.0], [8.0]]), jnp.array([[0.0], [9.0]])).tolist()
    [0, 1]
    """
    rows, centres = _fitting(x, centres, "nearest")
    return _nearest(rows, centres).reshape(x.shape[:-1])


def nearest_known(rows: jax.Array, centres: jax.Array) -> jax.Array:
    """`nearest`, int32 [rows], by the features of each row that are not NaN."""
    rows, centres = _fitting(rows, centres, "nearest_known")
    return _nearest(rows, centres, ~jnp.isnan(rows))


def root(squares: jax.Array) -> jax.Array:
    """The square root, with gradient 0 instead of infinity at 0."""
    zero = squares == 0
    return jnp.where(zero, jnp.zeros_like(squares), jnp.sqrt(jnp.where(zero, 1, squares)))


def power_of_two(*arrays: jax.Array) -> jax.Array:
    """A power of two close to the largest magnitude in the arrays, 1 if they are zero.

    Multiplying by it, or by its inverse, does not round. NaN and infinities are ignored.
    """
    known = (jnp.where(jnp.isfinite(each), jnp.abs(each), 0) for each in arrays)
    largest = jax.lax.stop_gradient(reduce(jnp.maximum, (each.max(initial=0) for each in known)))
    exponent = jnp.frexp(jnp.where(largest > 0, largest, 1))[1]
    # The inverse must be finite and not subnormal as well.
    span = -jnp.finfo(largest.dtype).minexp - 2
    return jnp.ldexp(jnp.ones_like(largest), jnp.clip(exponent, -span, span))


def _fitting(x, centres, title: str):
    """x as rows and the centers, in one dtype, float32 at least; raises if their widths differ."""
    wide = core.check_features(x, title).shape[-1:]
    if core.check_features(centres, title).ndim != 2 or centres.shape[1:] != wide:
        raise ValueError(
            f"{title} takes x [..., features] and centres [centres, features], got "
            f"{core.describe(x)} and {core.describe(centres)}."
        )
    if not centres.shape[0]:
        raise ValueError(f"{title}: there are no centres, got {core.describe(centres)}.")
    x, centres = core.at_least_float32((jnp.asarray(x), jnp.asarray(centres)))
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), centres


@jax.jit  # since outside jit [rows, centers, features] would be made
def _direct(rows, centres, known=None):
    """|x - c|^2, [rows, centers], over the known features."""
    if centres.shape[1] <= FEW:
        total = jnp.zeros((rows.shape[0], centres.shape[0]), rows.dtype)
        for i in range(centres.shape[1]):
            square = jnp.square(rows[:, i, None] - centres[None, :, i])
            total = total + (square if known is None else jnp.where(known[:, i, None], square, 0))
        return total
    if known is None:
        return _many_features(rows, centres)
    return jnp.where(known[:, None], jnp.square(rows[:, None] - centres[None]), 0).sum(axis=-1)


@jax.custom_jvp
def _many_features(x, centres):
    return jnp.square(x[:, None] - centres[None]).sum(axis=-1)


@_many_features.defjvp
def _along(primals, tangents):
    # 2 (x - c) (dx - dc) by matmuls, since differences would need memory for all of them; relative
    # to the mean of the centers, so that data far from zero lose no precision.
    mean = primals[1].mean(axis=0)
    x, centres = (each - mean for each in primals)
    by_x, by_centres = tangents
    dot = partial(jnp.matmul, precision="highest")
    along = (x * by_x).sum(axis=1)[:, None] + (centres * by_centres).sum(axis=1)[None]
    return _many_features(*primals), 2 * (along - dot(by_x, centres.T) - dot(x, by_centres.T))


@jax.jit
def _nearest(rows, centres, known=None):
    rows, centres = jax.lax.stop_gradient((rows, centres))
    unit = 1 / power_of_two(rows, centres)
    rows, centres = rows * unit, centres * unit
    if centres.shape[1] <= FEW or centres.shape[0] <= LIKELY:
        return jnp.argmin(_direct(rows, centres, known), axis=1).astype(jnp.int32)
    # Relative to the mean of the centers, since rounding grows with the size of the factors.
    middle = centres.mean(axis=0)
    x, c = rows - middle, centres - middle
    dot = partial(jnp.matmul, precision="highest")
    if known is None:
        sizes = jnp.square(c).sum(axis=1)[None]
    else:
        x = jnp.where(known, x, 0)
        sizes = dot(known.astype(c.dtype), jnp.square(c).T)
    apart = sizes - 2 * dot(x, c.T)
    # Rounding errors of a sum of n terms add up to about sqrt(n) eps of their sizes, of which this
    # is eight standard deviations (Higham and Mary, A new approach to probabilistic rounding error
    # analysis, 2019).
    slack = 4 * math.sqrt(c.shape[1]) * jnp.finfo(c.dtype).eps
    slack = slack * jnp.square(_norm(x)[:, None] + _norm(c).max())
    near = ~(apart > apart.min(axis=1, keepdims=True) + 2 * slack)  # NaN is near

    def by_few(near):
        index = jnp.zeros(rows.shape[0], jnp.int32)
        smallest = jnp.full(rows.shape[0], jnp.inf, rows.dtype)
        for _ in range(LIKELY):
            chosen = jnp.argmax(near, axis=1).astype(jnp.int32)  # the first remaining candidate
            square = jnp.square(rows - centres[chosen])
            if known is not None:
                square = jnp.where(known, square, 0)
            square = jnp.where(near.any(axis=1), square.sum(axis=1), jnp.inf)
            near = near & (jnp.arange(near.shape[1]) != chosen[:, None])
            index = jnp.where(square < smallest, chosen, index)
            smallest = jnp.minimum(square, smallest)
        return index

    def by_all(near):
        return jnp.argmin(_direct(rows, centres, known), axis=1).astype(jnp.int32)

    return jax.lax.cond((near.sum(axis=1) > LIKELY).any(), by_all, by_few, near)


def _norm(x):
    return jnp.sqrt(jnp.square(x).sum(axis=1))
