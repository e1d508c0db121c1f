"""Steps at the sizes of an accelerator card, in jaxnn or in PyTorch: one line of JSON for each.

`python -m benchmarks.card jaxnn` runs every case of one framework in this process and prints each
result as soon as it is known, so that nothing is lost if the run ends early. A case that fails is
reported, and the next one runs. `--quick` shows on a machine without a card that the cases run.
"""

import argparse
import gc
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

FRAMEWORKS = {"jaxnn": "jaxnn", "PyTorch": "torch"}  # and the folder of `benchmarks.peers`
DTYPES = ("bfloat16", "tf32", "float32")


def cases(framework: str, quick: bool) -> dict[tuple[str, str], Callable]:
    """The functions that build the cases of a framework, by title and dtype."""
    peer = importlib.import_module(f"benchmarks.peers.{FRAMEWORKS[framework]}.card")
    every = {(title, dtype): make for title, make in peer.CASES.items() for dtype in DTYPES}
    return {
        (title, dtype): partial(make, dtype, quick)
        for (title, dtype), make in (every | peer.ONE_DTYPE).items()
    }


def measured(make: Callable, seconds: float) -> dict[str, Any]:
    """The time of a step: the median of five rounds, each about a fifth of the seconds long."""
    begin = time.perf_counter()
    run, wait, facts = make()
    wait(run())
    first = time.perf_counter() - begin
    for _ in range(3):
        wait(run())
    begin = time.perf_counter()
    wait(run())
    once = time.perf_counter() - begin
    steps, rounds = max(1, int(seconds / 5 / once)), []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(steps):
            value = run()
        wait(value)
        rounds.append((time.perf_counter() - begin) / steps)
    return {
        "ms": 1e3 * statistics.median(rounds),
        "low_ms": 1e3 * min(rounds),
        "high_ms": 1e3 * max(rounds),
        "first_seconds": first,
        "value": float(np.asarray(value.tolist()).ravel()[0]),
        **facts,
    }


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.card", description=__doc__)
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("--quick", action="store_true", help="few rows, for a machine without card")
    parser.add_argument("--only", default="", help="only cases whose title and dtype contain this")
    parser.add_argument("--dtypes", nargs="+", default=DTYPES, choices=DTYPES)
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing, for each case")
    args = parser.parse_args(argv)
    makes = cases(args.framework, args.quick)
    for title, dtype in sorted(makes, key=lambda case: DTYPES.index(case[1])):
        if args.only not in f"{title} {dtype}" or dtype not in args.dtypes:
            continue
        row = {"framework": args.framework, "case": title, "dtype": dtype}
        try:
            row |= measured(makes[title, dtype], args.seconds)
        except Exception as error:  # the other cases run all the same
            row["error"] = f"{type(error).__name__}: {error}"[:600]
        print(json.dumps(row), flush=True)
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
