"""Boxes in pictures: how far they overlap, which are kept, and how well they are found.

A box is (left, top, right, bottom) in pixels, from the left upper corner of the picture: a pixel in
column j reaches from j to j + 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxnn import core
from jaxnn.checks import check_labels, check_number

EPSILON = 1e-9


class Objects(NamedTuple):
    """What is in a batch of pictures, padded to one number of objects a picture.

    boxes: floats [batch, most, 4].
    labels: int32 [batch, most], the class of each.
    mask: [batch, most]: true where there is an object, or for found ones their score, 0 where none.
    """

    boxes: Any
    labels: Any
    mask: Any


export.register_namedtuple_serialization(Objects, serialized_name="jaxnn.detection.Objects")


def pack_objects(
    boxes: Sequence,
    labels: Sequence,
    *,
    size: tuple[int, int],
    classes: int,
    most: int | None = None,
) -> Objects:
    """Checks the boxes of each picture, and pads them to one number; on the host, before training.

    Args:
      boxes: for each picture floats [objects, 4]; a picture may have none.
      labels: for each picture integers [objects], less than `classes`.
      size: (height, width) of the pictures.
      most: objects a picture; by default as many as the fullest has.

    Raises:
      ValueError: for a box that is inside out, has no area, lies partly outside of its picture or
        is not finite; for a label that is no class; for more objects than `most`; for shapes that
        do not agree. Each names the picture and the object.

    >>> import jaxnn as nn
    >>> objects = nn.detection.pack_objects([[[2, 3, 8, 9]], []], [[1], []], size=(16, 16),
    ...     classes=2)
    >>> objects.boxes.shape, objects.mask.tolist()
    ((2, 1, 4), [[True], [False]])
    """
    classes = core.check_int(classes, "pack_objects: classes")
    held = [_rows(each, f"boxes of picture {i}", (4,)) for i, each in enumerate(boxes)]
    named = [_rows(each, f"labels of picture {i}", ()) for i, each in enumerate(labels)]
    counts = [len(each) for each in held]
    if counts != [len(each) for each in named]:
        raise ValueError("pack_objects takes a label for each box of each picture.")
    room = max([*counts, 1]) if most is None else core.check_int(most, "pack_objects: most")
    if max([*counts, 0]) > room:
        i = int(np.argmax(counts))
        raise ValueError(f"picture {i} has {counts[i]} objects, more than most={room}: raise most.")
    for i, (some, classes_) in enumerate(zip(held, named, strict=True)):
        for n, (box, label) in enumerate(zip(some, classes_, strict=True)):
            _refuse(f"picture {i}, object {n}", box, label, size, classes)

    def padded(each, shape, dtype):
        whole = np.zeros((len(each), room, *shape), dtype)
        for row, values in zip(whole, each, strict=True):
            row[: len(values)] = values
        return whole

    mask = np.arange(room)[None] < np.array(counts, int).reshape(-1, 1)
    return Objects(padded(held, (4,), np.float32), padded(named, (), np.int32), mask)


def _rows(values: Any, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers [objects, *shape], which nothing may be, too."""
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"pack_objects: the {what} are no numbers.") from None
    found = found.reshape(0, *shape) if found.size == 0 else found
    if found.shape[1:] != shape or found.ndim != 1 + len(shape):
        wanted = "[objects, 4]" if shape else "[objects]"
        raise ValueError(f"pack_objects: the {what} must be {wanted}, got {list(found.shape)}.")
    return found


def _refuse(place: str, box: np.ndarray, label: float, size: tuple[int, int], classes: int) -> None:
    left, top, right, bottom = box.tolist()
    if not np.isfinite(box).all():
        raise ValueError(f"{place}: the box {box.tolist()} is not finite.")
    if not (left < right and top < bottom):
        raise ValueError(
            f"{place}: the box {box.tolist()} is inside out or has no area: give (left, top, "
            "right, bottom)."
        )
    if left < 0 or top < 0 or right > size[1] or bottom > size[0]:
        raise ValueError(
            f"{place}: the box {box.tolist()} reaches out of a picture of height {size[0]} and "
            f"width {size[1]}: clip it, and drop it where nothing is left."
        )
    if not 0 <= label < classes or label != int(label):
        raise ValueError(f"{place}: the label {label:g} is none of {classes} classes.")


# Overlap


