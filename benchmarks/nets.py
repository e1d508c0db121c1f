"""How many images a second do the nets of pictures train on, beside Flax NNX, Equinox and PyTorch?

An update step on one batch, forward, backward and optimizer, as users of each framework write it:
SGD with momentum for classifiers and the U-Net, Adam for the DCGAN's pair of steps and for the
autoencoder. Each framework runs in a process of its own and they take turns. What bounds each case
stands in benchmarks/README.md.
"""

import os
import platform
from pathlib import Path
from typing import Any

import jax

from benchmarks import chart as charts
from benchmarks import race
from benchmarks import raced as reports
from benchmarks.backends import verdicts
from benchmarks.peers import net_sizes

TITLES = tuple(net_sizes.ROWS)
QUICK = (net_sizes.LENET, net_sizes.VAE)


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, then checks against bars."""
    titles = QUICK if quick else TITLES
    raced = race.race("nets", titles, rounds=3 if quick else 11, turn=0.05 if quick else 0.5)
    for row in raced["rows"]:
        row["images_a_second"] = net_sizes.ROWS[row["case"]] / row["median_ms"] * 1e3
    return {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        **raced,
        "checks": reports.over_the_fastest(raced["rows"]),
    }


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One update step (jax {report['jax']}, {report['machine']}); each framework in a process "
        "of its own, rounds interleaved.",
        *reports.absent(report),
    ]
    more = {"images/s": lambda row: f"{row['images_a_second']:.0f}"}
    for title in reports.titles(report["rows"]):
        lines += reports.table(report, title, more=more)
    return "\n".join([*lines, "", *verdicts(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel a case."""
    panels = [reports.panel(report, each) for each in reports.titles(report["rows"])]
    charts.draw(path, "One update step of the nets of pictures", "ms a step", panels)
