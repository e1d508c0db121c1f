"""Segments: rows grouped by an id, and their sum, mean, maximum and softmax.

Row i belongs to segment ids[i]; ids may be in any order. Rows with an id outside [0, count) are
ignored and get zero gradient. A segment may be empty.

Sums and counts are computed in float32 at least: in half precision they would stop growing, counts
in bfloat16 at 256.
"""

import functools

import jax
import jax.numpy as jnp

from jaxnn import core


def take(x: jax.Array, ids: jax.Array) -> jax.Array:
    """Rows of x by their index, y_i = x[ids_i], zeros for an index out of range.

    Args:
      x: [n, ...].
      ids: integers [m].

    Returns:
      [m, ...], of x's dtype.
    """
    x, ids = jnp.asarray(x), jnp.asarray(ids)
    if x.shape[0] == 0:
        return jnp.zeros((*ids.shape, *x.shape[1:]), x.dtype)
    return x.at[ids].get(mode="fill", fill_value=0, wrap_negative_indices=False)


def segment_sum(x: jax.Array, ids: jax.Array, count: int) -> jax.Array:
    """The sum over the rows of each segment: y_s = sum of x_i over ids_i = s, zeros if empty.

    Args:
      x: numbers [n, ...].
      ids: integers [n], the segment of each row.
      count: number of segments.

    Returns:
      [count, ...] in x's dtype; for integers and booleans, 32 bits at least.

    Raises:
      ValueError: if there is not one integer id for each row.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.segment_sum(jnp.array([1.0, 2.0, 4.0]), jnp.array([0, 2, 0]), 3).tolist()
    [5.0, 0.0, 2.0]
    """
    ids, count = _whole(x, ids, "segment_sum"), _count(count)
    if not core.floating(x):
        narrow = jnp.uint32 if jnp.issubdtype(x.dtype, jnp.unsignedinteger) else jnp.int32
        return jax.ops.segment_sum(x if x.dtype.itemsize >= 4 else x.astype(narrow), ids, count)
    return jax.ops.segment_sum(_wide(x), ids, count).astype(x.dtype)


def segment_mean(x: jax.Array, ids: jax.Array, count: int) -> jax.Array:
    """The mean over the rows of each segment: y_s = mean of x_i over ids_i = s, zeros if empty.

    Args:
      x: floats [n, ...].
      ids: integers [n], the segment of each row.
      count: number of segments.

    Returns:
      [count, ...] in x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there is not one integer id for each row.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.segment_mean(jnp.array([1.0, 2.0, 4.0]), jnp.array([0, 2, 0]), 3).tolist()
    [2.5, 0.0, 2.0]
    """
    wide = _wide(core.check_features(x, "segment_mean"))
    total = segment_sum(wide, ids, count)
    rows = segment_sum(jnp.ones(jnp.shape(ids), wide.dtype), ids, count)
    return (total / _over(jnp.maximum(rows, 1), x)).astype(x.dtype)


def segment_max(x: jax.Array, ids: jax.Array, count: int) -> jax.Array:
    """The maximum over the rows of each segment: y_s = max of x_i over ids_i = s, zeros if it is
    empty.

    Rows that attain the maximum share its gradient, and so do rows within rounding of it, 4 eps of
    the segment's largest finite magnitude.

    Args:
      x: floats [n, ...].
      ids: integers [n], the segment of each row.
      count: number of segments.

    Returns:
      [count, ...] in x's dtype.

    Raises:
      ValueError: if there is not one integer id for each row.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.segment_max(jnp.array([1.0, -2.0, 4.0]), jnp.array([0, 2, 0]), 3).tolist()
    [4.0, 0.0, -2.0]
    """
    return _largest(_count(count), x, _whole(x, ids, "segment_max"))


def segment_softmax(x: jax.Array, ids: jax.Array, count: int) -> jax.Array:
    """The softmax over the rows of each segment.

    y_i = exp(x_i) / sum of exp(x_j) over ids_j = ids_i

    Rows of no segment get zero.

    Args:
      x: floats [n, ...].
      ids: integers [n], the segment of each row.
      count: number of segments.

    Returns:
      [n, ...], of the shape and dtype of x.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there is not one integer id for each row.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.segment_softmax(jnp.array([0.0, 9.0, 0.0]), jnp.array([0, 2, 0]), 3).tolist()
    [0.5, 1.0, 0.5]
    """
    core.check_features(x, "segment_softmax")
    ids, count = _whole(x, ids, "segment_softmax"), _count(count)
    member = _over((ids >= 0) & (ids < count), x)
    # exp of rows of no segment could overflow, and infinity times a zero gradient is NaN.
    top = _top(x, ids, count)
    shifted = jnp.where(member, x - take(jnp.where(top == -jnp.inf, 0, top), ids), 0)
    raised = jnp.where(member, jnp.exp(_wide(shifted)), 0)
    total = take(segment_sum(raised, ids, count), ids)
    return (raised / jnp.where(member, total, 1)).astype(x.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _largest(count: int, x: jax.Array, ids: jax.Array) -> jax.Array:
    return _top(x, ids, count)


@_largest.defjvp
def _largest_jvp(count, primals, tangents):
    (x, ids), (along, _) = primals, tangents
    top = _top(x, ids, count)
    scale = _top(jnp.where(jnp.isfinite(x), jnp.abs(x), 0), ids, count)
    # Not x == top: a compiler may compute x twice, with different rounding.
    slack = 4 * jnp.finfo(x.dtype).eps * take(scale, ids)
    near = x >= take(top, ids) - slack
    ties = jnp.maximum(segment_sum(near.astype(_wide(x).dtype), ids, count), 1)
    shared = segment_sum(_wide(jnp.where(near, along, 0)), ids, count) / ties
    return top, shared.astype(x.dtype)


def _top(x, ids, count: int):
    """The maximum of each segment as a constant, zeros if it is empty."""
    top = jax.lax.stop_gradient(jax.ops.segment_max(jax.lax.stop_gradient(x), ids, count))
    rows = jax.ops.segment_sum(jnp.ones(jnp.shape(ids), jnp.int32), ids, count)
    return jnp.where(_over(rows > 0, x), top, jnp.zeros((), top.dtype))


def _wide(x):
    return core.at_least_float32(x)


def _over(rows, x):
    """One value per row, with axes that broadcast against x."""
    return rows.reshape(-1, *(1,) * (x.ndim - 1))


def _count(count: int) -> int:
    return core.check_int(count, "the count of segments", 0)


def _whole(x, ids, title: str):
    if not jnp.issubdtype(jnp.result_type(ids), jnp.integer) or jnp.shape(ids) != x.shape[:1]:
        raise ValueError(
            f"{title} takes one integer id a row, got {core.describe(ids)} for {core.describe(x)}."
        )
    return ids
