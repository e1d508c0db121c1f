"""Values beside their thresholds, as every report holds and prints them."""

from collections.abc import Mapping
from typing import Any


def check(
    metric: str, value: float, threshold: float, higher_is_better: bool = False
) -> dict[str, Any]:
    """A value with its threshold, as an entry of a report's "checks"."""
    return {
        "metric": metric,
        "value": value,
        "threshold": threshold,
        "higher_is_better": higher_is_better,
    }


def lines(report: Mapping[str, Any]) -> list[str]:
    """One line for each check of a report: whether its threshold is met."""
    note = " (a quick run is too short to judge them)" if report["quick"] else ""
    text = [f"Thresholds{note}:"]
    for each in report["checks"]:
        value, threshold = each["value"], each["threshold"]
        met = value >= threshold if each["higher_is_better"] else value <= threshold
        sign, verdict = ">=" if each["higher_is_better"] else "<=", "met" if met else "MISSED"
        metric = each["metric"]
        text.append(f"  {verdict:<8}{metric}: {value:.4g} (threshold {sign} {threshold:g})")
    return text
