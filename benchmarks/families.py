"""What does a step cost in the families that few libraries have, beside those libraries?

A spiking net beside snnTorch, an epoch of graph networks beside PyTorch Geometric, a
self-organizing map beside MiniSom, a fitted RBF network beside scikit-learn's kernel ridge
regression, and a mixture of experts beside a dense net of as many multiply-adds. Each framework
runs in its own process, and they take turns.
"""

from pathlib import Path
from typing import Any

from benchmarks import chart as charts
from benchmarks import checks, race, timing
from benchmarks import race_report as reports
from benchmarks.peers import cases

EXPERTS = cases.TOP_1, cases.TOP_2
PEERS = {  # the library beside jaxnn, and how many times as fast jaxnn should be
    cases.SOM: ("MiniSom", 20.0),
    cases.RBF_FIT: ("scikit-learn", 1.0),
    cases.SPIKING: ("snnTorch", 5.0),
    cases.GCN: ("PyTorch Geometric", 1.0),
    cases.GAT: ("PyTorch Geometric", 1.0),
}
TITLES = *PEERS, cases.DENSE, *EXPERTS
QUICK = cases.SOM, cases.DENSE, EXPERTS[0]
COST = 1.5  # how much longer than the dense net's a mixture's step may take


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each case and framework, and the checks."""
    titles = QUICK if quick else TITLES
    # A turn of a mixture is one dispatch of `fit`, which asks the system for its memory once.
    turn = 0.05 if quick else 1.5
    results = race.race("families", titles, rounds=3 if quick else 11, turn=turn)
    return {**timing.environment(), **results, "checks": checks_of(results["rows"])}


def checks_of(rows: list[dict]) -> list[dict]:
    """jaxnn's factor over each peer, and what a mixture's step costs beside the dense net's."""
    over = {(row["case"], row["framework"]): row["jaxnn_over_it"] for row in rows}
    ms = {row["case"]: row["median_ms"] for row in rows if row["framework"] == race.OURS}
    found = []
    for title, (peer, factor) in PEERS.items():
        if (title, peer) in over:
            faster = 1 / over[title, peer]
            found.append(checks.check(f"times as fast as {peer}, {title}", faster, factor, True))
    for title in EXPERTS:
        if title in ms:
            ratio = ms[title] / ms[cases.DENSE]
            found.append(checks.check(f"step over the dense net's, {title}", ratio, COST))
    return found


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"One step, epoch, pass or fit (jax {report['jax']}, {report['machine']}); each framework "
        "in its own process, rounds interleaved.",
        *reports.absent(report),
    ]
    for title in reports.titles(report["rows"]):
        lines += reports.table(report, title)
    return "\n".join([*lines, "", *checks.lines(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel for each case."""
    charts.draw(path, "Families: a step, an epoch, a pass or a fit", "ms", reports.panels(report))
