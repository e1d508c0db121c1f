"""Where batches come from: data that lives on the device, or any iterable of batches."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.core import Tree, branch, count, describe, floating, signature_has
from jaxnn.training.step import Train


class Feed(NamedTuple):
    """Batches for a loop, as three functions.

    advance: (train, at, n) -> (train, metrics, rows), up to n steps from step `at`, not waited for;
      metrics and rows hold one value a step.
    position: () -> what finds the place in the data again, ready for JSON.
    seek: (position) -> None, before the first step.
    """

    advance: Callable[[Train, int, int], tuple[Train, Any, list]]
    position: Callable[[], Any]
    seek: Callable[[Any], None]


def resident(step: Callable, data: Tree, batch_size: int, shuffle: bool = True) -> Feed:
    """Data on the device: shuffled there, many steps in one dispatch.

    Batches run on over the end of an epoch: each epoch has its own order and every row comes once
    in it, so that no batch is ragged and no row is lost. The order depends on the key of the run
    and the step alone.

    Raises:
      ValueError: for no rows, leaves of unequal rows, a batch larger than the data, or NaN.
    """
    rows = count_rows(data, "data")
    batch_size = count(batch_size, "batch_size")
    if batch_size > rows:
        raise ValueError(
            f"batch_size {batch_size} is larger than the data of {rows} rows: use {rows} at most."
        )
    refuse_nan(data)
    data = jax.device_put(data)
    held: dict[tuple[int, int], jax.Array] = {}  # the last two blocks of orders

    def block(key, number, epochs):
        # Orders of several epochs at once, each drawn once.
        if (number, epochs) not in held:
            while len(held) > 1:
                held.pop(next(iter(held)))
            held[number, epochs] = _order(key, number * epochs, epochs, rows, shuffle)
        return held[number, epochs]

    def advance(train, at, n):
        epochs = -(-max(n * batch_size, 1 << 14) // rows)
        first, offset = divmod(at * batch_size, epochs * rows)
        last = (at * batch_size + n * batch_size - 1) // (epochs * rows)
        orders = block(train.key, first, epochs), block(train.key, last, epochs)
        train, metrics = _steps(step, train, data, orders, offset, n, batch_size)
        return train, metrics, [batch_size] * n

    return Feed(advance, lambda: None, lambda position: None)


@partial(jax.jit, static_argnums=(2, 3, 4))
def _order(key, first, epochs: int, rows: int, shuffle: bool):
    def one(epoch):
        places = jnp.arange(rows, dtype=jnp.int32)
        return _permutation(branch(branch(key, 1), epoch), rows) if shuffle else places

    return jax.vmap(one)(first + jnp.arange(epochs)).reshape(-1)


def _permutation(key, rows: int):
    """A random order of rows, int32 [rows]."""
    bits = (rows - 1).bit_length()
    if bits > 16:
        return jax.random.permutation(key, jnp.arange(rows, dtype=jnp.int32))
    # Random high bits and the place in the low ones: sorting one word is much faster on a CPU.
    order = places = jnp.arange(rows, dtype=jnp.uint32)
    low = jnp.uint32((1 << bits) - 1)
    for turn in range(2):  # the second settles what the first left tied
        drawn = jax.random.bits(branch(key, turn), (rows,))
        order = order[jnp.sort(drawn & ~low | places) & low]
    return order.astype(jnp.int32)


@partial(jax.jit, static_argnums=(0, 5, 6), donate_argnums=1)
def _steps(step, train, data, orders, offset, n: int, batch_size: int):
    order = jnp.concatenate(orders)
    index = jax.lax.dynamic_slice(order, (offset,), (n * batch_size,)).reshape(n, batch_size)

    def body(train, index):
        batch = jax.tree.map(lambda leaf: leaf.at[index].get(mode="promise_in_bounds"), data)
        return step(train, batch)

    return jax.lax.scan(body, train, index)


def stream(step: Callable, batches: Iterable) -> Feed:
    """Any iterable of batches: the next one is on its way to the device while this one computes.

    An iterable that can be iterated again starts anew at its end; an iterator ends the run. A
    batch of fewer rows than the first is padded, and weighed so that padding equals none, where
    the loss takes `weight`; where it does not, it runs at its own size, with a program of its own.
    A position is the iterator's own where it has `get_state` and `set_state` (Grain), else the
    count of batches, which are drawn and passed over on resuming.

    Raises:
      ValueError: for no batches at all.
    """
    weighs = signature_has(step, "weight")
    drawn, size, place = 0, 0, None
    iterator: Iterator = iter(batches)
    again = iterator is not batches

    def draw():
        # The next batch, on its way to the device; None at the end of all of them.
        nonlocal iterator, place, size
        place = _state(iterator)
        batch = next(iterator, None)
        if batch is None and again:
            iterator = iter(batches)
            place = _state(iterator)
            batch = next(iterator, None)
        if batch is None:
            return None
        rows = count_rows(batch, "a batch")
        size = size or rows
        weight = None
        if weighs:
            missing = max(size - rows, 0)
            weight = np.arange(rows + missing) < rows
            if missing:
                batch = jax.tree.map(lambda leaf: _pad(leaf, missing), batch)
        return rows, jax.device_put(batch), jax.device_put(weight)

    ahead: Any = ()  # nothing drawn yet

    def advance(train, at, n):
        nonlocal ahead, drawn
        ahead = draw() if ahead == () else ahead
        if ahead is None and drawn == 0:
            raise ValueError("no batches: the iterable is empty, so there is nothing to train on.")
        metrics, rows = [], []
        while ahead is not None and len(rows) < n:
            size, batch, weight = ahead
            train, measured = step(train, batch, weight) if weighs else step(train, batch)
            metrics.append(measured)
            rows.append(size)
            drawn += 1
            ahead = draw()
        return train, metrics, rows

    def position():
        return {"batches": drawn, "state": place}

    def seek(position):
        nonlocal drawn
        drawn = position["batches"]
        if position["state"] is not None:
            _restore(iterator, position["state"])
        else:
            for _ in range(drawn):
                draw()

    return Feed(advance, position, seek)


def _state(iterator: Any) -> Any:
    if not hasattr(iterator, "get_state"):
        return None
    state = iterator.get_state()
    return {"text": state.decode()} if isinstance(state, bytes) else state


def _restore(iterator: Any, state: Any) -> None:
    iterator.set_state(state["text"].encode() if set(state) == {"text"} else state)


def _pad(leaf: Any, missing: int) -> Any:
    # The last row again, not zeros: a net may divide by what it is given.
    return np.concatenate([leaf, np.repeat(np.asarray(leaf)[-1:], missing, axis=0)])


def count_rows(data: Tree, what: str) -> int:
    """Rows of a pytree of arrays; raises ValueError where there are none or they differ."""
    leaves = jax.tree.leaves(data)
    if any(jnp.ndim(leaf) == 0 for leaf in leaves):
        raise ValueError(f"{what} holds a scalar, {describe(data)}: every leaf needs a row axis.")
    counts = {leaf.shape[0] for leaf in leaves}
    if len(counts) > 1:
        raise ValueError(f"{what} has leaves of unequal rows, {describe(data)}: make them equal.")
    if counts in (set(), {0}):
        raise ValueError(f"{what} has no rows, {describe(data)}: there is nothing to learn from.")
    return counts.pop()


def refuse_nan(data: Tree) -> None:
    """Raises ValueError where a floating leaf holds NaN, naming the leaf and its first row."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        if floating(leaf):
            bad = jnp.isnan(leaf).reshape(leaf.shape[0], -1).any(axis=1)
            if bad.any():
                raise ValueError(
                    f"data{jax.tree_util.keystr(path)} holds NaN in {int(bad.sum())} rows, first "
                    f"in row {int(bad.argmax())}: fill them in, or leave those rows out."
                )
