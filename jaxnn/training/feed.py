"""Where batches come from: data that lives on the device, or any iterable of batches."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.core import Tree, check_int, fold_in
from jaxnn.training.arrays import as_arrays, common_rows, count_rows, refuse_nan
from jaxnn.training.data import Loader
from jaxnn.training.placement import batch_shardings, place_batch, place_rows
from jaxnn.training.programs import compiled_for
from jaxnn.training.sharding import Sharding
from jaxnn.training.step import TrainState

INDICES = 1 << 22  # rows gathered in one dispatch at most, whose indices take 16 MiB


class Feed(NamedTuple):
    """Batches for a loop, as three functions.

    advance: (train, at, n) -> (train, metrics, rows), up to n steps from step `at`, not waited for;
      metrics and rows hold one value a step.
    position: () -> what finds the place in the data again, ready for JSON.
    seek: (position) -> None, before the first step.
    run: what must be the same where a run goes on, ready for JSON.
    """

    advance: Callable[[TrainState, int, int], tuple[TrainState, Any, list]]
    position: Callable[[], Any]
    seek: Callable[[Any], None]
    run: dict[str, Any]


def resident(
    step: Callable,
    data: Tree,
    batch_size: int,
    shuffle: bool = True,
    sharding: Sharding | None = None,
) -> Feed:
    """Data on the device: shuffled there, many steps in one dispatch.

    Batches run on over the end of an epoch: each epoch has its own order and every row comes once
    in it, so that no batch is ragged and no row is lost. The order depends on the key of the run
    and the step alone. With a sharding the rows of the data are spread over its devices; in many
    processes each gives its own.

    Raises:
      TypeError: if leaves are not arrays of numbers.
      ValueError: for no rows, leaves of unequal rows, a batch larger than the data, NaN, numbers
        that the device's dtypes cannot hold, or a batch that the mesh does not divide.
    """
    data = as_arrays(data, "data")
    rows = count_rows(data, "data")
    batch_size = check_int(batch_size, "batch_size")
    if batch_size > rows:
        raise ValueError(
            f"batch_size {batch_size} is larger than the data of {rows} rows: use {rows} at most."
        )
    refuse_nan(data)
    if sharding is not None:
        spec = jax.tree.map(lambda leaf: _rows_of(leaf, batch_size), data)
        batch_shardings(sharding, spec, "a batch of data")
        data, (rows, *_) = place_rows(sharding, data)
    else:
        data = jax.device_put(data)
    held: dict[tuple[int, int], jax.Array] = {}  # the last two blocks of orders
    # The step of a sweep takes a batch for each run, since each has its own order.
    steps = compiled_for(getattr(step, "apart", step), _many_steps)

    def block(key, number, epochs):
        # Orders of several epochs at once, each drawn once.
        if (number, epochs) not in held:
            while len(held) > 1:
                held.pop(next(iter(held)))
            held[number, epochs] = _order(key, number * epochs, epochs, rows, shuffle)
        return held[number, epochs]

    def dispatch(train, at, n):
        epochs = -(-max(n * batch_size, 1 << 14) // rows)
        first, offset = divmod(at * batch_size, epochs * rows)
        last = (at * batch_size + n * batch_size - 1) // (epochs * rows)
        orders = block(train.key, first, epochs), block(train.key, last, epochs)
        return steps(train, data, orders, offset, n, batch_size)

    def advance(train, at, n):
        # The parts are as equal as can be, so that at most two programs are compiled.
        parts = -(-n * batch_size // INDICES)
        measured = []
        for part in range(parts):
            start, stop = part * n // parts, (part + 1) * n // parts
            train, metrics = dispatch(train, at + start, stop - start)
            measured.append(metrics)
        joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *measured)
        return train, joined if parts > 1 else measured[0], [batch_size] * n

    run = {"data": "arrays", "rows": rows, "batch_size": batch_size, "shuffle": shuffle}
    return Feed(advance, lambda: None, lambda position: None, run)


def _rows_of(leaf: Any, rows: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _order(key, first, epochs: int, rows: int, shuffle: bool):
    def one(key, epoch):
        places = jnp.arange(rows, dtype=jnp.int32)
        return _permutation(fold_in(fold_in(key, 1), epoch), rows) if shuffle else places

    if (
        jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim
    ):  # of several runs, each with its own order
        orders = jax.vmap(lambda key: jax.vmap(partial(one, key))(first + jnp.arange(epochs)))(key)
        return orders.reshape(*key.shape, -1)
    return jax.vmap(partial(one, key))(first + jnp.arange(epochs)).reshape(-1)


def _permutation(key, rows: int):
    """A random order of rows, int32 [rows]."""
    bits = (rows - 1).bit_length()
    if bits > 16:
        return jax.random.permutation(key, jnp.arange(rows, dtype=jnp.int32))
    # Random high bits and the place in the low ones: sorting one word is much faster on a CPU.
    order = places = jnp.arange(rows, dtype=jnp.uint32)
    low = jnp.uint32((1 << bits) - 1)
    for turn in range(2):  # the second settles what the first left tied
        drawn = jax.random.bits(fold_in(key, turn), (rows,))
        order = order[jnp.sort(drawn & ~low | places) & low]
    return order.astype(jnp.int32)


def _many_steps(step: Callable) -> Callable:
    """(train, data, orders, offset, n, batch_size) -> (train, metrics) of n steps in one scan."""

    @partial(jax.jit, static_argnums=(4, 5), donate_argnums=0)
    def steps(train, data, orders, offset, n: int, batch_size: int):
        order = jnp.concatenate(orders, axis=-1)  # [rows], or [runs, rows] in a sweep
        index = jax.lax.dynamic_slice_in_dim(order, offset, n * batch_size, axis=-1)
        index = jnp.moveaxis(index.reshape(*index.shape[:-1], n, batch_size), -2, 0)

        def body(train, index):
            batch = jax.tree.map(lambda leaf: leaf.at[index].get(mode="promise_in_bounds"), data)
            return step(train, batch)

        return jax.lax.scan(body, train, index)

    return steps


def stream(step: Callable, batches: Iterable, sharding: Sharding | None = None) -> Feed:
    """Any iterable of batches: the next one is on its way to the device while this one computes.

    An iterable that can be iterated again starts anew at its end; an iterator ends the run. Every
    batch runs at its own size, with a program for each size, since padding would take part in
    whatever couples rows, such as batch norm. A batch whose leaves share no row axis, such as a
    graph, counts as one row in the means of metrics. A position is the iterator's own where it has
    `get_state` and `set_state` (Grain), else the count of batches, which are drawn and passed over
    on resuming.

    Raises:
      TypeError: for what is not an iterable of batches, such as a net or a dict of arrays.
      ValueError: for no batches at all; on resuming for other batches than before; for batches
        without rows or with numbers that the device's dtypes cannot hold.
    """
    check_batches(batches)
    drawn, seen, place = 0, 0, None
    iterator: Iterator = iter(batches)
    kind = "an iterator that keeps its place" if hasattr(iterator, "get_state") else "an iterable"
    again = iterator is not batches

    def draw():
        # The next batch, on its way to the device; None at the end of all of them.
        nonlocal iterator, place
        place = _state(iterator)
        batch = next(iterator, None)
        if batch is None and again:
            iterator = iter(batches)
            place = _state(iterator)
            batch = next(iterator, None)
        if batch is None:
            return None
        batch = place_batch(sharding, as_arrays(batch, "a batch"))
        return common_rows(batch, "a batch") or 1, batch

    ahead: Any = ()  # nothing drawn yet

    def advance(train, at, n):
        nonlocal ahead, drawn, seen
        ahead = draw() if ahead == () else ahead
        if ahead is None and drawn == 0:
            raise ValueError("no batches: the iterable is empty, so there is nothing to train on.")
        metrics, rows = [], []
        while ahead is not None and len(rows) < n:
            size, batch = ahead
            train, measured = step(train, batch)
            metrics.append(measured)
            rows.append(size)
            drawn, seen = drawn + 1, seen + size
            ahead = draw()
        return train, metrics, rows

    def position():
        return {"batches": drawn, "rows": seen, "state": place}

    def seek(position):
        nonlocal drawn, seen
        drawn, seen = position["batches"], position["rows"]
        if position["state"] is not None:
            _restore(iterator, position["state"])
            return
        passed = [batch[0] for batch in (draw() for _ in range(drawn)) if batch is not None]
        if len(passed) < drawn or sum(passed) != seen:
            raise ValueError(
                f"the run was saved after {drawn} batches of {seen} rows in all, and the iterable "
                f"begins with {len(passed)} of {sum(passed)}: give the one of before."
            )

    run = batches.run if isinstance(batches, Loader) else {}
    return Feed(advance, position, seek, {"data": f"{kind} of batches"} | run)


def check_batches(batches: Any) -> None:
    """Raises TypeError if data are not an iterable of batches."""
    mend = "give batch_size=... for arrays, or a list or an iterator of batches"
    arrays = hasattr(batches, "__array__") or hasattr(batches, "__dlpack__")
    # A tuple of arrays is data: (x, target); a list of them is a list of batches.
    pair = isinstance(batches, tuple) and any(hasattr(each, "shape") for each in batches)
    if arrays or pair or isinstance(batches, dict | str) or not isinstance(batches, Iterable):
        raise TypeError(
            f"without batch_size, training takes an iterable of batches, got "
            f"{type(batches).__name__}: {mend}."
        )


def _state(iterator: Any) -> Any:
    if not hasattr(iterator, "get_state"):
        return None
    state = iterator.get_state()
    return {"text": state.decode()} if isinstance(state, bytes) else state


def _restore(iterator: Any, state: Any) -> None:
    iterator.set_state(state["text"].encode() if set(state) == {"text"} else state)
