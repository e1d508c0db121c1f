"""How many images a second do image nets train on, beside Flax NNX, Equinox and PyTorch?

An update step on one batch, forward, backward and optimizer, as users of each framework write it:
SGD with momentum for the classifiers and the U-Net, Adam for the two steps of the DCGAN and for the
autoencoder. Each framework runs in its own process, and they take turns. docs/performance.md says
what limits each case.
"""

from pathlib import Path
from typing import Any

from benchmarks import chart as charts
from benchmarks import checks, race, timing
from benchmarks import race_report as reports
from benchmarks.peers import cases

TITLES = tuple(cases.IMAGES)
QUICK = (cases.LENET, cases.VAE)


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, and the checks."""
    titles = QUICK if quick else TITLES
    results = race.race("nets", titles, rounds=3 if quick else 11, turn=0.05 if quick else 0.5)
    for row in results["rows"]:
        row["images_a_second"] = cases.IMAGES[row["case"]] / row["median_ms"] * 1e3
    found = reports.over_the_fastest(results["rows"])
    return {**timing.environment(), **results, "checks": found}


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One update step (jax {report['jax']}, {report['machine']}); each framework in its own "
        "process, rounds interleaved.",
        *reports.absent(report),
    ]
    columns = {"images/s": lambda row: f"{row['images_a_second']:.0f}"}
    for title in reports.titles(report["rows"]):
        lines += reports.table(report, title, columns=columns)
    return "\n".join([*lines, "", *checks.lines(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel for each case."""
    charts.draw(path, "One update step of image nets", "ms a step", reports.panels(report))
