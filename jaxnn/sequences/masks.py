"""Padding: sequences of unequal lengths in one array, and the mask of the steps that are present.

A mask is part of the input: a tuple of two is always a sequence and its mask, `(x, mask)`, with
mask bool [batch, time], false where a step is padding. Other structured inputs are dicts. A mask is
cut into chunks along time as x is; lengths cannot be, so only `unroll` takes them. `split_mask`
reads such a pair for everything that takes one.

In the place of the mask stand `segments`, integers [batch, time], if a row holds several documents:
0 is padding, and neighboring steps of one positive number are one document, whatever padding lies
between them. What a document gives is what it would give in a row of its own (see
`jaxnn.sequences.packing`).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice
from jaxnn.core import Tree


def length_mask(lengths: Any, time: int) -> jax.Array:
    """The mask of lengths: mask[b, t] = t < lengths[b].

    Args:
      lengths: int [batch].
      time: the number of steps.

    Returns:
      bool [batch, time].

    Raises:
      ValueError: if lengths are not integers of one axis.

    >>> import jax, jaxnn as nn
    >>> nn.length_mask(jax.numpy.array([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    lengths = jnp.asarray(lengths)
    if lengths.ndim != 1 or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"length_mask takes lengths int [batch], got {core.describe(lengths)}.")
    return jnp.arange(time)[None, :] < lengths[:, None]


def is_pair(x: Any) -> bool:
    """Whether x is a sequence and its mask."""
    return type(x) is tuple and len(x) == 2


def split_mask(
    x: Tree, title: str, *, lengths: bool = False, segments: bool = False, queries: bool = False
) -> tuple[Tree, Any]:
    """(x, mask) of a pair, (x, None) of anything else; raises if the mask does not fit.

    title: what takes the pair, for errors.
    lengths: whether lengths int [batch] may stand for the mask, which then is theirs.
    segments: whether there may be segments int [batch, time], which are returned as they are.
    queries: whether there may be a mask for each query, bool [batch, time, time].
    """
    if not is_pair(x):
        return x, None
    x, mask = x
    return x, check_mask(mask, x, title, lengths=lengths, segments=segments, queries=queries)


def check_mask(
    mask: Any,
    x: Tree,
    title: str,
    *,
    keys: Any = None,
    lengths: bool = False,
    segments: bool = False,
    queries: bool = False,
) -> Any:
    """The mask of x, every leaf [batch, time, ...]; None if it is None.

    The options are those of `split_mask`; a mask of `keys` steps is that of a memory of x.

    Raises TypeError and ValueError if it is none.
    """
    if mask is None:
        return None
    kind, shape = getattr(mask, "dtype", None), getattr(mask, "shape", ())
    integers = is_segments(mask)
    if not (kind == jnp.dtype(bool) or (integers and (lengths, segments)[len(shape) > 1])):
        forms = ["a mask bool [batch, time]"]
        forms += ["bool [batch, time, keys]"] * queries + ["lengths int [batch]"] * lengths
        forms += ["segments int [batch, time]"] * segments
        raise TypeError(
            f"{title} takes {' or '.join(forms)}, true where a step is present, got "
            f"{core.describe(mask)}: {_mend(mask, integers)}."
        )
    leaves = jax.tree.leaves(x)
    batch, time = leaves[0].shape[:2] if leaves else (*shape, 0, 0)[:2]
    keys = time if keys is None else keys
    if integers and len(shape) < 2:
        if shape != (batch,):
            raise ValueError(
                f"{title} takes one length for each of {batch} rows, got {core.describe(mask)}."
            )
        if isinstance(mask, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct((batch, time), bool)
        return length_mask(mask, time)
    fits = shape == (batch, keys) or (queries and not integers and shape == (batch, time, keys))
    if not fits or any(leaf.shape[:2] != (batch, time) for leaf in leaves):
        more = f" or [{batch},{time},{keys}]" if queries else ""
        raise ValueError(
            f"{title} takes a mask [{batch},{keys}]{more} with {core.describe(x)}, got "
            f"{core.describe(mask)}."
        )
    return mask


def _mend(mask: Any, integers: bool) -> str:
    if not hasattr(mask, "dtype"):
        return "give an array, or put what is no mask in a dict"
    if not integers:
        return "compare it, as in mask > 0, or put what is no mask in a dict"
    if len(mask.shape) < 2:
        return "use nn.unroll for lengths, or nn.length_mask"
    return (
        "it would mix the documents of a packed row, so give it one document a row, or segments > "
        "0 if that is what you want"
    )


# Segments


class Documents(NamedTuple):
    """Where the documents of packed rows begin.

    starts: bool [batch, time], true at the first step of a document.
    last: int32 [batch], the segment of the last step that is not padding.
    """

    starts: jax.Array
    last: jax.Array


def is_segments(mask: Any) -> bool:
    """Whether a mask, which may be None, holds integers."""
    return hasattr(mask, "dtype") and jnp.issubdtype(mask.dtype, jnp.integer)


def valid_steps(mask: Any) -> Any:
    """The mask, bool, of a mask or of segments."""
    return mask > 0 if is_segments(mask) else mask


def documents(segments: Any, last: Any = None) -> Documents:
    """Where the documents of segments int [batch, time] begin.

    last: that of the chunk before, [batch], so that a document goes on where it has the same
      segment; None or 0 where nothing came before.
    """
    segments = segments.astype(jnp.int32)
    before = jnp.zeros(segments.shape[:1], jnp.int32) if last is None else last
    valid = valid_steps(segments)
    held = jnp.concatenate([before[:, None], segments], axis=1)
    there = jnp.pad(valid, ((0, 0), (1, 0)), constant_values=True)
    # The segment of the last step up to each one that is not padding.
    steps = jnp.arange(held.shape[1], dtype=jnp.int32)[None]
    newest = jax.lax.cummax(jnp.where(there, steps, 0), axis=1)
    held = jnp.take_along_axis(held, newest, axis=1)
    return Documents(valid & (segments != held[:, :-1]), held[:, -1])


def first_steps(starts: jax.Array, place: jax.Array, before: Any = None) -> jax.Array:
    """The place of the first step of the document of each step, int32 [batch, time].

    place: int32 [batch, time], where in its row a step stands, not counting padding.
    before: that of the document that goes on from the chunk before, [batch]; 0 by default.
    """
    before = jnp.zeros(starts.shape[:1], jnp.int32) if before is None else before
    known = jnp.where(starts, place, 0)
    return jax.lax.cummax(jnp.maximum(known, before[:, None]), axis=1)


def zero_masked(x: Tree, mask: Any) -> Tree:
    """x with zeros at masked steps, so that NaN there does not reach gradients."""
    mask = valid_steps(mask)

    def one(leaf):
        return jnp.where(broadcast_mask(mask, leaf), leaf, jnp.zeros_like(leaf))

    return jax.tree.map(one, x)


def broadcast_mask(mask: Any, leaf: Any) -> Any:
    """The mask with trailing axes of size 1 up to the rank of a leaf."""
    return mask.reshape(*mask.shape, *(1,) * (leaf.ndim - mask.ndim))


def pool_steps(h: jax.Array, mask: jax.Array | None, pool: str = "mean") -> jax.Array:
    """The mean or the maximum of h over the valid steps of each row.

    Args:
      h: [batch, time, features].
      mask: bool [batch, time], or None if all steps are valid.
      pool: "mean" or "max".

    Returns:
      [batch, features] in h's dtype, zeros for a row without valid steps.

    Raises:
      TypeError: if the mask is not bool.
      ValueError: if the mask has another shape, or pool is another word.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> h, mask = jnp.array([[[-2.0], [-4.0], [9.0]]]), nn.length_mask(jnp.array([2]), 3)
    >>> nn.pool_steps(h, mask).tolist(), nn.pool_steps(h, mask, "max").tolist()
    ([[-3.0]], [[-2.0]])
    """
    check_choice(pool, "pool_steps: pool", ("mean", "max"))
    if mask is None:
        return h.mean(axis=1) if pool == "mean" else h.max(axis=1)
    there = jnp.asarray(check_mask(mask, h, "pool_steps"))
    if pool == "mean":
        steps = jnp.maximum(there.sum(axis=1), 1).astype(h.dtype)
        return zero_masked(h, there).sum(axis=1) / steps[:, None]
    least = jnp.asarray(jnp.finfo(h.dtype).min, h.dtype)
    most = jnp.where(there[..., None], h, least).max(axis=1)
    return zero_masked(most, there.any(axis=1))
