"""Frameworks side by side: each in a process of its own, taking turns round after round.

Frameworks in one process would share threads, allocators and compile caches. Processes that wait
for their turn compute nothing, and ratios are taken within a round, so that a machine whose speed
drifts still gives fair ones.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks import timing
from jaxnn.checks import install

OURS = "jaxnn"
FRAMEWORKS = {
    OURS: "jaxnn",
    "jaxnn by steps": "jaxnn_by_steps",
    "Flax NNX": "flax",
    "Equinox": "equinox",
    "PyTorch": "torch",
    "torch.compile": "torch_compiled",
    "PyTorch Geometric": "torch_geometric",
    "snnTorch": "snntorch",
    "snnTorch, currents once": "snntorch_hoisted",
    "MiniSom": "minisom",
    "scikit-learn": "sklearn",
}
# The library of a module that is not named after it.
LIBRARIES = {"jaxnn_by_steps": "jaxnn", "torch_compiled": "torch", "snntorch_hoisted": "snntorch"}
JAX_PEERS = ("Flax NNX", "Equinox")
INSTALL = install("peers")
MATMUL = (1024, 1536)  # sizes that are tried for the machine's own rate

Ask = Any  # (request) -> answer


@contextmanager
def worker(module: str) -> Iterator[tuple[list[str], Ask]]:
    """The titles that a module of `benchmarks.peers` has, and a function that asks its process.

    Raises:
      RuntimeError: where the process ends before it answers.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "benchmarks.peers", module]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        to, back = process.stdin, process.stdout
        assert to is not None
        assert back is not None

        def answer() -> dict[str, Any]:
            line = back.readline()
            if not line:
                raise RuntimeError(f"{module} ended with exit code {process.wait()}: see above.")
            return json.loads(line)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            to.write(json.dumps(request) + "\n")
            to.flush()
            return answer() if "case" in request else {}

        # Leaving closes its stdin, at which it ends.
        yield answer()["cases"], ask


def race(benchmark: str, titles: Sequence[str], rounds: int, turn: float) -> dict[str, Any]:
    """Every title in every framework that is installed and has it.

    Args:
      benchmark: the modules of `benchmarks.peers` are those named `benchmark_in_...`.
      titles: the cases.
      rounds: turns of each framework.
      turn: seconds that a turn takes, about.

    Returns:
      "rows": framework and case, milliseconds a step as quartiles, what jaxnn's step takes of it
      within a round, parameters, and seconds until the first step was done; "rates": the matmul
      rate in flop/s by case; "absent": frameworks that are not installed.
    """
    modules = {each: f"benchmarks.peers.{benchmark}_in_{m}" for each, m in FRAMEWORKS.items()}
    modules = {each: m for each, m in modules.items() if importlib.util.find_spec(m)}
    there = {each: m for each, m in modules.items() if installed(each)}
    rows, rates = [], {}
    with ExitStack() as stack:
        asks: dict[str, tuple[list[str], Ask]] = {}
        for framework, module in there.items():
            asks[framework] = stack.enter_context(worker(module.rpartition(".")[2]))
        for title in titles:
            print(f"{title}: {', '.join(there)}", file=sys.stderr)
            taken, facts, rates[title] = one(title, asks, rounds, turn)
            rows += [row(title, framework, taken, facts[framework]) for framework in taken]
    return {
        "rows": rows,
        "rates": rates,
        "absent": [each for each in modules if each not in there],
    }


def installed(framework: str) -> bool:
    """Whether there is the library that a framework's module is named after."""
    module = FRAMEWORKS[framework]
    return importlib.util.find_spec(LIBRARIES.get(module, module)) is not None


def one(title: str, asks: Mapping[str, tuple[list[str], Ask]], rounds: int, turn: float):
    """Seconds a step by framework and round, what was told of each, and the matmul rate."""
    asked = {each: ask for each, (titles, ask) in asks.items() if title in titles}
    facts, steps = {}, {}
    for framework, ask in asked.items():
        facts[framework] = ask({"case": title, "steps": 2})
        once = ask({"case": title, "steps": 2})["seconds"] / 2
        steps[framework] = max(1, round(turn / once))
        ask({"case": title, "steps": steps[framework]})  # so many may be a program of their own

    def take(framework):
        answer = asked[framework]({"case": title, "steps": steps[framework]})
        return answer["seconds"] / steps[framework]

    matmuls = timing.matmuls(MATMUL)
    for run in matmuls.values():
        timing.seconds(run)
    taken, roofs = {framework: [] for framework in asked}, {n: [] for n in MATMUL}
    for i in range(rounds):
        for framework in list(asked)[:: -1 if i % 2 else 1]:
            taken[framework].append(take(framework))
        for n, run in matmuls.items():
            roofs[n].append(timing.seconds(run))
    for ask in asked.values():
        ask({"drop": title})
    return taken, facts, timing.quartiles(timing.roof(roofs))[1]


def row(title: str, framework: str, taken: Mapping[str, list[float]], facts: dict) -> dict:
    """A framework's times of one case, and jaxnn's over them: below 1, jaxnn is faster."""
    low, median, high = (1e3 * seconds for seconds in timing.quartiles(taken[framework]))
    return {
        "case": title,
        "framework": framework,
        "median_ms": median,
        "low_ms": low,
        "high_ms": high,
        "jaxnn_over_it": timing.ratio(taken[OURS], taken[framework]),
        "parameters": facts["parameters"],
        "first_step_seconds": facts["first_seconds"],
    }
