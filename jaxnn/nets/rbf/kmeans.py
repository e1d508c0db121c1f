"""Where the centres of radial basis functions come from: rows, clusters, or a greedy choice."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_key, check_number
from jaxnn.layers.distance import nearest, power_of_two, squared_distances


class Clusters(NamedTuple):
    """What `kmeans` found.

    centres: [k, features].
    index: the centre of every row, int32 [rows].
    counts: rows of each centre, int32 [k].
    inertia: sum of the squared distances of rows to their centres; in float32 it is infinite where
      they add up to more than 3e38, and 0 below 1e-38.
    steps: int32, how many it took.
    """

    centres: jax.Array
    index: jax.Array
    counts: jax.Array
    inertia: jax.Array
    steps: jax.Array


def rows_as_centres(key: jax.Array, x: jax.Array, k: int) -> jax.Array:
    """k different rows of x [rows, features], drawn without replacement: [k, features].

    Raises:
      TypeError: for x that is no floats.
      ValueError: for no centres, or more of them than rows.

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.arange(8.0)[:, None]
    >>> sorted(nn.rbf.rows_as_centres(jax.random.key(0), x, 8).ravel().tolist())
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    """
    check_key(key)
    k = _enough(x, k, "rows_as_centres")
    return jnp.asarray(x)[jax.random.choice(key, x.shape[0], (k,), replace=False)]


def kmeans(key: jax.Array, x: jax.Array, k: int, *, steps: int = 100) -> Clusters:
    """k centres that have the least squared distance to the rows nearest to them, nearly.

    The first are rows, each drawn by its squared distance to those drawn before (k-means++). Then,
    until no row changes its centre, every centre moves to the mean of its rows (Lloyd). It is
    jitted; under a `jax.vmap` over keys it starts several times at once.

    Where x has fewer different rows than k, some centres coincide: the rows go to the first of
    those, and the others, whose count is 0, stay where they are.

    Args:
      x: floats [rows, features], finite.
      k: how many.
      steps: at most so many.

    Raises:
      TypeError: for x that is no floats.
      ValueError: for no centres, more of them than rows, steps less than 1, or x that is not
        finite.

    (Lloyd, Least squares quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, 2007.)

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.array([[0.0], [1.0], [10.0], [11.0]])
    >>> sorted(nn.rbf.kmeans(jax.random.key(0), x, 2).centres.ravel().tolist())
    [0.5, 10.5]
    """
    check_key(key)
    k = _enough(x, k, "kmeans")
    if not core.traced(x) and not bool(jnp.isfinite(x).all()):
        raise ValueError("kmeans: x holds NaN or infinities: leave those rows out.")
    return _kmeans(
        key, core.at_least_float32(jnp.asarray(x)), k, core.check_int(steps, "kmeans: steps")
    )


@partial(jax.jit, static_argnums=(2, 3))
def _kmeans(key, x, k, steps):
    # In units of a power of two no square overflows or vanishes, and nothing is rounded.
    unit = power_of_two(x)
    x = x / unit

    def move(carry):
        centres, index, _, step = carry
        counts = jnp.zeros(k, jnp.int32).at[index].add(1)
        total = jnp.zeros_like(centres).at[index].add(x - centres[index])
        held = jnp.broadcast_to((counts > 0)[:, None], centres.shape)
        many = jnp.maximum(counts, 1).astype(x.dtype)[:, None]
        # Sums of what is left of the centre, as sums of rows far from zero would be rounded.
        centres = jnp.where(held, centres + total / many, centres)
        after = nearest(x, centres)
        return centres, after, (after != index).any(), step + 1

    first = _spread(key, x, k)
    start = first, nearest(x, first), jnp.bool_(True), jnp.int32(0)
    centres, index, _, taken = jax.lax.while_loop(lambda c: c[2] & (c[3] < steps), move, start)
    counts = jnp.zeros(k, jnp.int32).at[index].add(1)
    inertia = jnp.square(x - centres[index]).sum() * unit * unit
    return Clusters(centres * unit, index, counts, inertia, taken)


def _spread(key: jax.Array, x: jax.Array, k: int) -> jax.Array:
    """The start of k-means++: rows far from one another."""

    def add(i, carry):
        centres, apart = carry
        # Where every row is a centre already, all are drawn alike.
        weights = jnp.where(apart.sum() > 0, apart, jnp.ones_like(apart))
        chosen = x[jax.random.categorical(jax.random.fold_in(key, i), jnp.log(weights))]
        nearer = jnp.square(x - jnp.broadcast_to(chosen, x.shape)).sum(axis=1)
        return centres.at[i].set(chosen), jnp.minimum(apart, nearer)

    far = jnp.full(len(x), jnp.finfo(x.dtype).max / (2 * len(x)), x.dtype)  # whose sum is finite
    start = jnp.zeros((k, x.shape[1]), x.dtype), far
    return jax.lax.fori_loop(0, k, add, start)[0]


def orthogonal_least_squares(features: jax.Array, targets: jax.Array, k: int) -> jax.Array:
    """The k columns of `features` that explain the targets best, chosen one after the other.

    Each choice is the column whose part at right angles to those chosen, q, explains most:
    |q . targets|^2 / q . q. With `rbf` centred at every row as features, columns are rows of x:
    the centres of the network are x[chosen].

    Args:
      features: floats [rows, columns].
      targets: floats [rows, outputs], best with their mean taken off.
      k: how many.

    Returns:
      int32 [k], the columns in the order of their choice.

    Raises:
      ValueError: for shapes that do not fit, no centres, or more of them than columns.

    (Chen, Cowan and Grant, Orthogonal least squares learning algorithm for radial basis function
    networks, 1991.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> features = jnp.eye(4)
    >>> nn.rbf.orthogonal_least_squares(features, jnp.array([[1.0], [0.0], [3.0], [2.0]]),
    ...     2).tolist()
    [2, 3]
    """
    title = "orthogonal_least_squares"
    k = core.check_int(k, f"{title}: k, the number of centres,")
    wrong = [core.check_features(each, title).ndim != 2 for each in (features, targets)]
    if any(wrong) or features.shape[0] != targets.shape[0]:
        raise ValueError(
            f"{title} takes features [rows, columns] and targets [rows, outputs], got "
            f"{core.describe(features)} and {core.describe(targets)}."
        )
    if k > features.shape[1]:
        raise ValueError(
            f"{title}: {k} centres were asked of {features.shape[1]} columns; ask fewer, or give "
            "more columns."
        )
    given = jnp.asarray(features), jnp.asarray(targets)
    if not core.traced(given) and not all(bool(jnp.isfinite(each).all()) for each in given):
        raise ValueError(f"{title}: features or targets are NaN or infinite.")
    return _chosen(*core.at_least_float32(given), k)


@partial(jax.jit, static_argnums=2)
def _chosen(features, targets, k):
    sizes = jnp.square(features).sum(axis=0)

    def choose(i, carry):
        left, rest, chosen = carry
        size = jnp.square(left).sum(axis=0)
        explained = jnp.square(jnp.matmul(left.T, rest, precision="highest")).sum(axis=1)
        # What is left of a column that those chosen can make is rounding.
        new = size > 1e-5 * sizes
        best = jnp.argmax(jnp.where(new, explained / jnp.where(new, size, 1), -1))
        best = jnp.where(new.any(), best, i).astype(jnp.int32)
        q = left[:, best] * jax.lax.rsqrt(jnp.maximum(size[best], jnp.finfo(size.dtype).tiny))
        left = left - jnp.outer(q, jnp.matmul(q, left, precision="highest"))
        rest = rest - jnp.outer(q, jnp.matmul(q, rest, precision="highest"))
        return left.at[:, best].set(0), rest, chosen.at[i].set(best)

    start = features, targets, jnp.zeros(k, jnp.int32)
    return jax.lax.fori_loop(0, k, choose, start)[2]


def rbf_widths(centres: jax.Array, *, neighbours: int = 2, overlap: float = 1.0) -> jax.Array:
    """A width for every centre: overlap times the root mean square distance to its neighbours.

    Args:
      centres: floats [k, features], of which at least two differ.
      neighbours: so many of the nearest others count.
      overlap: 1 by default.

    Returns:
      [k]; where all neighbours lie in one place, the mean width of the others. Its logarithm goes
      into the params of `rbf(..., metric="centre")`, and the mean of that into `metric="net"`.

    Raises:
      ValueError: for fewer centres than neighbours and one.

    (Moody and Darken, Fast learning in networks of locally-tuned processing units, 1989.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.rbf_widths(jnp.array([[0.0], [1.0], [3.0]]), neighbours=1).tolist()
    [1.0, 1.0, 2.0]
    """
    neighbours = core.check_int(neighbours, "widths: neighbours")
    check_number(overlap, "widths: overlap", above=0)
    if core.check_features(centres, "widths").ndim != 2 or centres.shape[0] <= neighbours:
        raise ValueError(
            f"widths takes centres [k, features], more of them than the {neighbours} neighbours, "
            f"got {core.describe(centres)}."
        )
    apart = squared_distances(centres, centres)
    apart = jnp.where(jnp.eye(len(centres), dtype=bool), jnp.inf, apart)
    near = jnp.sqrt(-jax.lax.top_k(-apart, neighbours)[0].mean(axis=1))
    held = near > 0
    mean = jnp.where(held, near, 0).sum() / jnp.maximum(held.sum(), 1).astype(near.dtype)
    return jnp.asarray(overlap, near.dtype) * jnp.where(held, near, mean)


def _enough(x: jax.Array, k: int, title: str) -> int:
    """k, where x has that many rows."""
    k = core.check_int(k, f"{title}: k, the number of centres,")
    if core.check_features(x, title).ndim != 2 or not x.shape[-1]:
        raise ValueError(f"{title} takes x [rows, features], got {core.describe(x)}.")
    if k > len(x):
        raise ValueError(
            f"{title}: {k} centres were asked of {len(x)} rows; ask {len(x)} at most, or give more "
            "rows."
        )
    return k
