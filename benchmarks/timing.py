"""How times are taken: in rounds that interleave all variants, so that compared runs are adjacent.

A machine's speed drifts from minute to minute, but ratios within one round hold. Therefore every
round runs each variant once, and with them the machine's own matmul; all results are medians over
rounds.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp


def environment() -> dict[str, str]:
    """The JAX version and the machine, for a report."""
    return {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def seconds(run: Callable[[], Any]) -> float:
    """The time of one call, until its result is ready."""
    begin = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - begin


def compile_seconds(run: Callable[[], Any]) -> float:
    """How much longer a first call takes than a second one: the time to trace and compile."""
    first = seconds(run)
    return max(first - seconds(run), 0.0)


def interleaved(variants: Mapping[Any, Callable[[], Any]], rounds: int) -> dict[Any, list[float]]:
    """Seconds that a call of each variant takes in each round, after one round of warm-up.

    Every other round runs backwards, so that no variant always follows the same other one.
    """
    for run in variants.values():
        jax.block_until_ready(run())
    taken: dict[Any, list[float]] = {title: [] for title in variants}
    for i in range(rounds):
        for title in list(variants)[:: -1 if i % 2 else 1]:
            taken[title].append(seconds(variants[title]))
    return taken


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile.

    >>> quartiles([4.0, 1.0, 2.0, 3.0, 5.0])
    (2.0, 3.0, 4.0)
    """
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over rounds of the ratio within a round.

    >>> ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0])
    2.0
    """
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def matmuls(sizes: Sequence[int]) -> dict[int, Callable[[], jax.Array]]:
    """Products of two square float32 matrices by size, as variants for `interleaved`."""
    multiply = jax.jit(jnp.matmul)
    matrices = {n: jax.random.normal(jax.random.key(n), (n, n), jnp.float32) for n in sizes}
    return {n: lambda a=a: multiply(a, a) for n, a in matrices.items()}


def matmul_rates(taken: Mapping[int, Sequence[float]]) -> list[float]:
    """The matmul rate of each round in flop/s: 2 n^3 over its time, at the fastest size n."""
    best = max(taken, key=lambda n: n**3 / statistics.median(taken[n]))
    return [2 * best**3 / value for value in taken[best]]


def import_seconds(module: str, after: Sequence[str], repeats: int) -> list[float]:
    """Seconds that `import module` takes in a fresh process which has imported others before."""
    program = (
        f"import time, {', '.join(after)}\nbegin = time.perf_counter()\n"
        f"import {module}\nprint(time.perf_counter() - begin)"
    )
    # The same search path as here, so that the same module is found from any folder.
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program]
    taken = []
    for _ in range(repeats):
        done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE, text=True)
        taken.append(float(done.stdout))
    return taken
