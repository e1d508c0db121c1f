"""The memory of attention along a sequence: the keys and values of the steps gone by.

A cache is a dict of keys and values [batch, heads, capacity, width], in the order in which the
products of attention read them, and of the length int32 [batch]: how many steps have entered each
row. Padding never enters, so that a padded row remembers what it would without. Step p stands in
slot p, and where a window hides old steps anyway, in slot p modulo capacity: a ring.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.layers.attention.masks import KeyPositions


class CacheSpec(NamedTuple):
    """How many steps a cache holds, and how many a query sees, itself among them."""

    capacity: int
    window: int | None = None

    @property
    def ring(self) -> bool:
        """Whether the oldest steps may be forgotten, since no query sees them."""
        return self.window is not None and self.window <= self.capacity


def empty_cache(room: CacheSpec, k: Any) -> dict[str, jax.Array]:
    """The cache before the first step, for keys like k [batch, time, heads, width]."""
    blank = jnp.zeros((k.shape[0], k.shape[2], room.capacity, k.shape[3]), k.dtype)
    return {"keys": blank, "values": blank, "length": jnp.zeros((k.shape[0],), jnp.int32)}


def check_chunk(room: CacheSpec, k: Any) -> None:
    """Raises ValueError where the keys of a chunk can never fit."""
    if k.shape[1] > room.capacity and not room.ring:
        raise ValueError(
            f"attention: a chunk of {k.shape[1]} steps overflows a cache of {room.capacity}: take "
            "a larger capacity, or a window no longer than it, with which old steps may go."
        )


def overflowed(room: CacheSpec, positions: jax.Array) -> jax.Array:
    """Which steps found no place, and with them what they should have seen."""
    return (positions >= room.capacity) & (not room.ring)


def update(room: CacheSpec, cache: Any, k, v, positions, valid) -> tuple:
    """(cache, keys, values, sight) once a chunk has entered.

    Args:
      room: of the cache.
      cache: the one before.
      k, v: keys and values of the chunk [batch, time, heads, width].
      positions: of the chunk's steps, int32 [batch, time], from the cache's length on.
      valid: bool [batch, time], false for padding; None where there is none.

    Raises:
      ValueError: for a cache of another net or batch, and for a chunk longer than it.
    """
    check_chunk(room, k)
    fresh = jax.eval_shape(lambda: empty_cache(room, k))
    core.check_same_spec(
        cache, fresh, "attention was carried the cache of another batch, net or dtype"
    )
    exists = jnp.ones(k.shape[:2], bool) if valid is None else valid
    length = cache["length"] + exists.sum(1, dtype=jnp.int32)
    # A ring keeps the newest steps, all else the oldest; `capacity` is no slot, so it drops.
    kept = positions >= length[:, None] - room.capacity if room.ring else positions < room.capacity
    slots = jnp.where(exists & kept, positions % room.capacity, room.capacity)

    def write(memory, chunk):
        chunk = jnp.swapaxes(chunk, 1, 2)
        return jax.vmap(lambda m, c, s: m.at[:, s].set(c, mode="drop"))(memory, chunk, slots)

    def read(cache):
        return jnp.swapaxes(cache["keys"], 1, 2), jnp.swapaxes(cache["values"], 1, 2)

    after = {
        "keys": write(cache["keys"], k),
        "values": write(cache["values"], v),
        "length": length,
    }
    if room.window is None or not room.ring or _leaves_room(k.shape[1], room):
        held = _held(room, length)
        return after, *read(after), KeyPositions(positions, *held)
    # The chunk overwrites what its first steps still see: they look at the cache of before.
    both = jax.tree.map(
        lambda a, b: jnp.concatenate([a, b], axis=1),
        (*read(cache), *_held(room, cache["length"])),
        (k, v, positions, exists),
    )
    return after, *both[:2], KeyPositions(positions, *both[2:])


def _leaves_room(steps: Any, room: CacheSpec) -> bool:
    """Whether a chunk overwrites nothing that its steps see; not known of a symbolic length."""
    return isinstance(steps, int) and steps + (room.window or 1) - 1 <= room.capacity


def _held(room: CacheSpec, length: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The position of the step in each slot [batch, capacity], and whether there is one."""
    slots = jnp.arange(room.capacity, dtype=jnp.int32)[None]
    newest = length[:, None] - 1
    ahead = (newest - slots) % room.capacity if room.ring else newest - slots
    positions = newest - ahead
    return positions, (positions >= 0) & (ahead >= 0)
