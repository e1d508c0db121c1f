"""Metrics of a whole data set, exact for every batch size: sums over batches, never means of means.

A `Metric` is three pure functions. `init()` returns empty totals, `update(totals, prediction,
target)` returns the totals with a batch added, and `compute(totals)` returns the value. Accuracy,
precision, recall and F1 are quotients of counts, R2 is one of sums, and AUROC needs every score, so
that the mean of their values over batches is not their value over all rows. Totals are on the host
in int64 and float64, where counts do not saturate and sums do not round.

>>> import numpy as np, jaxnn as nn
>>> metric = nn.metrics.f1(2, average=None)
>>> totals = metric.init()
>>> for prediction, target in (([0, 1], [0, 1]), ([1], [0])):
...     totals = metric.update(totals, np.array(prediction), np.array(target))
>>> metric.compute(totals).round(3).tolist()
[0.667, 0.667]

`nn.training.measure` runs them over a network and a data set.
"""

from jaxnn.arguments import check_public
from jaxnn.metrics.classification import accuracy, auroc, confusion_matrix, f1, precision, recall
from jaxnn.metrics.detection import mean_average_precision
from jaxnn.metrics.metric import Metric
from jaxnn.metrics.regression import mean_squared_error, r2

# fmt: off
__all__ = [
    "Metric", "accuracy", "auroc", "confusion_matrix", "f1", "mean_average_precision",
    "mean_squared_error", "precision", "r2", "recall",
]
# fmt: on

check_public(globals(), __all__)