def pairwise_iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """How far each box of a overlaps each of b: the area of both over the area of either.

    Args:
      a, b: boxes [..., n, 4] and [..., m, 4]; y is [..., n, m], from 0 to 1, in float32 at least,
        since areas overflow half precision. Boxes without a finite area overlap none.

    Raises:
      ValueError: for what are no boxes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.detection.pairwise_iou(jnp.array([[0.0, 0, 2, 2]]), jnp.array([[1.0, 0, 3,
    ...     2]])).round(3).tolist()
    [[0.3330000042915344]]
    """
    a, b = core.at_least_float32([_boxes(each, "pairwise_iou", 2) for each in (a, b)])
    return _overlap(a[..., :, None, :], b[..., None, :, :])[0]


def generalized_iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """The overlap of box and box, less the share of their common hull that neither covers.

    giou = both / either - (hull - either) / hull, from -1 to 1: it says of boxes that do not touch
    how far they are from it, so that 1 - giou is a loss.

    Args:
      a, b: boxes [..., 4] of one shape; y is [...], in float32 at least.

    Raises:
      ValueError: for other shapes.

    (Rezatofighi et al., Generalized intersection over union, 2019.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.detection.generalized_iou(jnp.array([0.0, 0, 1, 1]), jnp.array([3.0, 0, 4, 1])).tolist()
    -0.5
    """
    core.check_same_spec(
        _boxes(a, "generalized_iou"), b, "generalized_iou takes boxes of one shape"
    )
    a, b = core.at_least_float32((a, b))
    low, high = jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])
    # Measured by the hull, no area overflows.
    unit = jax.lax.stop_gradient(jnp.max(high - low, axis=-1, keepdims=True))
    unit = jnp.where((unit > 0) & jnp.isfinite(unit), unit, 1)
    a, b, low, high = (each / unit for each in (a, b, low, high))
    iou, either = _overlap(a, b)
    hull = jnp.prod(high - low, axis=-1)
    some = hull > 0
    return iou - jnp.where(some, (hull - either) / jnp.where(some, hull, 1), 0)


def _overlap(a, b):
    """The overlap of boxes that broadcast, and the area of either."""
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    both = jnp.prod(jnp.maximum(high - low, 0), axis=-1)
    area = [jnp.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (a, b)]
    either = area[0] + area[1] - both
    some = (either > 0) & jnp.isfinite(either)
    return jnp.where(some, both / jnp.where(some, either, 1), 0), either


def _boxes(x: Any, title: str, axes: int = 1) -> Any:
    if core.check_features(x, title).shape[-1] != 4 or x.ndim < axes:
        raise ValueError(
            f"{title} takes boxes [..., {'n, ' * (axes - 1)}4], got {core.describe(x)}."
        )
    return x


# Selection


def non_maximum_suppression(
    boxes: jax.Array, scores: jax.Array, iou: float = 0.5, *, labels: jax.Array | None = None
) -> jax.Array:
    """Which boxes are kept: from the best on, each that no better kept one overlaps too far.

    Shapes are fixed, so that it runs under `jax.jit` and `jax.vmap`.

    Args:
      boxes: floats [n, 4]; there may be none.
      scores: floats [n]; boxes of no positive score are not kept.
      iou: the overlap beyond which the worse of two goes, in [0, 1]; one of exactly that stays.
      labels: integers [n]; boxes of two labels do not drive out each other.

    Returns:
      Booleans [n].

    Raises:
      ValueError: for other shapes, or an overlap out of range.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> boxes = jnp.array([[0.0, 0, 4, 4], [0.0, 0, 4, 5], [8.0, 8, 9, 9]])
    >>> nn.detection.non_maximum_suppression(boxes, jnp.array([0.5, 0.9, 0.2])).tolist()
    [False, True, True]
    """
    check_number(iou, "non_maximum_suppression: iou", least=0, most=1)
    _boxes(boxes, "non_maximum_suppression")
    if boxes.ndim != 2 or scores.shape != boxes.shape[:1]:
        raise ValueError(
            f"non_maximum_suppression takes boxes [n, 4] and scores [n], got "
            f"{core.describe((boxes, scores))}: map it over a batch with jax.vmap."
        )
    if labels is not None and labels.shape != scores.shape:
        raise ValueError(
            f"non_maximum_suppression takes labels [n], got {core.describe(labels)} for "
            f"{core.describe(scores)}."
        )
    if not boxes.shape[0]:
        return jnp.zeros(0, bool)
    order = jnp.argsort(-scores)
    sorted_ = boxes[order]
    close = pairwise_iou(sorted_, sorted_) > iou
    if labels is not None:
        close &= labels[order][:, None] == labels[order][None]
    place = jnp.arange(boxes.shape[0])

    def visit(i, kept):
        beaten = jnp.any(close[i] & kept & (place < i))
        return kept.at[i].set(kept[i] & ~beaten)

    # A box that is not a number overlaps none, and would always be kept.
    some = (scores[order] > 0) & ~jnp.isnan(sorted_).any(axis=-1)
    kept = jax.lax.fori_loop(0, boxes.shape[0], visit, some)
    return jnp.zeros_like(kept).at[order].set(kept)


