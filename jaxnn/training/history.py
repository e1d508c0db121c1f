"""The rows of a run's history: means of metrics, results of validations, and which one is best."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnn.core import describe


def write_history(path: str | os.PathLike, history: list[dict[str, float]]) -> None:
    """Writes a history as JSON lines, one row a line.

    Args:
      path: the file.
      history: the rows, as `fit` returns them.

    Returns:
      None.

    >>> import jaxnn as nn, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "history.jsonl")
    >>> nn.training.write_history(path, [{"step": 1, "loss": 0.5}])
    >>> path.read_text()
    '{"step": 1, "loss": 0.5}\\n'
    """
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in history))


def numbers(measured: Any, what: str) -> dict[str, float]:
    """Metrics as Python floats by name.

    Raises:
      TypeError: if they are not a dict.
      ValueError: if a metric is not one number.
    """
    if not isinstance(measured, dict):
        raise TypeError(f"{what} must return a dict of metrics, got {type(measured).__name__}.")
    for title, value in measured.items():
        if np.ndim(value) or not np.issubdtype(np.asarray(value).dtype, np.number):
            raise ValueError(
                f"{what}: the metric {title!r} is {describe(value)}, not one number: return one "
                "number by name for each."
            )
    return {title: float(value) for title, value in measured.items()}


def is_better(row: dict, monitor: str, highest: bool, best: float | None) -> bool:
    """Whether the validation of a row is better than the best one before it; NaN never is.

    Raises:
      ValueError: if the validation did not measure `monitor`.
    """
    try:
        value = row[f"validation_{monitor}"]
    except KeyError:
        held = [title.removeprefix("validation_") for title in row if "validation_" in title]
        raise ValueError(f"validate returned {held}, and no {monitor!r}: set monitor.") from None
    if np.isnan(value):
        return False
    return best is None or np.isnan(best) or (value > best if highest else value < best)


def means(metrics: Any, rows: list[int]) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """The mean of each metric over the steps of a window, weighted by rows; every loss; and which
    steps were skipped.

    Steps that were skipped, by their metric "skipped" or since their loss is not finite, are left
    out, unless there are no others.

    Raises:
      ValueError: if a metric is not one number a step.
    """
    metrics = jax.device_get(metrics)
    if isinstance(metrics, list):
        metrics = {title: np.stack([each[title] for each in metrics]) for title in metrics[0]}
    losses = np.asarray(metrics["loss"], np.float64)
    skipped = ~np.isfinite(losses) | np.asarray(metrics.get("skipped", False), bool)
    weights = np.asarray(rows) * (True if skipped.all() else ~skipped)
    for title, value in metrics.items():
        if np.ndim(value) != 1:
            raise ValueError(
                f"the metric {title!r} of a step has the shape {list(np.shape(value)[1:])}: return "
                "one number, or use training.measure with a Metric."
            )
    taken = weights > 0  # what is left out may be NaN, which a weight of zero would not hide
    averages = {
        title: float(np.average(np.asarray(value, np.float64)[taken], weights=weights[taken]))
        for title, value in metrics.items()
    }
    return averages, losses, skipped
