"""Centers of radial basis functions from the data, by k-means or at random, and their widths."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_key, check_number
from jaxnn.layers.distance import nearest, power_of_two, squared_distances


class Clusters(NamedTuple):
    """The result of `kmeans`.

    centres: floats [k, features].
    index: int32 [rows], the center of every row.
    counts: int32 [k], the number of rows of each center.
    inertia: a float [], the sum of the squared distances of rows from their centers; in float32 it
      is infinite above 3e38, and 0 below 1e-38.
    steps: int32 [], the number of steps taken.
    """

    centres: jax.Array
    index: jax.Array
    counts: jax.Array
    inertia: jax.Array
    steps: jax.Array


def rows_as_centres(key: jax.Array, x: jax.Array, k: int) -> jax.Array:
    """Draw k different rows of x as centers, without replacement.

    Args:
      key: a key of `jax.random.key`.
      x: floats [rows, features].
      k: the number of centers, from 1 to rows.

    Returns:
      [k, features] of x's dtype.

    Raises:
      TypeError: if key is not a key, or x is not floating point.
      ValueError: if k is less than 1 or greater than the number of rows, or x is not
        [rows, features].

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.arange(8.0)[:, None]
    >>> sorted(nn.rbf.rows_as_centres(jax.random.key(0), x, 8).ravel().tolist())
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    check_key(key)
    k = _check_k(x, k, "rows_as_centres")
    return jnp.asarray(x)[jax.random.choice(key, x.shape[0], (k,), replace=False)]


def kmeans(key: jax.Array, x: jax.Array, k: int, *, steps: int = 100) -> Clusters:
    """Cluster the rows of x around k centers, to a local minimum of their squared distances.

    minimize sum_i min_j |x_i - c_j|^2 over c

    The initial centers are rows, each drawn with a probability proportional to its squared distance
    from the centers before it (k-means++). Then every center moves to the mean of its rows until no
    row changes its center (Lloyd). The function is compiled, and `jax.vmap` over keys runs several
    starts at once.

    If x has fewer than k different rows, some centers coincide: the first of them takes the rows,
    and the others have a count of 0 and do not move.

    Args:
      key: a key of `jax.random.key`.
      x: floats [rows, features], finite.
      k: the number of centers, from 1 to rows.
      steps: the largest number of steps, at least 1.

    Returns:
      `Clusters`, with centers of x's dtype, float32 at least.

    Raises:
      TypeError: if key is not a key, or x is not floating point.
      ValueError: if k is less than 1 or greater than the number of rows, steps is less than 1, or x
        is not [rows, features] or not finite.

    (Lloyd, Least squares quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, 2007.)

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.array([[0.0], [1.0], [10.0], [11.0]])
    >>> sorted(nn.rbf.kmeans(jax.random.key(0), x, 2).centres.ravel().tolist())
    [0.5, 10.5]
    """
    check_key(key)
    k = _check_k(x, k, "kmeans")
    if not core.traced(x) and not bool(jnp.isfinite(x).all()):
        raise ValueError("kmeans: x has values that are NaN or infinite: leave those rows out.")
    return _kmeans(
        key, core.at_least_float32(jnp.asarray(x)), k, core.check_int(steps, "kmeans: steps")
    )


@partial(jax.jit, static_argnums=(2, 3))
def _kmeans(key, x, k, steps):
    # In units of a power of two no square over- or underflows, and nothing is rounded.
    unit = power_of_two(x)
    x = x / unit

    def move(carry):
        centres, index, _, step = carry
        counts = jnp.zeros(k, jnp.int32).at[index].add(1)
        # Sums of offsets from the center, since sums of rows far from zero would be rounded.
        total = jnp.zeros_like(centres).at[index].add(x - centres[index])
        occupied = jnp.broadcast_to((counts > 0)[:, None], centres.shape)
        divisor = jnp.maximum(counts, 1).astype(x.dtype)[:, None]
        centres = jnp.where(occupied, centres + total / divisor, centres)
        new_index = nearest(x, centres)
        return centres, new_index, (new_index != index).any(), step + 1

    initial = _initial_centres(key, x, k)
    start = initial, nearest(x, initial), jnp.bool_(True), jnp.int32(0)
    centres, index, _, taken = jax.lax.while_loop(lambda c: c[2] & (c[3] < steps), move, start)
    counts = jnp.zeros(k, jnp.int32).at[index].add(1)
    inertia = jnp.square(x - centres[index]).sum() * unit * unit
    return Clusters(centres * unit, index, counts, inertia, taken)


