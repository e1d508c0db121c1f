"""How fast a run goes and what it takes: rows and tokens a second, share of the roof, memory."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import check_number
from jaxnn.core import Tree


class Window(NamedTuple):
    """Steps that were dispatched together and make one row of the history."""

    end: int  # the last step
    metrics: Any  # one value a step, perhaps not computed yet
    rows: list[int]  # of each step
    tokens: int  # of all steps; 0 if the batches are not of tokens
    sent: float  # the clock before its first step was dispatched
    done: Future[float]  # and when its last one was computed


def count_tokens(batch: Tree) -> int:
    """Positions of a batch of tokens: integers [batch, time] in its first leaf, else 0.

    Bytes are not counted as tokens, since they mostly are the values of pixels.
    """
    leaf: Any = next(iter(jax.tree.leaves(batch)), None)
    if getattr(leaf, "ndim", None) != 2:
        return 0
    dtype = leaf.dtype
    return leaf.size if jnp.issubdtype(dtype, jnp.integer) and dtype.itemsize > 1 else 0


def tokens_of_rows(data: Tree) -> Callable[[list[int]], int]:
    """A function from the rows of steps to their tokens, for batches of rows of arrays."""
    leaf: Any = next(iter(jax.tree.leaves(data)), None)
    known = isinstance(leaf, np.ndarray | jax.Array) and len(leaf)
    each = count_tokens(leaf[:1]) if known else 0
    return lambda rows: each * sum(rows)


def counting(step: Callable) -> tuple[Callable, Callable[[list[int]], int]]:
    """The step, and a function that returns the tokens of its batches since the last call."""
    tokens = 0

    @wraps(step)
    def counted(train, batch):
        nonlocal tokens
        tokens += count_tokens(batch)
        return step(train, batch)

    def taken(rows: list[int]) -> int:
        nonlocal tokens
        found, tokens = tokens, 0
        return found

    return counted, taken


def check_roof(roof: Any) -> tuple[float, float] | None:
    """The floating-point operations (of the devices in a second, of a step), checked."""
    if roof is None:
        return None
    names = ("operations of the devices in a second", "operations of a step")
    for number, what in zip(roof, names, strict=True):
        check_number(number, f"roof: the {what}", above=0)
    return float(roof[0]), float(roof[1])


@contextmanager
def stopwatch(
    train: Tree, roof: tuple[float, float] | None
) -> Iterator[tuple[Callable[[Any], Future], Callable[[Window], dict]]]:
    """Two functions: (metrics) -> when they will be computed, and (window) -> what its row says.

    The second waits for its window, of which it is given each in turn. A window lasts from the end
    of the one before, or from its first dispatch if that was later, so that neither validations nor
    saves count. Another thread waits for the device, since this one sends the next steps meanwhile
    and would notice too late.
    """
    leaves = (leaf for leaf in jax.tree.leaves(train) if isinstance(leaf, jax.Array))
    devices = next((leaf.sharding.addressable_devices for leaf in leaves), set())
    devices = [device for device in devices if device.memory_stats()]
    ended = 0.0

    def clock(metrics) -> float:
        with suppress(Exception):  # the loop meets it as well, where it fetches them
            jax.block_until_ready(metrics)
        return time.perf_counter()

    def lap(window: Window) -> dict:
        nonlocal ended
        start, ended = max(window.sent, ended), window.done.result()
        seconds = max(ended - start, 1e-9)
        row = {"rows_per_second": sum(window.rows) / seconds}
        if window.tokens:
            row["tokens_per_second"] = window.tokens / seconds
        if roof is not None:
            row["share_of_roof"] = roof[1] * len(window.rows) / seconds / roof[0]
        if devices:
            row["peak_memory_bytes"] = max(_peak(device) for device in devices)
        return row

    thread = ThreadPoolExecutor(1, "pace")
    try:
        yield lambda metrics: thread.submit(clock, jax.tree.leaves(metrics)[-1:]), lap
    finally:
        thread.shutdown(wait=False)


def _peak(device: Any) -> float:
    stats = device.memory_stats()
    return float(stats.get("peak_bytes_in_use", stats.get("bytes_in_use", 0)))


def traced(advance: Callable, folder: Any) -> Callable:
    """A feed's `advance`, whose steps the profiler of JAX records in a folder."""

    def run(train, at, n):
        jax.block_until_ready(train)  # what is under way already is not part of it
        annotation = jax.profiler.StepTraceAnnotation("train", step_num=at)
        with jax.profiler.trace(str(folder)), annotation:
            return jax.block_until_ready(advance(train, at, n))

    return run
