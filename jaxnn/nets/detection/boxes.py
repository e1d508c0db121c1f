"""Boxes (left, top, right, bottom) in pixels: their overlap, and the suppression of duplicates."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number


def pairwise_iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """The intersection over union of each box of a with each of b.

    iou = area(a and b) / area(a or b)

    Args:
      a: boxes, floats [..., n, 4].
      b: boxes, floats [..., m, 4].

    Returns:
      [..., n, m], from 0 to 1, in float32 at least, since areas overflow half precision. A box
      without a finite area has an overlap of 0.

    Raises:
      TypeError: if a or b is not floating point.
      ValueError: if a or b is not boxes of these shapes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> a, b = jnp.array([[0.0, 0, 2, 2]]), jnp.array([[1.0, 0, 3, 2]])
    >>> f"{nn.detection.pairwise_iou(a, b).item():.3f}"
    '0.333'
    """
    a, b = core.at_least_float32([_check_boxes(each, "pairwise_iou", 2) for each in (a, b)])
    return _iou_and_union(a[..., :, None, :], b[..., None, :, :])[0]


def generalized_iou(a: jax.Array, b: jax.Array) -> jax.Array:
    """The generalized intersection over union of two boxes, which is negative if they are apart.

    giou = intersection / union - (hull - union) / hull, from -1 to 1

    The hull is the smallest box around both. Boxes that do not touch still have a gradient, so that
    1 - giou is a loss.

    Args:
      a: boxes, floats [..., 4].
      b: boxes of the same shape and dtype.

    Returns:
      [...], in float32 at least.

    Raises:
      TypeError: if a is not floating point.
      ValueError: if a is not boxes, or b has another shape or dtype.

    (Rezatofighi et al., Generalized intersection over union, 2019.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> a, b = jnp.array([0.0, 0, 1, 1]), jnp.array([3.0, 0, 4, 1])
    >>> nn.detection.generalized_iou(a, b).item()
    -0.5
    """
    core.check_same_spec(
        _check_boxes(a, "generalized_iou"), b, "generalized_iou takes boxes of one shape"
    )
    a, b = core.at_least_float32((a, b))
    low, high = jnp.minimum(a[..., :2], b[..., :2]), jnp.maximum(a[..., 2:], b[..., 2:])
    # In units of the hull no area overflows.
    unit = jax.lax.stop_gradient(jnp.max(high - low, axis=-1, keepdims=True))
    unit = jnp.where((unit > 0) & jnp.isfinite(unit), unit, 1)
    a, b, low, high = (each / unit for each in (a, b, low, high))
    iou, union = _iou_and_union(a, b)
    hull = jnp.prod(high - low, axis=-1)
    positive = hull > 0
    return iou - jnp.where(positive, (hull - union) / jnp.where(positive, hull, 1), 0)


def _iou_and_union(a, b):
    """The intersection over union of boxes that broadcast, and the area of their union."""
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    intersection = jnp.prod(jnp.maximum(high - low, 0), axis=-1)
    area_a, area_b = (jnp.prod(each[..., 2:] - each[..., :2], axis=-1) for each in (a, b))
    union = area_a + area_b - intersection
    valid = (union > 0) & jnp.isfinite(union)
    return jnp.where(valid, intersection / jnp.where(valid, union, 1), 0), union


def _check_boxes(x: Any, title: str, axes: int = 1) -> Any:
    """`x`; raises unless it is boxes [..., 4] with at least that many axes."""
    if core.check_features(x, title).shape[-1] != 4 or x.ndim < axes:
        raise ValueError(
            f"{title} takes boxes [..., {'n, ' * (axes - 1)}4], got {core.describe(x)}."
        )
    return x


def non_maximum_suppression(
    boxes: jax.Array, scores: jax.Array, iou: float = 0.5, *, labels: jax.Array | None = None
) -> jax.Array:
    """Select boxes in the order of their scores, without those that overlap a selected box.

    Shapes are fixed, so that it runs under `jax.jit` and `jax.vmap`.

    Args:
      boxes: floats [n, 4]; n may be 0.
      scores: floats [n]; boxes without a positive score are not selected.
      iou: the intersection over union, from 0 to 1, above which the box of the lower score is
        dropped.
      labels: integers [n]; boxes of different labels do not suppress each other.

    Returns:
      Booleans [n], true for the selected boxes.

    Raises:
      TypeError: if boxes is not floating point.
      ValueError: if iou is not between 0 and 1, or the shapes are not those above.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> boxes = jnp.array([[0.0, 0, 4, 4], [0.0, 0, 4, 5], [8.0, 8, 9, 9]])
    >>> nn.detection.non_maximum_suppression(boxes, jnp.array([0.5, 0.9, 0.2])).tolist()
    [False, True, True]
    """
    check_number(iou, "non_maximum_suppression: iou", least=0, most=1)
    _check_boxes(boxes, "non_maximum_suppression")
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
    ordered = boxes[order]
    overlaps = pairwise_iou(ordered, ordered) > iou
    if labels is not None:
        overlaps &= labels[order][:, None] == labels[order][None]
    rank = jnp.arange(boxes.shape[0])

    def visit(i, kept):
        suppressed = jnp.any(overlaps[i] & kept & (rank < i))
        return kept.at[i].set(kept[i] & ~suppressed)

    # A NaN box overlaps nothing, and would always be selected.
    candidates = (scores[order] > 0) & ~jnp.isnan(ordered).any(axis=-1)
    kept = jax.lax.fori_loop(0, boxes.shape[0], visit, candidates)
    return jnp.zeros_like(kept).at[order].set(kept)
