"""Metrics of a whole data set, exact for every batch size: sums over batches, never means of means.

A `Metric` is three pure functions. `init()` returns empty totals, `update(totals, prediction,
target)` returns the totals with a batch added, and `compute(totals)` returns the value. Accuracy,
precision, recall and F1 are quotients of counts, R2 is one of sums, and AUROC needs every score, so
their means over batches are other numbers than their values over the rows. Totals live on the host
in int64 and float64, where counts do not saturate and sums do not round.

>>> import numpy as np, jaxnn as nn
>>> metric = nn.metrics.f1(2, average=None)
>>> totals = metric.init()
>>> for prediction, target in (([0, 1], [0, 1]), ([1], [0])):
...     totals = metric.update(totals, np.array(prediction), np.array(target))
>>> metric.compute(totals).round(3).tolist()
[0.667, 0.667]

`nn.training.measure` runs them over a net and a data set.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnn.checks import check_choice, check_labels
from jaxnn.core import check_int, describe
from jaxnn.nets.detection.average_precision import (
    mean_average_precision as average_precision_of,
)
from jaxnn.nets.detection.objects import Objects, join_objects

# fmt: off
__all__ = [
    "Metric", "accuracy", "auroc", "confusion_matrix", "f1", "mean_average_precision",
    "mean_squared_error", "precision", "r2", "recall",
]
# fmt: on
AVERAGES = ("binary", "macro", "micro", "weighted", None)


class Metric(NamedTuple):
    """A metric as sums over batches.

    init: () -> totals before any batch.
    update: (totals, prediction, target) -> totals with the rows of a batch added.
    compute: (totals) -> the value.
    """

    init: Callable[[], Any]
    update: Callable[[Any, Any, Any], Any]
    compute: Callable[[Any], Any]


def accuracy(*, ignore: int | None = None) -> Metric:
    """The share of labels that are predicted: the number of right rows over that of rows.

    Predictions are logits or probabilities floats [..., classes], or classes integers [...];
    targets are classes integers [...], of which those equal to `ignore` are left out. Without rows
    it is NaN.

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.accuracy()
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    0.6666666666666666
    """

    def update(totals, prediction, target):
        found, labels = _classes(prediction, target, "accuracy", ignore)
        right, rows = totals
        return right + int((found == labels).sum()), rows + labels.size

    return Metric(lambda: (0, 0), update, lambda totals: _ratio(*totals))


def confusion_matrix(classes: int, *, ignore: int | None = None) -> Metric:
    """How often each class is predicted for each: C[i, j] rows of class i are predicted as j.

    Args:
      classes: the number of classes; predictions, targets and ignore are as for `accuracy`.

    Raises:
      ValueError: for a class outside [0, classes).

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.confusion_matrix(2)
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    array([[1, 1],
           [0, 1]])
    """
    return Metric(*_counts(classes, "confusion_matrix", ignore), lambda totals: totals)


def precision(classes: int, *, average: str | None = "macro", ignore: int | None = None) -> Metric:
    """The share of rows predicted as a class that are of it: TP / (TP + FP), 0 without any.

    Args:
      classes: the number of classes; predictions, targets and ignore are as for `accuracy`.
      average: "macro", the mean over the classes that occur as a prediction or a target;
        "weighted", the same weighted by their rows; "micro", over all rows at once; "binary", of
        class 1 of two; None, an array of one value a class.

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.precision(2, average="binary")
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    0.5
    """
    return _of_counts("precision", classes, average, ignore, lambda hit, said, true: (hit, said))


def recall(classes: int, *, average: str | None = "macro", ignore: int | None = None) -> Metric:
    """The share of rows of a class that are predicted as it: TP / (TP + FN), 0 without any.

    Args:
      classes, average, ignore: as for `precision`.

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.recall(2, average="binary")
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    1.0
    """
    return _of_counts("recall", classes, average, ignore, lambda hit, said, true: (hit, true))


def f1(classes: int, *, average: str | None = "macro", ignore: int | None = None) -> Metric:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), 0 without any.

    Args:
      classes, average, ignore: as for `precision`.

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.f1(2, average="binary")
    >>> round(metric.compute(metric.update(metric.init(), np.array([1, 1]), np.array([1, 0]))), 3)
    0.667
    """
    return _of_counts(
        "f1", classes, average, ignore, lambda hit, said, true: (2 * hit, said + true)
    )


def auroc() -> Metric:
    """The probability that a positive row has a higher score than a negative one; ties count half.

    Predictions are scores floats [...] and targets 0 or 1 [...] of the same shape. It keeps every
    score, so that it is exact. Without rows of both kinds it is NaN. (Hanley and McNeil, The
    meaning and use of the area under a receiver operating characteristic curve, 1982.)

    >>> import numpy as np, jaxnn as nn
    >>> metric, scores = nn.metrics.auroc(), np.array([0.1, 0.4, 0.35, 0.8])
    >>> metric.compute(metric.update(metric.init(), scores, np.array([0, 0, 1, 1])))
    0.75
    """

    def update(totals, prediction, target):
        scores, labels = np.asarray(prediction), np.asarray(target)
        if scores.shape != labels.shape:
            raise ValueError(
                f"auroc takes one score for each target, got {describe(scores)} for "
                f"{describe(labels)}: give the score of the positive class."
            )
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("auroc takes targets of 0 and 1: give labels == the positive class.")
        if np.isnan(scores.astype(np.float64)).any():
            raise ValueError("auroc: a score is NaN, which has no rank.")
        return (*totals, (scores.astype(np.float64).ravel(), labels.astype(bool).ravel()))

    def compute(totals):
        if not totals:
            return float("nan")
        scores, positive = map(np.concatenate, zip(*totals, strict=True))
        pairs = int(positive.sum()) * int((~positive).sum())
        if not pairs:
            return float("nan")
        _, group, size = np.unique(scores, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(size) - (size - 1) / 2)[group]  # the mean rank of equal scores
        hits = int(positive.sum())
        return float((ranks[positive].sum() - hits * (hits + 1) / 2) / pairs)

    return Metric(tuple, update, compute)


