"""The results of a race as lines, panels and checks, shared by all benchmarks that are races."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks import chart as charts
from benchmarks import race
from benchmarks.checks import check


def table(
    report: Mapping[str, Any],
    title: str,
    heading: str | None = None,
    columns: Mapping[str, Callable[[dict], str]] | None = None,
) -> list[str]:
    """The lines of one case: a heading, then one line for each framework.

    Args:
      report: the report of `race.race`.
      title: the case.
      heading: the line above the table; the title by default.
      columns: further columns, each by its name and a function (row) -> text.
    """
    columns = columns or {}
    names = "".join(f"{name:>11}" for name in columns)
    lines = [
        *("", title if heading is None else heading),
        f"  {'framework':<24}{names}{'ms':>9}{'[quartiles]':>20}{'jaxnn/it':>10}{'first s':>9}"
        f"{'parameters':>12}",
    ]
    for row in rows_of(report["rows"], title):
        values = "".join(f"{value(row):>11}" for value in columns.values())
        spread = f"[{row['low_ms']:.2f}, {row['high_ms']:.2f}]"
        lines.append(
            f"  {row['framework']:<24}{values}{row['median_ms']:>9.2f}{spread:>20}"
            f"{row['jaxnn_over_it']:>10.3g}{row['first_step_seconds']:>9.1f}{row['parameters']:>12}"
        )
    return lines


def absent(report: Mapping[str, Any]) -> list[str]:
    """One line for each framework that is not installed."""
    return [f"{name} is not installed: {race.INSTALL}" for name in report["absent"]]


def panel(
    report: Mapping[str, Any], title: str, limit: tuple[float, str] | None = None
) -> charts.Panel:
    """The bars of one case, with the limit as in `chart.Panel`."""
    bars = [
        charts.Bar(row["framework"], "float32", row["low_ms"], row["median_ms"], row["high_ms"])
        for row in rows_of(report["rows"], title)
    ]
    return charts.Panel(title, bars, limit)


def panels(report: Mapping[str, Any]) -> list[charts.Panel]:
    """One panel for each case, without limits."""
    return [panel(report, title) for title in titles(report["rows"])]


def titles(rows: Iterable[dict]) -> list[str]:
    """The cases in their order."""
    return list(dict.fromkeys(row["case"] for row in rows))


def rows_of(rows: Iterable[dict], title: str) -> list[dict]:
    """The rows of one case."""
    return [row for row in rows if row["case"] == title]


def over_the_fastest(
    rows: Sequence[dict], peers: Iterable[str] = race.JAX_PEERS, whose: str = "the fastest JAX peer"
) -> list[dict]:
    """Checks that jaxnn takes at most the time of the fastest of some peers, for each case."""
    checks = []
    for title in titles(rows):
        ratios = [row["jaxnn_over_it"] for row in rows_of(rows, title) if row["framework"] in peers]
        if ratios:
            checks.append(check(f"time over {whose}'s, {title}", max(ratios), 1.0))
    return checks
