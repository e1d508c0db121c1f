"""Metrics of classes and scores: quotients of counts, and the area under the ROC curve."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxnn.checks import check_choice, check_labels
from jaxnn.core import check_int, describe
from jaxnn.metrics.metric import Metric, ratio

AVERAGES = ("binary", "macro", "micro", "weighted", None)


def accuracy(*, ignore: int | None = None) -> Metric:
    """The fraction of rows that are predicted correctly.

    Predictions are logits or probabilities floats [..., classes], or classes integers [...];
    targets are classes integers [...].

    Args:
      ignore: a target whose rows are left out.

    Returns:
      A `Metric` whose value is a float, NaN without rows.

    Raises:
      ValueError: at `update`, if predictions and targets differ in their rows.

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.accuracy()
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    0.6666666666666666
    """

    def update(totals, prediction, target):
        found, labels = _classes(prediction, target, "accuracy", ignore)
        right, rows = totals
        return right + int((found == labels).sum()), rows + labels.size

    return Metric(lambda: (0, 0), update, lambda totals: ratio(*totals))


def confusion_matrix(classes: int, *, ignore: int | None = None) -> Metric:
    """The number of rows of each class that are predicted as each: C[i, j] of class i as class j.

    Predictions are logits or probabilities floats [..., classes], or classes integers [...];
    targets are classes integers [...].

    Args:
      classes: the number of classes.
      ignore: a target whose rows are left out.

    Returns:
      A `Metric` whose value is an array int64 [classes, classes].

    Raises:
      ValueError: if a class is outside [0, classes).

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.confusion_matrix(2)
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    array([[1, 1],
           [0, 1]])
    """
    return Metric(*_counts(classes, "confusion_matrix", ignore), lambda totals: totals)


def precision(classes: int, *, average: str | None = "macro", ignore: int | None = None) -> Metric:
    """The fraction of the rows predicted as a class that belong to it: TP / (TP + FP), 0 without
    any.

    Predictions are logits or probabilities floats [..., classes], or classes integers [...];
    targets are classes integers [...].

    Args:
      classes: the number of classes.
      average: "macro", the mean over the classes that occur as a prediction or a target;
        "weighted", the same weighted by their rows; "micro", over all rows at once; "binary", that
        of class 1 of two; None, one value for each class.
      ignore: a target whose rows are left out.

    Returns:
      A `Metric` whose value is a float, or an array [classes] if average is None.

    Raises:
      ValueError: if average is another word, or a class is outside [0, classes).

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.precision(2, average="binary")
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    0.5
    """
    return _of_counts("precision", classes, average, ignore, lambda hit, said, true: (hit, said))


def recall(classes: int, *, average: str | None = "macro", ignore: int | None = None) -> Metric:
    """The fraction of the rows of a class that are predicted as it: TP / (TP + FN), 0 without any.

    Predictions are logits or probabilities floats [..., classes], or classes integers [...];
    targets are classes integers [...].

    Args:
      classes: the number of classes.
      average: "macro", the mean over the classes that occur as a prediction or a target;
        "weighted", the same weighted by their rows; "micro", over all rows at once; "binary", that
        of class 1 of two; None, one value for each class.
      ignore: a target whose rows are left out.

    Returns:
      A `Metric` whose value is a float, or an array [classes] if average is None.

    Raises:
      ValueError: if average is another word, or a class is outside [0, classes).

    >>> import numpy as np, jaxnn as nn
    >>> metric = nn.metrics.recall(2, average="binary")
    >>> metric.compute(metric.update(metric.init(), np.array([0, 1, 1]), np.array([0, 1, 0])))
    1.0
    """
    return _of_counts("recall", classes, average, ignore, lambda hit, said, true: (hit, true))


def f1(classes: int, *, average: str | None = "macro", ignore: int | None = None) -> Metric:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN), 0 without any.

    Predictions are logits or probabilities floats [..., classes], or classes integers [...];
    targets are classes integers [...].

    Args:
      classes: the number of classes.
      average: "macro", the mean over the classes that occur as a prediction or a target;
        "weighted", the same weighted by their rows; "micro", over all rows at once; "binary", that
        of class 1 of two; None, one value for each class.
      ignore: a target whose rows are left out.

    Returns:
      A `Metric` whose value is a float, or an array [classes] if average is None.

    Raises:
      ValueError: if average is another word, or a class is outside [0, classes).

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

    Predictions are scores floats [...], targets are 0 or 1 [...] of the same shape. Every score is
    kept, so that the value is exact.

    Returns:
      A `Metric` whose value is a float, NaN without rows of both kinds.

    Raises:
      ValueError: at `update`, if shapes differ or a target is neither 0 nor 1.

    (Hanley and McNeil, The meaning and use of the area under a receiver operating characteristic
    curve, 1982.)

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
    counted = np.ones(labels.shape, bool) if ignore is None else labels != ignore
    if y.dtype.kind in "iub" and y.shape == labels.shape:
        if (labels[counted] < 0).any():
            raise ValueError(f"{title}: a label is {labels[counted].min()}: name it by ignore=.")
        return y[counted], labels[counted]
    if y.shape[:-1] != labels.shape or y.ndim == 0 or y.shape[-1] < 2 or y.dtype.kind in "iub":
        raise ValueError(
            f"{title} takes logits [..., classes] of two classes or more, or classes [...], for "
            f"labels [...], got {describe(y)} for {describe(labels)}."
        )
    check_labels(labels[counted].astype(int), y.shape[-1], title)
    if np.isnan(y[counted].astype(np.float32)).any():
        raise ValueError(f"{title}: a logit is NaN, so no class is predicted.")
    return y[counted].argmax(axis=-1), labels[counted]
