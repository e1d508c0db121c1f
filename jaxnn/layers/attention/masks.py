"""Attention masks: from the input's padding, and from the causal, window and ALiBi settings."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.noise import dropout
from jaxnn.sequences.masks import (
    Documents,
    check_mask,
    documents,
    first_steps,
    is_segments,
    split_mask,
    valid_steps,
    zero_masked,
)


class KeyPositions(NamedTuple):
    """Positions of queries and keys, and which keys are hidden.

    queries, keys: positions in the sequence, int32 [batch or 1, time] and [batch or 1, keys].

    seen: bool [batch, keys] or [batch, time, keys]; None if no key is hidden.

    documents: in packed rows, the documents of queries and keys, a pair shaped as their positions:
    each sees its own only.
    """

    queries: Any
    keys: Any
    seen: Any = None
    documents: Any = None


class MaskConfig(NamedTuple):
    """The settings of an attention layer that are fixed when it is built; `drop` is its dropout."""

    causal: bool = False
    window: int | None = None
    alibi: bool = False
    drop: Layer = dropout(0.0)
    implementation: str = "xla"


def relative_position(pos: KeyPositions) -> jax.Array:
    """How many steps each key is ahead of each query, int32 [..., time, keys]."""
    return pos.keys[..., None, :] - pos.queries[..., :, None]


def attention_mask(pos: KeyPositions, rule: MaskConfig) -> jax.Array | None:
    """Which keys each query sees, bool [..., time, keys]; None if all."""
    steps = relative_position(pos)
    limits = [steps <= 0] if rule.causal else []
    if rule.window is not None:
        limits.append(jnp.abs(steps) < rule.window)
    if pos.seen is not None:
        limits.append(pos.seen if pos.seen.ndim == steps.ndim else pos.seen[..., None, :])
    if pos.documents is not None:
        queries, keys = pos.documents
        limits.append(queries[..., :, None] == keys[..., None, :])
    return reduce(jnp.logical_and, limits) if limits else None


def positions(x: Any, mask: Any) -> jax.Array:
    """The position of each step in its row, int32 [batch or 1, time], not counting padding."""
    if padded(mask):
        return jnp.cumsum(valid_steps(mask), axis=1, dtype=jnp.int32) - 1
    return jnp.arange(x.shape[1], dtype=jnp.int32)[None]


class Packed(NamedTuple):
    """The documents of packed rows.

    start: int32 [batch, time], the position of the first step of the document of each step, which
    tells documents apart, or None if rows are not packed.

    place: the positions in the document, int32 [batch or 1, time].

    carry: "segment" and "start" of the last document, int32 [batch] each; {} if not packed.
    """

    start: Any
    place: jax.Array
    carry: dict


def packed(mask: Any, positions: jax.Array, carry: Any = None) -> Packed:
    """The documents of steps at these positions in their rows, after what `carry` tells of."""
    if not is_segments(mask):
        return Packed(None, positions, {})
    carry = {} if carry is None else carry
    found: Documents = documents(mask, carry.get("segment"))
    start = first_steps(found.starts, positions, carry.get("start"))
    before = jnp.zeros_like(found.last) if carry.get("start") is None else carry["start"]
    latest = jnp.maximum(before, jnp.where(found.starts, positions, 0).max(axis=1, initial=0))
    return Packed(start, positions - start, {"segment": found.last, "start": latest})


# Inputs


def check_sequence(x: Any, title: str, each_query: bool = True) -> tuple:
    """(x, mask) from x or (x, mask); raises if they are not a sequence and its mask.

    each_query: whether the mask may differ between queries.
    """
    x, mask = split_mask(x, title, segments=True, queries=each_query)
    return _timed(x, title), mask


def padded(mask: Any) -> bool:
    """Whether a mask marks valid steps [batch, time], rather than the keys that each query sees."""
    return mask is not None and mask.ndim == 2


def zero_padding(x: jax.Array, mask: Any) -> jax.Array:
    """x with zeros at padding, so that no NaN spreads from there."""
    return zero_masked(x, mask) if padded(mask) else x


def paired(y: jax.Array, mask: Any) -> Any:
    """The output for (x, mask): (y, mask), with zeros at padding; y if there is no mask."""
    return y if mask is None else (zero_padding(y, mask), mask)


def check_memory(x: Any, title: str) -> tuple:
    """(queries, memory, mask) from two or three of them; raises if they do not fit."""
    if not isinstance(x, tuple | list) or len(x) not in (2, 3):
        raise ValueError(
            f"{title} takes (queries, memory) or (queries, memory, mask), got {core.describe(x)}."
        )
    x, memory, mask = x if len(x) == 3 else (*x, None)
    if _timed(x, title).shape[0] != _timed(memory, title).shape[0] or x.dtype != memory.dtype:
        raise ValueError(
            f"{title} takes queries and memory of one batch and dtype, got "
            f"{core.describe((x, memory))}."
        )
    return x, memory, check_mask(mask, x, title, keys=memory.shape[1], queries=True)


def _timed(x: Any, title: str) -> Any:
    if core.check_features(x, title).ndim != 3:
        raise ValueError(f"{title} takes [batch, time, features], got {core.describe(x)}.")
    return x
