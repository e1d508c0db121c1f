"""What does a step cost in the families that other libraries leave out, beside who has them?

A spiking net beside snnTorch, an epoch of graph networks beside PyTorch Geometric, a map beside
MiniSom, a fitted RBF network beside scikit-learn's kernel ridge regression, and a mixture of
experts beside the dense net of as many multiply-adds. Each framework runs in a process of its own
and they take turns.
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
from benchmarks.peers import family_sizes, graph_sizes, modular_in_jaxnn

EXPERTS = modular_in_jaxnn.TOP_1, modular_in_jaxnn.TOP_2
DENSE = modular_in_jaxnn.DENSE
PEERS = {  # who is raced, and how many times as fast jaxnn should be
    family_sizes.SOM: ("MiniSom", 20.0),
    family_sizes.RBF: ("scikit-learn", 1.0),
    family_sizes.SPIKING: ("snnTorch", 5.0),
    graph_sizes.GCN: ("PyTorch Geometric", 1.0),
    graph_sizes.GAT: ("PyTorch Geometric", 1.0),
}
TITLES = *PEERS, DENSE, *EXPERTS
QUICK = family_sizes.SOM, DENSE, EXPERTS[0]
COST = 1.5  # of a mixture over the dense net, at most


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, then checks against bars."""
    titles = QUICK if quick else TITLES
    # A turn of a mixture is one dispatch of `fit`, which asks the system for its memory once.
    raced = race.race("families", titles, rounds=3 if quick else 11, turn=0.05 if quick else 1.5)
    return {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        **raced,
        "checks": bars(raced["rows"]),
    }


def bars(rows: list[dict]) -> list[dict]:
    """How many times as fast as the peer, and what a mixture takes of the dense net's step."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    took = {row["case"]: row["median_ms"] for row in rows if row["framework"] == race.OURS}
    checks = []
    for title, (peer, least) in PEERS.items():
        if (title, peer) in over:
            faster = 1 / over[title, peer]
            checks.append(check(f"times as fast as {peer}, {title}", faster, least, True))
    for title in EXPERTS:
        if title in took:
            ratio = took[title] / took[DENSE]
            checks.append(check(f"step over the dense net's, {title}", ratio, COST))
    return checks


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One step, epoch, pass or fit (jax {report['jax']}, {report['machine']}); each framework "
        "in a process of its own, rounds interleaved.",
        *reports.absent(report),
    ]
    for title in reports.titles(report["rows"]):
        lines += reports.table(report, title)
    return "\n".join([*lines, "", *verdicts(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel a case."""
    panels = [reports.panel(report, each) for each in reports.titles(report["rows"])]
    charts.draw(path, "Families: a step, an epoch, a pass or a fit", "ms", panels)
