"""A race of frameworks: each runs in its own process, and they take turns round after round.

Frameworks in one process would share threads, allocators and compile caches. Processes that wait
for their turn compute nothing, and ratios are taken within a round, so that they stay fair on a
machine whose speed drifts.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from benchmarks import timing
from jaxnn.checks import install


class Framework(NamedTuple):
    """Where a framework's cases are: `benchmarks/peers/{library}/{benchmark}[_{variant}].py`.

    The folder has the name of the package that has to be installed.
    """

    library: str
    variant: str = ""

    def module(self, benchmark: str) -> str:
        """The module of its cases, below `benchmarks.peers`."""
        return f"{self.library}.{benchmark}{'_' if self.variant else ''}{self.variant}"

    def installed(self) -> bool:
        """Whether its library is installed."""
        return importlib.util.find_spec(self.library) is not None


OURS = "jaxnn"
FRAMEWORKS = {
    OURS: Framework("jaxnn"),
    "jaxnn by steps": Framework("jaxnn", "by_steps"),
    "Flax NNX": Framework("flax"),
    "Equinox": Framework("equinox"),
    "PyTorch": Framework("torch"),
    "torch.compile": Framework("torch", "compiled"),
    "PyTorch Geometric": Framework("torch_geometric"),
    "snnTorch": Framework("snntorch"),
    "snnTorch, currents once": Framework("snntorch", "hoisted"),
    "MiniSom": Framework("minisom"),
    "scikit-learn": Framework("sklearn"),
}
JAX_PEERS = ("Flax NNX", "Equinox")
INSTALL = install("peers")
MATMUL = (1024, 1536)  # the sizes that are tried for the machine's own matmul rate

Ask = Callable[[dict[str, Any]], dict[str, Any]]  # request -> answer
Worker = tuple[list[str], Ask]  # the titles that a process has, and a function that asks it


@contextmanager
def worker(module: str) -> Iterator[Worker]:
    """A process that serves the cases of a module of `benchmarks.peers`; it ends on exit.

    Raises:
      RuntimeError: if the process ends before it answers.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "benchmarks.peers", module]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        requests, answers = process.stdin, process.stdout
        assert requests is not None
        assert answers is not None

        def answer() -> dict[str, Any]:
            line = answers.readline()
            if not line:
                raise RuntimeError(f"{module} ended with exit code {process.wait()}: see above.")
            return json.loads(line)

        def ask(request: dict[str, Any]) -> dict[str, Any]:
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            return answer() if "case" in request else {}

        # Leaving this block closes the stdin of the process, and it ends.
        yield answer()["cases"], ask


def race(benchmark: str, titles: Sequence[str], rounds: int, turn: float) -> dict[str, Any]:
    """Run every case in every installed framework that has it.

    Args:
      benchmark: the name of the benchmark, as in the file names of `benchmarks/peers`.
      titles: the cases.
      rounds: turns of each framework.
      turn: approximate seconds that a turn takes.

    Returns:
      "rows": one for each case and framework (see `row`); "rates": the machine's matmul rate in
      flop/s by case; "absent": frameworks that are not installed.
    """
    modules = {name: each.module(benchmark) for name, each in FRAMEWORKS.items()}
    modules = {
        name: module
        for name, module in modules.items()
        if importlib.util.find_spec(f"benchmarks.peers.{module}")
    }
    absent = [name for name in modules if not FRAMEWORKS[name].installed()]
    rows, rates = [], {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {
            name: stack.enter_context(worker(module))
            for name, module in modules.items()
            if name not in absent
        }
        for title in titles:
            seconds, facts, rates[title] = race_case(title, workers, rounds, turn)
            rows += [row(title, name, seconds, facts[name]) for name in seconds]
    return {"rows": rows, "rates": rates, "absent": absent}


def race_case(
    title: str, workers: Mapping[str, Worker], rounds: int, turn: float
) -> tuple[dict[str, list[float]], dict[str, dict], float]:
    """Run one case, in turns, in every framework that has it.

    Returns:
      Seconds a step by framework, a value for each round; the first answer of each framework; the
      matmul rate.
    """
    runners = {name: ask for name, (titles, ask) in workers.items() if title in titles}
    print(f"{title}: {', '.join(runners)}", file=sys.stderr)
    facts, steps = {}, {}
    for name, ask in runners.items():
        facts[name] = ask({"case": title, "steps": 2})
        once = ask({"case": title, "steps": 2})["seconds"] / 2
        steps[name] = max(1, round(turn / once))
        ask({"case": title, "steps": steps[name]})  # this number of steps may be its own program

    def take(name: str) -> float:
        return runners[name]({"case": title, "steps": steps[name]})["seconds"] / steps[name]

    matmuls = timing.matmuls(MATMUL)
    for run in matmuls.values():
        timing.seconds(run)
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    matmul_seconds: dict[int, list[float]] = {n: [] for n in MATMUL}
    for i in range(rounds):
        for name in list(runners)[:: -1 if i % 2 else 1]:
            seconds[name].append(take(name))
        for n, run in matmuls.items():
            matmul_seconds[n].append(timing.seconds(run))
    for ask in runners.values():
        ask({"drop": title})
    return seconds, facts, timing.quartiles(timing.matmul_rates(matmul_seconds))[1]


def row(title: str, framework: str, seconds: Mapping[str, list[float]], facts: dict) -> dict:
    """The results of one case in one framework.

    Args:
      title: the case.
      framework: the framework.
      seconds: seconds a step of each framework, a value for each round.
      facts: the first answer of the framework's process.

    Returns:
      Milliseconds a step as quartiles, "jaxnn_over_it" (jaxnn's time over this one within a round:
      below 1, jaxnn is faster), parameters, and seconds until the first step was done.
    """
    low, median, high = (1e3 * value for value in timing.quartiles(seconds[framework]))
    return {
        "case": title,
        "framework": framework,
        "median_ms": median,
        "low_ms": low,
        "high_ms": high,
        "jaxnn_over_it": timing.ratio(seconds[OURS], seconds[framework]),
        "parameters": facts["parameters"],
        "first_step_seconds": facts["first_seconds"],
    }
