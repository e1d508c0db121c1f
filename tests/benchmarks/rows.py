"""A row as `benchmarks/race.py` reports it, for the tests of the benchmarks."""

from typing import Any


def row(case: str, framework: str, over: float = 1.0, ms: float = 4.0, **more: Any) -> dict:
    """The row of a framework whose step takes `ms`, of which jaxnn takes the share `over`."""
    return {
        "case": case,
        "framework": framework,
        "median_ms": ms,
        "low_ms": 0.75 * ms,
        "high_ms": 1.25 * ms,
        "jaxnn_over_it": over,
        "parameters": 100,
        "first_step_seconds": 1.0,
        **more,
    }
