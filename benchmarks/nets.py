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
from benchmarks.backends import check, verdicts
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
        "checks": bars(raced["rows"]),
    }


def bars(rows: list[dict]) -> list[dict]:
    """jaxnn against the fastest JAX peer of each case."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    checks = []
    for title in dict.fromkeys(row["case"] for row in rows):
        peers = [over[title, each] for each in race.JAX_PEERS if (title, each) in over]
        if peers:
            checks.append(check(f"step over the fastest JAX peer's, {title}", max(peers), 1.0))
    return checks


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One update step (jax {report['jax']}, {report['machine']}); each framework in a process "
        "of its own, rounds interleaved."
    ]
    lines += [f"{each} is not installed: {race.INSTALL}" for each in report["absent"]]
    for title in dict.fromkeys(row["case"] for row in report["rows"]):
        lines += [
            *("", title),
            f"  {'framework':<12}{'images/s':>10}{'ms/step':>9}{'[quartiles]':>20}"
            f"{'jaxnn/it':>10}{'first s':>9}{'parameters':>12}",
        ]
        for row in report["rows"]:
            if row["case"] == title:
                spread = f"[{row['low_ms']:.2f}, {row['high_ms']:.2f}]"
                lines.append(
                    f"  {row['framework']:<12}{row['images_a_second']:>10.0f}"
                    f"{row['median_ms']:>9.2f}{spread:>20}{row['jaxnn_over_it']:>10.2f}"
                    f"{row['first_step_seconds']:>9.1f}{row['parameters']:>12}"
                )
    return "\n".join([*lines, "", *verdicts(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel a case."""
    panels = []
    for title in dict.fromkeys(row["case"] for row in report["rows"]):
        bars = [
            charts.Bar(row["framework"], "float32", row["low_ms"], row["median_ms"], row["high_ms"])
            for row in report["rows"]
            if row["case"] == title
        ]
        panels.append(charts.Panel(title, bars))
    charts.draw(path, "One update step of the nets of pictures", "ms a step", panels)