def mean_squared_error() -> Metric:
    """The mean over all elements of (prediction - target)^2, floats of one shape [...].

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.mean_squared_error()
    >>> metric.compute(metric.update(metric.init(), np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """

    def update(totals, prediction, target):
        y, t = _floats(prediction, target, "mean_squared_error")
        return totals[0] + float(np.square(y - t).sum()), totals[1] + y.size

    return Metric(lambda: (0.0, 0), update, lambda totals: _ratio(*totals))


def r2() -> Metric:
    """The share of the targets' variance that is predicted: 1 - sum (y - t)^2 / sum (t - mean)^2.

    Predictions and targets are floats [rows] or [rows, outputs] of one shape; with several outputs
    it is the mean of their values. Targets that do not vary give 1 where they are predicted
    exactly and 0 elsewhere, and fewer than two rows give NaN.

    >>> import numpy as np, jaxnn as nn
    >>> metric, t = nn.metrics.r2(), np.array([1.0, 2.0, 3.0])
    >>> metric.compute(metric.update(metric.init(), t + 0.5, t))
    0.625
    """

    def update(totals, prediction, target):
        y, t = _floats(prediction, target, "r2")
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


def mean_average_precision(
    classes: int, *, iou: float | Sequence[float] = 0.5, detect: Callable | None = None
) -> Metric:
    """`jaxnn.detection.mean_average_precision` of the found objects of a whole data set.

    Args:
      classes: the number of classes.
      iou: one overlap, or several over which the mean is taken.
      detect: what makes `Objects` of a prediction, such as `jaxnn.detection.detect`; without it
        predictions
        are `Objects`. Targets are `Objects`.

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


def _of_counts(
    title: str, classes: int, average: str | None, ignore: int | None, quotient: Callable
) -> Metric:
    """A quotient of counts a class, (TP, predicted, true) -> (numerator, denominator)."""
    check_choice(average, f"{title}: average", AVERAGES)
    if average == "binary" and classes != 2:
        raise ValueError(f'{title}: average="binary" is for 2 classes, got {classes}.')

    def compute(totals):
        hit, said, true = totals.diagonal(), totals.sum(axis=0), totals.sum(axis=1)
        if average == "micro":
            above, below = quotient(hit.sum(), said.sum(), true.sum())
            return float(above / below) if below else 0.0
        above, below = quotient(hit, said, true)
        values = np.divide(above, below, out=np.zeros(classes), where=below > 0)
        if average is None:
            return values
        if average == "binary":
            return float(values[1])
        weights = true if average == "weighted" else (said + true > 0)
        return float(np.average(values, weights=weights)) if weights.any() else 0.0

    return Metric(*_counts(classes, title, ignore), compute)


def _counts(classes: int, title: str, ignore: int | None) -> tuple[Callable, Callable]:
    """`init` and `update` of a confusion matrix."""
    check_int(classes, f"{title}: classes")

    def update(totals, prediction, target):
        found, labels = _classes(prediction, target, title, ignore)
        for each, what in ((found, "prediction"), (labels, "label")):
            if ((each < 0) | (each >= classes)).any():
                bad = each[(each < 0) | (each >= classes)].flat[0]
                raise ValueError(f"{title} of {classes} classes got the {what} {bad}.")
        pairs = labels.ravel().astype(np.int64) * classes + found.ravel().astype(np.int64)
        return totals + np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    return lambda: np.zeros((classes, classes), np.int64), update


def _classes(
    prediction: Any, target: Any, title: str, ignore: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Classes that are predicted and those that are true, integers [rows], without ignored ones."""
    if not hasattr(prediction, "shape"):
        raise TypeError(
            f"{title} takes logits or classes, got {type(prediction).__name__}: give the part of "
            "the output that holds them."
        )
    y, labels = np.asarray(prediction), np.asarray(target)
    if labels.dtype.kind not in "iub":
        raise TypeError(f"{title} takes integer labels, got {describe(labels)}.")
    held = np.ones(labels.shape, bool) if ignore is None else labels != ignore
    if y.dtype.kind in "iub" and y.shape == labels.shape:
        if (labels[held] < 0).any():
            raise ValueError(f"{title}: a label is {labels[held].min()}: name it by ignore=.")
        return y[held], labels[held]
    if y.shape[:-1] != labels.shape or y.ndim == 0 or y.shape[-1] < 2 or y.dtype.kind in "iub":
        raise ValueError(
            f"{title} takes logits [..., classes] of two classes or more, or classes [...], for "
            f"labels [...], got {describe(y)} for {describe(labels)}."
        )
    check_labels(labels[held].astype(int), y.shape[-1], title)
    if np.isnan(y[held].astype(np.float32)).any():
        raise ValueError(f"{title}: a logit is NaN, so no class is predicted.")
    return y[held].argmax(axis=-1), labels[held]


def _floats(prediction: Any, target: Any, title: str) -> tuple[np.ndarray, np.ndarray]:
    y, t = (np.asarray(each) for each in (prediction, target))
    if y.shape != t.shape:
        raise ValueError(
            f"{title} takes predictions and targets of one shape, got {describe(y)} against "
            f"{describe(t)}."
        )
    return y.astype(np.float64), t.astype(np.float64)


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")
