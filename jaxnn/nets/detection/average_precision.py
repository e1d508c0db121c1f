"""Mean average precision of detected objects, as COCO defines it."""

from collections.abc import Sequence

import numpy as np

from jaxnn.checks import check_labels
from jaxnn.nets.detection.objects import Objects

EPSILON = 1e-9


def mean_average_precision(
    found: Objects,
    truth: Objects,
    *,
    classes: int,
    iou: float | Sequence[float] = 0.5,
) -> float:
    """The area under the precision-recall curve, averaged over classes, on the host.

    mAP = mean_c mean_r max_{s >= r} precision_c(s), over classes c and recalls r = 0, 0.01, ..., 1

    The detected boxes of a class are taken in the order of their scores. A box is a true positive
    if its overlap with a box of its class and image, to which no box before it was matched, is at
    least `iou`. A class that no image of `truth` contains does not count, and a class that is never
    detected counts as zero.

    Args:
      found: detected `Objects` with scores as mask, such as those of `detect`.
      truth: the true `Objects` of the same images, with a boolean mask.
      classes: the number of classes.
      iou: the overlap, from 0 to 1, or several over which the mean is taken; COCO uses
        `np.arange(0.5, 1, 0.05)`.

    Returns:
      A Python float from 0 to 1; NaN if `truth` contains no class at all.

    Raises:
      TypeError: if found or truth is not `Objects`, or labels are not integers.
      ValueError: if found and truth differ in the number of images, a label is not a class, boxes
        or scores are NaN, or iou is out of range.

    (Lin et al., Microsoft COCO: Common objects in context, 2014, with as many boxes per image as
    `found` has.)

    >>> import numpy as np, jaxnn as nn
    >>> truth = nn.detection.pack_objects([[[2, 3, 8, 9]]], [[1]], size=(16, 16), classes=2)
    >>> found = truth._replace(mask=np.array([[0.9]]))
    >>> round(nn.detection.mean_average_precision(found, truth, classes=2), 3)
    1.0
    """
    found, truth = (Objects(*map(np.asarray, each)) for each in (found, truth))
    if len(found.boxes) != len(truth.boxes):
        raise ValueError(
            f"found has {len(found.boxes)} images, truth has {len(truth.boxes)}: give the same "
            "images."
        )
    for objects, what in ((found, "found"), (truth, "truth")):
        present = objects.mask.astype(bool)
        labels = np.where(present, objects.labels, 0)
        check_labels(labels, classes, f"mean_average_precision, {what}")
        scores = objects.mask.astype(np.float64)
        if np.isnan(scores).any() or np.isnan(objects.boxes[present]).any():
            raise ValueError(f"mean_average_precision: {what} has boxes or scores that are NaN.")
    thresholds = np.atleast_1d(iou)
    if not thresholds.size or not ((thresholds >= 0) & (thresholds <= 1)).all():
        raise ValueError(
            f"mean_average_precision: iou is one or more overlaps in [0, 1], got {iou}."
        )
    overlaps = _pairwise_iou(found.boxes, truth.boxes)
    present = truth.mask.astype(bool)
    of_class = [present & (truth.labels == label) for label in range(classes)]
    values = [
        _average_precision(found, wanted, overlaps, label, threshold)
        for label, wanted in enumerate(of_class)
        if wanted.any()
        for threshold in thresholds
    ]
    return float(np.mean(values)) if values else float("nan")


def _average_precision(found, wanted, overlaps, label: int, threshold: float) -> float:
    """The average precision of one class at one overlap; its objects are `wanted` [batch, most]."""
    images, places = np.nonzero((found.mask > 0) & (found.labels == label))
    order = np.argsort(-found.mask[images, places], kind="stable")
    unmatched, correct = wanted.copy(), np.zeros(len(order))
    for i, (image, place) in enumerate(zip(images[order], places[order], strict=True)):
        overlap = np.where(unmatched[image], overlaps[image, place], -1)
        best = int(overlap.argmax())
        if overlap[best] >= threshold - EPSILON:
            correct[i], unmatched[image, best] = 1, False
    hits = np.cumsum(correct)
    precision, recall = hits / np.arange(1, len(order) + 1), hits / wanted.sum()
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(envelope[np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-9)].mean())


def _pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`pairwise_iou` on the host."""
    a, b = a[:, :, None].astype(float), b[:, None].astype(float)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.prod(np.maximum(high - low, 0), axis=-1)
    area_a, area_b = (np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (a, b))
    return intersection / np.maximum(area_a + area_b - intersection, EPSILON)