# Measurement


def mean_average_precision(
    found: Objects,
    truth: Objects,
    *,
    classes: int,
    iou: float | Sequence[float] = 0.5,
) -> float:
    """The mean over classes of the area below the curve of precision over recall; on the host.

    Found boxes of a class are taken from the best score down. One is right if it overlaps a box of
    its class and picture, that no better one was matched to, by `iou` or more. Precision at a
    recall is the best at that recall or a higher one, and its mean is taken at recalls 0, 0.01, up
    to 1. A class that no picture of `truth` holds does not count; one that is there and never found
    counts as zero. Without any class at all it is NaN.

    Args:
      found: with scores as mask, as `detect` returns it.
      truth: with true where an object is.
      iou: one overlap, or several over which the mean is taken; COCO's are
        `np.arange(0.5, 1, 0.05)`.

    Raises:
      ValueError: for another number of pictures, a label that is no class, boxes or scores that are
        NaN, and overlaps out of range.

    (Lin et al., Microsoft COCO: Common objects in context, 2014, whose evaluation this is, for up
    to as many boxes a picture as `found` has.)

    >>> import numpy as np, jaxnn as nn
    >>> truth = nn.detection.pack_objects([[[2, 3, 8, 9]]], [[1]], size=(16, 16), classes=2)
    >>> found = truth._replace(mask=np.array([[0.9]]))
    >>> round(nn.detection.mean_average_precision(found, truth, classes=2), 3)
    1.0
    """
    found, truth = (Objects(*map(np.asarray, each)) for each in (found, truth))
    if len(found.boxes) != len(truth.boxes):
        raise ValueError(
            f"found has {len(found.boxes)} pictures, truth has {len(truth.boxes)}: give the same."
        )
    for each, what in ((found, "found"), (truth, "truth")):
        held = each.mask.astype(bool)
        check_labels(np.where(held, each.labels, 0), classes, f"mean_average_precision, {what}")
        if np.isnan(each.mask.astype(np.float64)).any() or np.isnan(each.boxes[held]).any():
            raise ValueError(f"mean_average_precision: {what} has boxes or scores that are NaN.")
    bars = np.atleast_1d(iou)
    if not bars.size or not ((bars >= 0) & (bars <= 1)).all():
        raise ValueError(
            f"mean_average_precision: iou is one or more overlaps in [0, 1], got {iou}."
        )
    overlaps = _pairs(found.boxes, truth.boxes)
    there = truth.mask.astype(bool)
    values = [
        _precision(found, truth.labels, there, overlaps, label, bar)
        for label in range(classes)
        if (there & (truth.labels == label)).any()
        for bar in bars
    ]
    return float(np.mean(values)) if values else float("nan")


def join_objects(parts: Sequence[Objects]) -> Objects:
    """Objects of several batches as one, each with room for the most of any."""
    most = max(part.boxes.shape[1] for part in parts)

    def pad(leaf):
        return np.pad(leaf, [(0, 0), (0, most - leaf.shape[1]), *[(0, 0)] * (leaf.ndim - 2)])

    return Objects(*(np.concatenate(list(map(pad, leaves))) for leaves in zip(*parts, strict=True)))


def _precision(found, labels, there, overlaps, label: int, bar: float) -> float:
    """The average precision of one class at one overlap."""
    wanted = there & (labels == label)
    rows, places = np.nonzero((found.mask > 0) & (found.labels == label))
    order = np.argsort(-found.mask[rows, places], kind="stable")
    open_, right = wanted.copy(), np.zeros(len(order))
    for i, (row, place) in enumerate(zip(rows[order], places[order], strict=True)):
        overlap = np.where(open_[row], overlaps[row, place], -1)
        best = int(overlap.argmax())
        if overlap[best] >= bar - EPSILON:
            right[i], open_[row, best] = 1, False
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(order) + 1), hits / wanted.sum()
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return float(envelope[np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-9)].mean())


def _pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`pairwise_iou` on the host."""
    a, b = a[:, :, None].astype(float), b[:, None].astype(float)
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    area = [np.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (a, b)]
    return both / np.maximum(area[0] + area[1] - both, EPSILON)
