"""A metric as sums over batches: the protocol, and the checks that several share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxnn.core import describe


class Metric(NamedTuple):
    """A metric as sums over batches.

    init: () -> totals before any batch.
    update: (totals, prediction, target) -> totals with the rows of a batch added.
    compute: (totals) -> the value.
    """

    init: Callable[[], Any]
    update: Callable[[Any, Any, Any], Any]
    compute: Callable[[Any], Any]


def equal_floats(prediction: Any, target: Any, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and targets in float64; raises ValueError if their shapes differ."""
    y, t = (np.asarray(each) for each in (prediction, target))
    if y.shape != t.shape:
        raise ValueError(
            f"{title} takes predictions and targets of one shape, got {describe(y)} against "
            f"{describe(t)}."
        )
    return y.astype(np.float64), t.astype(np.float64)


def ratio(above: float, below: float) -> float:
    """A quotient that is NaN if nothing was counted."""
    return above / below if below else float("nan")
