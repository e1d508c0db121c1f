"""Is a training step of common networks as fast here as in Flax NNX, Equinox and PyTorch?

Forward, backward and SGD with momentum on one batch, as users of each framework write them. What
bounds each case, what was tried and what each try gave stands in benchmarks/README.md.
"""

import os
import platform
from pathlib import Path
from typing import Any

import jax

from benchmarks import chart as charts
from benchmarks import race
from benchmarks import raced as reports
from benchmarks.backends import check, verdicts
from benchmarks.peers import sizes

TITLES = (
    *(sizes.CNN, sizes.RESNET, sizes.DEPTHWISE),
    *(sizes.LSTM, sizes.LONG_LSTM, sizes.GRU, sizes.LONG_GRU),
    *(sizes.GPT, sizes.LONG_GPT),
)
QUICK = (sizes.CNN, sizes.LSTM)


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, then checks against bars."""
    titles = QUICK if quick else TITLES
    raced = race.race("layers", titles, rounds=3 if quick else 11, turn=0.05 if quick else 0.4)
    for row in raced["rows"]:
        rate = sizes.flops(row["case"]) / row["median_ms"] * 1e3
        row["share_of_matmul"] = rate / raced["rates"][row["case"]]
    return {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        **raced,
        "checks": bars(raced["rows"]),
    }


def bars(rows: list[dict]) -> list[dict]:
    """jaxnn against the fastest JAX peer of each case, and the CNN's factor over Flax NNX."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    checks = reports.over_the_fastest(rows)
    if (sizes.CNN, "Flax NNX") in over:
        faster = 1 / over[sizes.CNN, "Flax NNX"]
        checks.append(check("times as fast as Flax NNX, the CNN", faster, 2.5, True))
    return checks


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One training step: forward, backward, SGD with momentum (jax {report['jax']}, "
        f"{report['machine']}); each framework in a process of its own, rounds interleaved.",
        *reports.absent(report),
    ]
    more = {"of matmul": lambda row: f"{row['share_of_matmul']:.1%}"}
    for title, rate in report["rates"].items():
        gigas = sizes.flops(title) / 1e9
        heading = f"{title}: {gigas:.3g} GFLOP; matmul {rate / 1e9:.0f} GFLOP/s"
        lines += reports.table(report, title, heading, more)
    return "\n".join([*lines, "", *verdicts(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel a case, with the time that its matmuls alone would take."""
    panels = []
    for title, rate in report["rates"].items():
        limit = (1e3 * sizes.flops(title) / rate, "its flops at the matmul rate")
        panels.append(reports.panel(report, title, limit))
    charts.draw(path, "One training step: forward, backward, SGD", "ms a step", panels)
