"""The loss of a detector: a focal loss of its heat maps, and the overlap of its boxes."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_labels, check_number
from jaxnn.nets.detection.boxes import generalized_iou
from jaxnn.nets.detection.detector import Prediction, middles
from jaxnn.nets.detection.objects import Objects

SPREAD = 0.1  # the standard deviation of an object's heat, in sides of its box


def detection_loss(
    prediction: Prediction, objects: Objects, *, size: tuple[int, int], box_weight: float = 2.0
) -> jax.Array:
    """The loss of each image: the focal loss of its heat, and the overlap that its boxes lack.

    loss = focal_loss(heat, targets) / max(objects, 1) + box_weight sum g (1 - giou) / sum g

    The target heat of an object is a Gaussian g around the position of its middle, with a standard
    deviation of a tenth of its sides. Boxes are learned at every position in proportion to g. An
    image without objects lowers the heat everywhere.

    Args:
      prediction: the `Prediction` of a batch.
      objects: the true objects of the batch, from `pack_objects`, which checks them: an object
        outside of the image has no position on the map, and would not be learned.
      size: (height, width) of the images in pixels.
      box_weight: the weight of the boxes relative to the heat.

    Returns:
      Floats [batch], in float32 at least.

    Raises:
      TypeError: if prediction is not a `Prediction`, or objects is not `Objects`.
      ValueError: if objects is for another number of images, or a label is not a class (checked
        outside jit only).

    (Zhou, Wang and Krahenbuhl, Objects as points, 2019; Liu et al., Training-time-friendly network
    for real-time object detection, 2020.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> prediction = nn.detection.Prediction(jnp.zeros((1, 4, 4, 2)), jnp.ones((1, 4, 4, 4)))
    >>> no_objects = nn.detection.pack_objects([[]], [[]], size=(16, 16), classes=2)
    >>> nn.detection.detection_loss(prediction, no_objects, size=(16, 16)).round().tolist()
    [6.0]
    """
    heat, boxes = prediction
    if objects.boxes.shape[0] != heat.shape[0]:
        raise ValueError(
            f"detection_loss got predictions for {heat.shape[0]} images and objects for "
            f"{objects.boxes.shape[0]}: give those of the same batch."
        )
    objects = Objects(*map(jnp.asarray, objects))
    if not core.traced(objects):
        labels = jnp.where(objects.mask.astype(bool), objects.labels, 0)
        check_labels(labels, heat.shape[-1], "detection_loss")
    heat, boxes = core.at_least_float32((heat, boxes))
    gaussian, middle = _heat_of_objects(objects, heat.shape[1:3], size, heat.dtype)
    present = objects.mask.astype(heat.dtype)
    one_hot = jax.nn.one_hot(objects.labels, heat.shape[-1], dtype=heat.dtype) * present[..., None]
    target, peak = (
        jnp.max(each[..., None] * one_hot[:, None, None], axis=3) for each in (gaussian, middle)
    )
    count = jnp.maximum(present.sum(axis=1), 1)
    heat_loss = focal_loss(heat, target, peak).sum((1, 2, 3)) / count

    # Each position learns the box of the object whose heat is greatest there.
    weights = gaussian * present[:, None, None]
    hottest = jnp.argmax(weights, axis=-1)
    target_boxes = jnp.take_along_axis(
        objects.boxes[:, None, None], hottest[..., None, None], axis=3
    ).squeeze(3)
    weights = jnp.max(weights, axis=-1)
    missing = 1 - generalized_iou(boxes, target_boxes.astype(boxes.dtype))
    total = jnp.maximum(weights.sum((1, 2)), 1e-6)
    box_loss = jnp.sum(weights * missing, axis=(1, 2)) / total
    return heat_loss + box_weight * box_loss


def focal_loss(
    logits: jax.Array, wanted: jax.Array, peak: jax.Array, *, focus: float = 2.0, fade: float = 4.0
) -> jax.Array:
    """A cross entropy in which easy positions, and those near a peak, have little weight.

    -(1 - p)^focus log p at a peak, and -(1 - wanted)^fade p^focus log(1 - p) elsewhere, with
    p = sigmoid(logits)

    Args:
      logits: floats [...].
      wanted: floats [...] of the same shape, from 0 to 1: the target heat around the peaks.
      peak: floats or booleans [...] of the same shape, true at the middle of an object.
      focus: at least 0; the larger it is, the less weight positions have that are right already.
      fade: at least 0; the larger it is, the less weight positions near a peak have.

    Returns:
      Floats [...], one for each logit, in float32 at least.

    Raises:
      TypeError: if logits, wanted or peak is not an array.
      ValueError: if the shapes differ, or focus or fade is negative.

    (Lin et al., Focal loss for dense object detection, 2017; Law and Deng, CornerNet, 2018.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> wanted, peak = jnp.array([1.0, 0.5]), jnp.array([1, 0])
    >>> nn.detection.focal_loss(jnp.zeros(2), wanted, peak).round(2)
    Array([0.17, 0.01], dtype=float32)
    """
    if not logits.shape == wanted.shape == peak.shape:
        raise ValueError(
            f"focal_loss takes logits, wanted and peak of one shape, got "
            f"{core.describe((logits, wanted, peak))}."
        )
    check_number(focus, "focal_loss: focus", least=0)
    check_number(fade, "focal_loss: fade", least=0)
    logits, wanted = core.at_least_float32((logits, wanted))
    # Powers of p are exp(focus log p): the slope of p^focus is infinite at a p that rounds to 0.
    log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    at_peak = jnp.exp(focus * log_not_p) * log_p
    elsewhere = (1 - wanted) ** fade * jnp.exp(focus * log_p) * log_not_p
    return -jnp.where(peak.astype(bool), at_peak, elsewhere)


def _heat_of_objects(
    objects: Objects, positions: tuple[int, ...], size: tuple[int, int], dtype: Any
) -> tuple[jax.Array, jax.Array]:
    """The heat of each object, [batch, rows, columns, objects], and its peak in the same shape."""
    stride = jnp.array([size[1] / positions[1], size[0] / positions[0]], dtype)
    low, high = (objects.boxes[..., i : i + 2].astype(dtype) / stride for i in (0, 2))
    middle = jnp.floor((low + high) / 2)[:, None, None]
    spread = jnp.maximum(SPREAD * (high - low), 0.3)[:, None, None]
    at = middles(positions, 1).astype(dtype)[:, :, :, None] - 0.5
    squares = jnp.square((at - middle) / spread).sum(-1)
    return jnp.exp(-squares / 2), (jnp.abs(at - middle).max(-1) < 0.5).astype(dtype)
