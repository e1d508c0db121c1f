"""A one-stage detector without anchors: at every place of a map, what is there and how far it goes.

Classes are found as CenterNet does, as peaks of a map of heat for each; boxes as FCOS and TTFNet
do, by the distances from a place to the four sides, learned around the middle of each object.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.checks import check_labels, check_number
from jaxnn.core import Layer
from jaxnn.flow import serial, wire
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.norm import batch_norm
from jaxnn.nets.detection.boxes import Objects, generalized_iou, non_maximum_suppression
from jaxnn.printing import factory

RARE = 0.01  # the belief in an object at every place before training
SPREAD = 0.1  # the deviation of an object's heat, in sides of its box


class Prediction(NamedTuple):
    """What a detector says at every place of its map.

    heat: logits [batch, rows, columns, classes] of there being the middle of such an object.
    boxes: [batch, rows, columns, 4] in pixels of the picture, (left, top, right, bottom), in
      float32 at least: bfloat16 counts pixels to 256.
    """

    heat: jax.Array
    boxes: jax.Array


export.register_namedtuple_serialization(Prediction, serialized_name="jaxnn.detection.Prediction")


@factory
def detector(
    classes: int, backbone: Any, *, width: int = 64, norm: Callable[[], Layer] = batch_norm
) -> Layer:
    """A backbone and two heads at every place of its map: heat of each class, and a box.

    heat = conv1(relu(norm(conv3(h)))), with h = backbone(x)
    (left, top) = p - s d[:2] and (right, bottom) = p + s d[2:], with d = softplus of such a head

    p is the middle of the place in the picture, and s the stride: how many pixels a place stands
    for. Nothing in it depends on the number of objects, which may be none.

    Args:
      classes: kinds of objects; x [batch, height, width, channels] gives a `Prediction`. A class
        that no picture of the training shows stays as improbable as it began, or becomes less
        probable, at every place: it is never found, and does no harm.
      backbone: a layer to a map [batch, rows, columns, features] whose rows and columns divide
        height and width by one whole number; a U-Net behind a stem of stride 4, say.
      width: channels within the heads.
      norm: makes the norm of each head.

    Raises:
      ValueError: where the map is no whole number of times smaller than the picture.

    (Zhou, Wang and Krahenbuhl, Objects as points, 2019; Tian et al., FCOS: Fully convolutional
    one-stage object detection, 2019.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.detection.detector(3, nn.conv(8, 3, stride=4), width=8), jax.numpy.ones((2, 16,
    ...     24, 1))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> prediction, _ = jax.eval_shape(net.apply, params, state, x)
    >>> prediction.heat.shape, prediction.boxes.shape
    ((2, 4, 6, 3), (2, 4, 6, 4))
    """
    classes = core.check_int(classes, "detector: classes")
    rare = jax.nn.initializers.constant(math.log(RARE / (1 - RARE)))

    def head(out, **options):
        return serial(conv(width, 3, bias=False), norm(), jax.nn.relu, conv(out, 1, **options))

    def flow(f, x):
        h = f.backbone(x)
        sides = [divmod(*pair) for pair in zip(x.shape[1:3], h.shape[1:-1], strict=False)]
        if h.ndim != 4 or len({stride for stride, _ in sides}) > 1 or any(r for _, r in sides):
            raise ValueError(
                f"detector: the backbone made {core.describe(h)} of {core.describe(x)}: its map "
                "must be the same whole number of times smaller along both sides."
            )
        stride = sides[0][0]
        middle = _middles(h.shape[1:3], stride)
        d = stride * jax.nn.softplus(core.at_least_float32(f.reach(h)))
        middle = middle.astype(d.dtype)
        boxes = jnp.concatenate([middle - d[..., :2], middle + d[..., 2:]], axis=-1)
        return Prediction(f.heat(h), boxes)

    return wire(flow, backbone=backbone, heat=head(classes, b_init=rare), reach=head(4))


def detection_loss(
    prediction: Prediction, objects: Objects, *, size: tuple[int, int], box_weight: float = 2.0
) -> jax.Array:
    """The loss of each picture: the focal loss of its heat and the overlap its boxes lack.

    loss = focal_loss(heat, targets) / max(objects, 1) + box_weight sum g (1 - giou) / sum g

    The heat that an object wants falls off as a Gaussian g from the place of its middle, by a tenth
    of its sides; a box is learned at every place in the share of the heat there. A picture without
    objects learns that there is nothing.

    Args:
      prediction: of a batch.
      objects: of that batch, from `pack_objects`, which checks them: what lies outside of the
        picture has no place here, and would not be learned.
      size: (height, width) of the pictures.
      box_weight: of the boxes against the heat.

    Returns:
      Floats [batch].

    Raises:
      ValueError: for objects of another batch.

    (Zhou, Wang and Krahenbuhl, 2019; Liu et al., Training-time-friendly network for real-time
    object detection, 2020.)

    >>> import jax, jaxnn as nn
    >>> prediction = nn.detection.Prediction(jax.numpy.zeros((1, 4, 4, 2)), jax.numpy.ones((1, 4,
    ...     4, 4)))
    >>> none = nn.detection.pack_objects([[]], [[]], size=(16, 16), classes=2)
    >>> nn.detection.detection_loss(prediction, none, size=(16, 16)).round().tolist()
    [6.0]
    """
    heat, boxes = prediction
    if objects.boxes.shape[0] != heat.shape[0]:
        raise ValueError(
            f"detection_loss got {heat.shape[0]} predictions and objects for "
            f"{objects.boxes.shape[0]} pictures: give those of the same batch."
        )
    objects = Objects(*map(jnp.asarray, objects))
    if not core.traced(objects):
        named = jnp.where(objects.mask.astype(bool), objects.labels, 0)
        check_labels(named, heat.shape[-1], "detection_loss")
    heat, boxes = core.at_least_float32((heat, boxes))
    gaussian, centre = _gaussians(objects, heat.shape[1:3], size, heat.dtype)
    there = objects.mask.astype(heat.dtype)
    own = jax.nn.one_hot(objects.labels, heat.shape[-1], dtype=heat.dtype) * there[..., None]
    wanted, peak = (
        jnp.max(each[..., None] * own[:, None, None], axis=3) for each in (gaussian, centre)
    )
    n = there.sum(axis=1)
    found = focal_loss(heat, wanted, peak).sum((1, 2, 3)) / jnp.maximum(n, 1)

    # Each place learns the box of the object whose heat is greatest there.
    share = gaussian * there[:, None, None]
    nearest = jnp.argmax(share, axis=-1)
    target = jnp.take_along_axis(
        objects.boxes[:, None, None], nearest[..., None, None], axis=3
    ).squeeze(3)
    share = jnp.max(share, axis=-1)
    missed = 1 - generalized_iou(boxes, target.astype(boxes.dtype))
    far = jnp.sum(share * missed, axis=(1, 2)) / jnp.maximum(share.sum((1, 2)), 1e-6)
    return found + box_weight * far


def focal_loss(
    logits: jax.Array, wanted: jax.Array, peak: jax.Array, *, focus: float = 2.0, fade: float = 4.0
) -> jax.Array:
    """A cross entropy in which what is believed already weighs little, and what is near a peak.

    -(1 - p)^focus log p at a peak, and -(1 - wanted)^fade p^focus log(1 - p) elsewhere, with
    p = sigmoid(logits).

    Args:
      logits: floats [...].
      wanted: floats [...] of the same shape, from 0 to 1: the heat around the peaks.
      peak: floats or booleans [...], true where an object's middle is.

    Returns:
      Floats [...], one for each logit, in float32 at least.

    Raises:
      ValueError: for shapes that differ.

    (Lin et al., Focal loss for dense object detection, 2017; Law and Deng, CornerNet, 2018.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.detection.focal_loss(jnp.zeros(2), jnp.array([1.0, 0.5]), jnp.array([1, 0])).round(2)
    Array([0.17, 0.01], dtype=float32)
    """
    if not logits.shape == wanted.shape == peak.shape:
        raise ValueError(
            f"focal_loss takes logits, wanted heat and peaks of one shape, got "
            f"{core.describe((logits, wanted, peak))}."
        )
    check_number(focus, "focal_loss: focus", least=0)
    check_number(fade, "focal_loss: fade", least=0)
    logits, wanted = core.at_least_float32((logits, wanted))
    # Powers of p as exp(focus log p): the slope of p^focus is infinite at a p that rounds to 0.
    yes, no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    there = jnp.exp(focus * no) * yes
    elsewhere = (1 - wanted) ** fade * jnp.exp(focus * yes) * no
    return -jnp.where(peak.astype(bool), there, elsewhere)


def detect(prediction: Prediction, *, most: int = 100, iou: float = 0.5) -> Objects:
    """The objects of each picture: the hottest places, of which those that overlap a better go.

    It has fixed shapes and runs under `jax.jit`. Boxes of two classes do not drive out each other.

    Args:
      prediction: of a batch.
      most: objects a picture.
      iou: as in `non_maximum_suppression`.

    Returns:
      `Objects` with scores as mask [batch, most], from 0 to 1 and falling; 0 where one was dropped.

    Raises:
      ValueError: for `most` less than 1, or an overlap out of range.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> prediction = nn.detection.Prediction(jnp.zeros((1, 4, 4, 2)), jnp.ones((1, 4, 4, 4)))
    >>> nn.detection.detect(prediction, most=8).boxes.shape
    (1, 8, 4)
    """
    batch, rows, columns, classes = prediction.heat.shape
    places = rows * columns * classes
    most = min(core.check_int(most, "detect: most"), places)
    beliefs = jax.nn.sigmoid(prediction.heat).reshape(batch, places)
    scores, index = jax.lax.top_k(beliefs, most)
    labels = (index % classes).astype(jnp.int32)
    every = prediction.boxes.reshape(batch, rows * columns, 4)
    boxes = jnp.take_along_axis(every, (index // classes)[..., None], axis=1)
    kept = jax.vmap(lambda b, s, c: non_maximum_suppression(b, s, iou, labels=c))(
        boxes, scores, labels
    )
    return Objects(boxes, labels, jnp.where(kept, scores, jnp.zeros((), scores.dtype)))


def _middles(places: tuple[int, ...], stride: int) -> jax.Array:
    """The middle (x, y) of each place of a map, in pixels float32 [1, rows, columns, 2]."""
    y, x = ((jnp.arange(n, dtype=jnp.float32) + 0.5) * stride for n in places)
    return jnp.stack(jnp.meshgrid(x, y), axis=-1)[None]


def _gaussians(objects: Objects, places: tuple[int, ...], size: tuple[int, int], dtype: Any):
    """The heat of each object at each place, [batch, rows, columns, objects], and its one peak."""
    stride = jnp.array([size[1] / places[1], size[0] / places[0]], dtype)
    low, high = (objects.boxes[..., i : i + 2].astype(dtype) / stride for i in (0, 2))
    centre = jnp.floor((low + high) / 2)[:, None, None]
    spread = jnp.maximum(SPREAD * (high - low), 0.3)[:, None, None]
    at = _middles(places, 1).astype(dtype)[:, :, :, None] - 0.5
    away = jnp.square((at - centre) / spread).sum(-1)
    return jnp.exp(-away / 2), (jnp.abs(at - centre).max(-1) < 0.5).astype(dtype)
