"""Metrics of numbers: squared errors and the variance that is predicted."""

import numpy as np

from jaxnn.core import describe
from jaxnn.metrics.metric import Metric, equal_floats, ratio


def mean_squared_error() -> Metric:
    """The mean over all elements of (prediction - target)^2.

    Predictions and targets are floats of one shape [...].

    Returns:
      A `Metric` whose value is a float.

    Raises:
      ValueError: at `update`, if the shapes differ.

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.mean_squared_error()
    >>> metric.compute(metric.update(metric.init(), np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def update(totals, prediction, target):
        y, t = equal_floats(prediction, target, "mean_squared_error")
        return totals[0] + float(np.square(y - t).sum()), totals[1] + y.size

    return Metric(lambda: (0.0, 0), update, lambda totals: ratio(*totals))


def r2() -> Metric:
    """The fraction of the variance of the targets that is predicted: 1 - sum (y - t)^2 / sum (t -
    mean)^2.

    Predictions and targets are floats [rows] or [rows, outputs] of one shape; with several outputs
    the value is the mean of theirs.

    Returns:
      A `Metric` whose value is a float. Targets that do not vary give 1 if they are predicted
      exactly and 0 otherwise; fewer than two rows give NaN.

    Raises:
      ValueError: at `update`, if the shapes differ.

    >>> import numpy as np, jaxnn as nn
    >>> metric, t = nn.metrics.r2(), np.array([1.0, 2.0, 3.0])
    >>> metric.compute(metric.update(metric.init(), t + 0.5, t))
    0.625
    """

    def update(totals, prediction, target):
        y, t = equal_floats(prediction, target, "r2")
        if t.ndim not in (1, 2):
            raise ValueError(f"r2 takes [rows] or [rows, outputs], got {describe(t)}.")
        rows, mean, spread, error = totals
        n, new = len(t), t.mean(axis=0)
        # Sums about the mean of what was seen, by Chan's formula: sums of squares would cancel.
        away = new - mean
        spread = spread + np.square(t - new).sum(axis=0) + away**2 * (rows * n / (rows + n))
        error = error + np.square(y - t).sum(axis=0)
        return rows + n, mean + away * (n / (rows + n)), spread, error

    def compute(totals):
        rows, _, spread, error = totals
        if rows < 2:
            return float("nan")
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(spread > 0, 1 - error / spread, np.where(error > 0, 0.0, 1.0))
        return float(values.mean())

    return Metric(lambda: (0, 0.0, 0.0, 0.0), update, compute)
