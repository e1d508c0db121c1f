"""The key-value cache: keys and values of earlier steps, as the carry of an attention cell.

A cache is a dict of "keys" and "values" [batch, heads, capacity, width], in the order in which the
products of attention read them, and of "length", int32 [batch]: how many steps each row has stored.
Padding is never stored, so a padded row remembers the same as without padding. Step p is in slot p;
if a window hides old steps anyway, the cache is a ring and step p is in slot p modulo capacity.
For packed rows there are also "documents", int32 [batch, capacity], a number for that of each slot,
and "segment" and "start", int32 [batch], which tell where the last document goes on.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.layers.attention.masks import KeyPositions


class CacheSpec(NamedTuple):
    """The number of steps a cache holds, and how many a query sees, including itself."""

    capacity: int
    window: int | None = None

    @property
    def ring(self) -> bool:
        """Whether the oldest steps may be overwritten, since no query sees them."""
        return self.window is not None and self.window <= self.capacity


def empty_cache(spec: CacheSpec, k: Any, packed: bool = False) -> dict[str, jax.Array]:
    """The cache before the first step, for keys like k [batch, time, heads, width]."""
    rows = (k.shape[0],)
    blank = jnp.zeros((*rows, k.shape[2], spec.capacity, k.shape[3]), k.dtype)
    cache = {"keys": blank, "values": blank, "length": jnp.zeros(rows, jnp.int32)}
    if packed:
        cache |= {each: jnp.zeros(rows, jnp.int32) for each in ("segment", "start")}
        cache["documents"] = jnp.zeros((*rows, spec.capacity), jnp.int32)
    return cache


def check_chunk(spec: CacheSpec, k: Any) -> None:
    """Raises ValueError if the keys of a chunk can never fit."""
    if k.shape[1] > spec.capacity and not spec.ring:
        raise ValueError(
            f"attention: a chunk of {k.shape[1]} steps overflows a cache of {spec.capacity}: take "
            "a larger capacity, or a window no longer than it, which lets old steps go."
        )


def overflowed(spec: CacheSpec, positions: jax.Array) -> jax.Array:
    """Which steps are beyond the cache's capacity, so that their outputs are invalid."""
    return (positions >= spec.capacity) & (not spec.ring)


def update(spec: CacheSpec, cache: Any, k, v, positions, valid, documents=None) -> tuple:
    """(cache, keys, values, positions) after a chunk has been stored.

    Args:
      spec: the sizes of the cache.
      cache: the cache before the chunk.
      k: keys of the chunk [batch, time, heads, width].
      v: values of the chunk, of the same shape.
      positions: of the chunk's steps, int32 [batch, time], from the cache's length on.
      valid: bool [batch, time], false at padding; None if there is none.
      documents: int32 [batch, time], a number for each document of packed rows; None for others.

    Raises:
      ValueError: if the cache belongs to another net or batch, or if the chunk is longer than it.
    """
    check_chunk(spec, k)
    expected = jax.eval_shape(lambda: empty_cache(spec, k, documents is not None))
    core.check_same_spec(
        cache, expected, "attention was given the cache of another batch, net or dtype"
    )
    exists = jnp.ones(k.shape[:2], bool) if valid is None else valid
    length = cache["length"] + exists.sum(1, dtype=jnp.int32)
    # A ring keeps the newest steps, other caches the oldest; writes to slot `capacity` are dropped.
    kept = positions >= length[:, None] - spec.capacity if spec.ring else positions < spec.capacity
    slots = jnp.where(exists & kept, positions % spec.capacity, spec.capacity)

    def write(memory, chunk):
        chunk = jnp.swapaxes(chunk, 1, 2)
        return jax.vmap(lambda m, c, s: m.at[:, s].set(c, mode="drop"))(memory, chunk, slots)

    def read(cache):
        return jnp.swapaxes(cache["keys"], 1, 2), jnp.swapaxes(cache["values"], 1, 2)

    new_cache = {
        **cache,
        "keys": write(cache["keys"], k),
        "values": write(cache["values"], v),
        "length": length,
    }
    if documents is not None:
        set_row = jax.vmap(lambda m, c, s: m.at[s].set(c, mode="drop"))
        new_cache["documents"] = set_row(cache["documents"], documents, slots)

    def located(keys, seen, of_keys):
        return KeyPositions(
            positions, keys, seen, None if documents is None else (documents, of_keys)
        )

    if spec.window is None or not spec.ring or _leaves_room(k.shape[1], spec):
        held = read(new_cache)
        place = *_slots(spec, length), new_cache.get("documents")
        return new_cache, *held, located(*place)
    # The chunk overwrites keys that its first steps still see, so attend to the old cache as well.
    both = jax.tree.map(
        lambda a, b: jnp.concatenate([a, b], axis=1),
        (*read(cache), *_slots(spec, cache["length"]), cache.get("documents")),
        (k, v, positions, exists, documents),
    )
    return new_cache, *both[:2], located(*both[2:])


def _leaves_room(steps: Any, spec: CacheSpec) -> bool:
    """Whether a chunk overwrites nothing that its steps see; False if its length is symbolic."""
    return isinstance(steps, int) and steps + (spec.window or 1) - 1 <= spec.capacity


def _slots(spec: CacheSpec, length: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The position of the step in each slot [batch, capacity], and whether the slot is filled."""
    slots = jnp.arange(spec.capacity, dtype=jnp.int32)[None]
    newest = length[:, None] - 1
    age = (newest - slots) % spec.capacity if spec.ring else newest - slots
    positions = newest - age
    return positions, (positions >= 0) & (age >= 0)
