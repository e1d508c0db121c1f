"""The mean average precision of objects over a whole data set."""

from collections.abc import Callable, Sequence

import numpy as np

from jaxnn.core import check_int
from jaxnn.metrics.metric import Metric
from jaxnn.nets.detection.average_precision import (
    mean_average_precision as average_precision_of,
)
from jaxnn.nets.detection.objects import Objects, join_objects


def mean_average_precision(
    classes: int, *, iou: float | Sequence[float] = 0.5, detect: Callable | None = None
) -> Metric:
    """`jaxnn.detection.mean_average_precision` of the objects found in a whole data set.

    Args:
      classes: the number of classes.
      iou: one overlap, or several over which the mean is taken.
      detect: a function that makes `Objects` of a prediction, such as `jaxnn.detection.detect`;
        without it predictions are `Objects`. Targets are `Objects`.

    Returns:
      A `Metric` whose value is a float.

    Raises:
      ValueError: as `jaxnn.detection.mean_average_precision`.

    >>> import numpy as np, jaxnn as nn
    >>> truth = nn.detection.pack_objects([[[2, 3, 8, 9]]], [[1]], size=(16, 16), classes=2)
    >>> found = truth._replace(mask=np.array([[0.9]]))
    >>> metric = nn.metrics.mean_average_precision(2)
    >>> round(metric.compute(metric.update(metric.init(), found, truth)), 3)
    1.0
    """
    check_int(classes, "mean_average_precision: classes")

    def update(totals, prediction, target):
        found = prediction if detect is None else detect(prediction)
        for each, what in ((found, "predictions"), (target, "targets")):
            if not isinstance(each, Objects):
                raise TypeError(
                    f"mean_average_precision takes Objects as {what}, got {type(each).__name__}: "
                    "give detect=nn.detection.detect for the output of a detector."
                )
        return (*totals, tuple(Objects(*map(np.asarray, each)) for each in (found, target)))

    def compute(totals):
        if not totals:
            return float("nan")
        found, truth = (join_objects(each) for each in zip(*totals, strict=True))
        return average_precision_of(found, truth, classes=classes, iou=iou)

    return Metric(tuple, update, compute)
