import jax
import jax.numpy as jnp
import pytest

from jaxnn.layers.attention.kv_cache import CacheSpec, check_chunk, empty_cache, overflowed, update


def chunk(time, start=0):
    """Keys that say at which step they came, in two rows, and values that are minus that."""
    k = jnp.broadcast_to(jnp.arange(start, start + time, dtype=jnp.float32)[None, :, None, None],
                         (2, time, 1, 1))  # fmt: skip
    return k + 1, -k - 1


def fill(room, *chunks, valid=None):
    """The cache after chunks of these lengths, and what the last one sees."""
    cache, start = empty_cache(room, chunk(1)[0]), 0
    for time in chunks:
        steps = jnp.arange(time)[None] if valid is None else jnp.cumsum(valid, 1) - 1
        at = (cache["length"][:, None] + steps).astype(jnp.int32)
        cache, *rest = update(room, cache, *chunk(time, start), at, valid)
        start += time
    return cache, *rest


def test_a_cache_starts_empty_in_the_dtype_of_its_keys():
    cache = empty_cache(CacheSpec(4), jax.ShapeDtypeStruct((3, 1, 2, 8), jnp.bfloat16))
    assert cache["keys"].shape == cache["values"].shape == (3, 2, 4, 8)
    assert cache["keys"].dtype == jnp.bfloat16
    assert cache["length"].tolist() == [0, 0, 0]


def test_steps_stand_in_their_order():
    cache, keys, values, sight = fill(CacheSpec(6), 2, 1)
    assert cache["keys"][0].ravel().tolist() == [1, 2, 3, 0, 0, 0]
    assert cache["values"][1].ravel().tolist() == [-1, -2, -3, 0, 0, 0]
    assert cache["length"].tolist() == [3, 3]
    assert keys.ravel().tolist() == cache["keys"].ravel().tolist()
    assert values.ravel().tolist() == cache["values"].ravel().tolist()
    assert sight.seen[0].tolist() == [True] * 3 + [False] * 3
    assert sight.queries.tolist() == [[2], [2]]


def test_padding_does_not_enter():
    valid = jnp.array([[True, False, True], [False, False, True]])
    cache, *_, sight = fill(CacheSpec(4), 3, valid=valid)
    assert cache["keys"][:, 0, :, 0].tolist() == [[1, 3, 0, 0], [3, 0, 0, 0]]
    assert cache["length"].tolist() == [2, 1]
    assert sight.seen.sum(1).tolist() == [2, 1]


def test_what_overflows_is_known_and_leaves_the_rest_as_it_is():
    room = CacheSpec(4)
    cache, *_ = fill(room, 3, 3)
    assert cache["keys"][0].ravel().tolist() == [1, 2, 3, 4]
    assert overflowed(room, jnp.array([[3, 4, 5]])).tolist() == [[False, True, True]]
    assert not overflowed(CacheSpec(4, window=3), jnp.array([[3, 4, 5]])).any()
    assert overflowed(CacheSpec(4, window=5), jnp.array([[3, 4, 5]])).any()


def test_a_ring_keeps_the_newest_steps():
    cache, *_, sight = fill(CacheSpec(4, window=2), 3, 3)
    assert cache["keys"][0].ravel().tolist() == [5, 6, 3, 4]
    assert cache["length"].tolist() == [6, 6]
    # Three steps of a window of two see four at most: they are in the ring.
    assert sight.keys[0].tolist() == [4, 5, 2, 3]
    assert sight.seen.all()


def test_a_chunk_longer_than_a_ring_sees_what_it_overwrites():
    cache, keys, _, sight = fill(CacheSpec(3, window=3), 2, 7)
    assert cache["keys"][0].ravel().tolist() == [7, 8, 9]
    assert keys[0].ravel().tolist() == [1, 2, 0, 3, 4, 5, 6, 7, 8, 9]
    assert sight.keys[0].tolist() == [0, 1, -1, 2, 3, 4, 5, 6, 7, 8]
    assert sight.seen[0].tolist() == [True, True, False] + [True] * 7


def test_a_chunk_that_never_fits_is_refused():
    with pytest.raises(ValueError, match="a chunk of 5 steps overflows a cache of 4.*capacity"):
        check_chunk(CacheSpec(4), chunk(5)[0])
    with pytest.raises(ValueError, match="overflows"):
        fill(CacheSpec(4, window=5), 5)
    check_chunk(CacheSpec(4, window=4), chunk(5)[0])


def test_the_cache_of_another_net_is_refused():
    cache = empty_cache(CacheSpec(4), chunk(1)[0])
    for other in (CacheSpec(5), CacheSpec(5, window=2)):
        with pytest.raises(ValueError, match="the cache of another batch, net or dtype"):
            update(other, cache, *chunk(1), jnp.zeros((2, 1), jnp.int32), None)
    with pytest.raises(ValueError, match="the cache of another batch, net or dtype"):
        update(CacheSpec(4), (), *chunk(1), jnp.zeros((2, 1), jnp.int32), None)