def _initial_centres(key: jax.Array, x: jax.Array, k: int) -> jax.Array:
    """The initial centers of k-means++: rows far from one another."""

    def add(i, carry):
        centres, distances = carry
        # If every row is a center already, all rows are equally likely.
        weights = jnp.where(distances.sum() > 0, distances, jnp.ones_like(distances))
        chosen = x[jax.random.categorical(jax.random.fold_in(key, i), jnp.log(weights))]
        to_chosen = jnp.square(x - jnp.broadcast_to(chosen, x.shape)).sum(axis=1)
        return centres.at[i].set(chosen), jnp.minimum(distances, to_chosen)

    # Larger than any distance, and with a finite sum.
    far = jnp.full(len(x), jnp.finfo(x.dtype).max / (2 * len(x)), x.dtype)
    start = jnp.zeros((k, x.shape[1]), x.dtype), far
    return jax.lax.fori_loop(0, k, add, start)[0]


def rbf_widths(centres: jax.Array, *, neighbours: int = 2, overlap: float = 1.0) -> jax.Array:
    """A width for every center, from the distances to its nearest other centers.

    w_j = overlap sqrt(mean of |c_j - c_k|^2 over the nearest neighbors k of j)

    The logarithm of the widths goes into the params of `rbf_layer(..., metric="centre")`, and the
    mean of that logarithm into those of `metric="net"`.

    Args:
      centres: floats [k, features], of which at least two differ.
      neighbours: the number of nearest other centers, from 1 to k - 1.
      overlap: a positive factor.

    Returns:
      [k], in float32 at least; if a center coincides with all its neighbors, the mean width of the
      others.

    Raises:
      TypeError: if centres is not floating point.
      ValueError: if there are not more centers than neighbours, neighbours is less than 1, or
        overlap is not positive.

    (Moody and Darken, Fast learning in networks of locally-tuned processing units, 1989.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.rbf_widths(jnp.array([[0.0], [1.0], [3.0]]), neighbours=1).tolist()
    [1.0, 1.0, 2.0]
    """
    neighbours = core.check_int(neighbours, "rbf_widths: neighbours")
    check_number(overlap, "rbf_widths: overlap", above=0)
    if core.check_features(centres, "rbf_widths").ndim != 2 or centres.shape[0] <= neighbours:
        raise ValueError(
            f"rbf_widths takes centres [k, features] with k greater than neighbours={neighbours}, "
            f"got {core.describe(centres)}."
        )
    squares = squared_distances(centres, centres)
    squares = jnp.where(jnp.eye(len(centres), dtype=bool), jnp.inf, squares)
    widths = jnp.sqrt(-jax.lax.top_k(-squares, neighbours)[0].mean(axis=1))
    positive = widths > 0
    count = jnp.maximum(positive.sum(), 1).astype(widths.dtype)
    mean = jnp.where(positive, widths, 0).sum() / count
    return jnp.asarray(overlap, widths.dtype) * jnp.where(positive, widths, mean)


def _check_k(x: jax.Array, k: int, title: str) -> int:
    """`k`; raises ValueError unless x is [rows, features] with at least that many rows."""
    k = core.check_int(k, f"{title}: k, the number of centres,")
    if core.check_features(x, title).ndim != 2 or not x.shape[-1]:
        raise ValueError(f"{title} takes x [rows, features], got {core.describe(x)}.")
    if k > len(x):
        raise ValueError(
            f"{title}: k={k} centres were requested from {len(x)} rows; request at most {len(x)}, "
            "or give more rows."
        )
    return k
