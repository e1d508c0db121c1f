"""What a race found, in lines and in panels: the same for every benchmark that is one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks import chart as charts
from benchmarks import race
from benchmarks.backends import check


def table(
    report: Mapping[str, Any],
    title: str,
    heading: str | None = None,
    more: Mapping[str, Callable[[dict], str]] | None = None,
) -> list[str]:
    """The frameworks of one case, a line each.

    Args:
      report: what `race.race` gave.
      title: the case.
      heading: the line above; the title by default.
      more: columns beside those of times and params, by what stands above them.
    """
    more = more or {}
    head = "".join(f"{name:>11}" for name in more)
    lines = [
        *("", title if heading is None else heading),
        f"  {'framework':<24}{head}{'ms':>9}{'[quartiles]':>20}{'jaxnn/it':>10}{'first s':>9}"
        f"{'parameters':>12}",
    ]
    for row in rows_of(report["rows"], title):
        told = "".join(f"{say(row):>11}" for say in more.values())
        spread = f"[{row['low_ms']:.2f}, {row['high_ms']:.2f}]"
        lines.append(
            f"  {row['framework']:<24}{told}{row['median_ms']:>9.2f}{spread:>20}"
            f"{row['jaxnn_over_it']:>10.3g}{row['first_step_seconds']:>9.1f}{row['parameters']:>12}"
        )
    return lines


def absent(report: Mapping[str, Any]) -> list[str]:
    """A line for each framework that is not there."""
    return [f"{each} is not installed: {race.INSTALL}" for each in report["absent"]]


def panel(
    report: Mapping[str, Any], title: str, limit: tuple[float, str] | None = None
) -> charts.Panel:
    """The bars of one case, and a line beyond which none can get."""
    bars = [
        charts.Bar(row["framework"], "float32", row["low_ms"], row["median_ms"], row["high_ms"])
        for row in rows_of(report["rows"], title)
    ]
    return charts.Panel(title, bars, limit)


def titles(rows: Iterable[dict]) -> list[str]:
    """The cases in their order."""
    return list(dict.fromkeys(row["case"] for row in rows))


def rows_of(rows: Iterable[dict], title: str) -> list[dict]:
    """The rows of one case."""
    return [row for row in rows if row["case"] == title]


def over_the_fastest(
    rows: Sequence[dict], peers: Iterable[str] = race.JAX_PEERS, whose: str = "the fastest JAX peer"
) -> list[dict]:
    """For each case, jaxnn's time over that of the fastest of some peers, which should be below."""
    checks = []
    for title in titles(rows):
        found = [row["jaxnn_over_it"] for row in rows_of(rows, title) if row["framework"] in peers]
        if found:
            checks.append(check(f"time over {whose}'s, {title}", max(found), 1.0))
    return checks
