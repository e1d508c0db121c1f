"""Padding: sequences of unequal lengths in one array, and the mask of the steps that are present.

A mask is part of the input: a tuple of two is always a sequence and its mask, `(x, mask)`, with
mask bool [batch, time], false where a step is padding. Other structured inputs are dicts. A mask is
cut into chunks along time as x is; lengths cannot be, so only `unroll` takes them.
"""

from typing import Any

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


def split_mask(x: Tree) -> tuple[Tree, Any]:
    """(x, mask) of a pair, (x, None) of anything else; raises if the mask does not fit."""
    if type(x) is not tuple or len(x) != 2:
        return x, None
    x, mask = x
    if getattr(mask, "dtype", None) != jnp.dtype(bool):
        raise TypeError(
            f"a pair is (x, mask) with a mask bool [batch, time], got {core.describe(mask)}: cast "
            "it to bool, use nn.unroll for lengths, or put what is no mask in a dict."
        )
    for leaf in jax.tree.leaves(x):
        if mask.ndim != 2 or leaf.shape[:2] != mask.shape:
            raise ValueError(
                f"a mask is [batch, time] of its x, got {core.describe(mask)} for "
                f"{core.describe(leaf)}."
            )
    return x, mask


def zero_masked(x: Tree, mask: Any) -> Tree:
    """x with zeros at masked steps, so that NaN there does not reach gradients."""

    def one(leaf):
        return jnp.where(broadcast_mask(mask, leaf), leaf, jnp.zeros_like(leaf))

    return jax.tree.map(one, x)


def normalize_mask(x: Tree) -> tuple[Tree, Any]:
    """(x, mask) of (x, lengths) or (x, mask), (x, None) of anything else."""
    if type(x) is not tuple or len(x) != 2 or getattr(x[1], "ndim", 0) == 2:
        return split_mask(x)
    x, lengths = x
    if not hasattr(lengths, "dtype") or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(
            f"unroll takes (x, lengths) with lengths int [batch], got {core.describe(lengths)}: "
            "cast them, or put what is neither lengths nor a mask in a dict."
        )
    shape = jax.tree.leaves(x)[0].shape[:2]
    if lengths.shape != shape[:1]:
        raise ValueError(
            f"unroll takes one length for each of {shape[0]} rows, got {core.describe(lengths)}."
        )
    if isinstance(lengths, jax.ShapeDtypeStruct):
        return split_mask((x, jax.ShapeDtypeStruct(shape, bool)))
    return split_mask((x, length_mask(lengths, shape[1])))


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
    h, there = split_mask((h, mask))
    there = jnp.asarray(there)
    if pool == "mean":
        steps = jnp.maximum(there.sum(axis=1), 1).astype(h.dtype)
        return zero_masked(h, there).sum(axis=1) / steps[:, None]
    least = jnp.asarray(jnp.finfo(h.dtype).min, h.dtype)
    most = jnp.where(there[..., None], h, least).max(axis=1)
    return zero_masked(most, there.any(axis=1))
