"""Is a training step of common networks as fast here as in Flax NNX, Equinox and PyTorch?

Forward, backward and SGD with momentum on one batch, as users of each framework write them.
docs/performance.md says what limits each case and what was tried.
"""

from pathlib import Path
from typing import Any

from benchmarks import chart as charts
from benchmarks import checks, race, timing
from benchmarks import race_report as reports
from benchmarks.peers import cases

TITLES = (
    *(cases.CNN, cases.SMALL_RESNET, cases.DEPTHWISE),
    *(cases.LSTM, cases.LONG_LSTM, cases.GRU, cases.LONG_GRU),
    *(cases.GPT, cases.LONG_GPT),
)
QUICK = (cases.CNN, cases.LSTM)


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, and the checks."""
    titles = QUICK if quick else TITLES
    results = race.race("layers", titles, rounds=3 if quick else 11, turn=0.05 if quick else 0.4)
    for row in results["rows"]:
        rate = cases.flops(row["case"]) / row["median_ms"] * 1e3
        row["share_of_matmul"] = rate / results["rates"][row["case"]]
    return {**timing.environment(), **results, "checks": checks_of(results["rows"])}


def checks_of(rows: list[dict]) -> list[dict]:
    """jaxnn beside the fastest JAX peer of each case, and its factor over Flax NNX for the CNN."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    found = reports.over_the_fastest(rows)
    if (cases.CNN, "Flax NNX") in over:
        faster = 1 / over[cases.CNN, "Flax NNX"]
        found.append(checks.check("times as fast as Flax NNX, the CNN", faster, 2.5, True))
    return found


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One training step: forward, backward, SGD with momentum (jax {report['jax']}, "
        f"{report['machine']}); each framework in its own process, rounds interleaved.",
        *reports.absent(report),
    ]
    columns = {"of matmul": lambda row: f"{row['share_of_matmul']:.1%}"}
    for title, rate in report["rates"].items():
        gflops = cases.flops(title) / 1e9
        heading = f"{title}: {gflops:.3g} GFLOP; matmul {rate / 1e9:.0f} GFLOP/s"
        lines += reports.table(report, title, heading, columns)
    return "\n".join([*lines, "", *checks.lines(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel for each case, with the time that its flops take at the matmul rate."""
    panels = []
    for title, rate in report["rates"].items():
        limit = (1e3 * cases.flops(title) / rate, "its flops at the matmul rate")
        panels.append(reports.panel(report, title, limit))
    charts.draw(path, "One training step: forward, backward, SGD", "ms a step", panels)
