"""A one-stage detector without anchors, and the selection of objects from its output.

Classes are detected as in CenterNet, as peaks of a heat map for each class; boxes as in FCOS and
TTFNet, by the distances from a position to the four sides, learned around the middle of each
object.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial, wire
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.norm import batch_norm
from jaxnn.nets.detection.boxes import non_maximum_suppression
from jaxnn.nets.detection.objects import Objects
from jaxnn.printing import factory

PRIOR = 0.01  # the probability of an object at every position before training


class Prediction(NamedTuple):
    """The output of a detector at every position of its map.

    heat: [batch, rows, columns, classes], the logit of each class that an object of it has its
      middle at the position.
    boxes: [batch, rows, columns, 4], (left, top, right, bottom) in pixels of the image, in float32
      at least, since bfloat16 counts pixels only up to 256.
    """

    heat: jax.Array
    boxes: jax.Array


export.register_namedtuple_serialization(Prediction, serialized_name="jaxnn.detection.Prediction")


@factory
def detector(
    classes: int, backbone: Any, *, width: int = 64, norm: Callable[[], Layer] = batch_norm
) -> Layer:
    """A backbone with two heads at every position of its map: the heat of each class, and a box.

    heat = conv1(relu(norm(conv3(h)))), with h = backbone(x)
    (left, top) = p - s d[:2] and (right, bottom) = p + s d[2:], with d = softplus of such a head

    p is the middle of the position in the image, and s the stride: the size of a position in
    pixels. Nothing depends on the number of objects, which may be zero.

    Args:
      classes: the number of classes. A class without objects in the training data keeps its low
        initial probability, or a lower one, at every position: it is never detected, and does not
        affect the others.
      backbone: a layer to a map [batch, rows, columns, features], smaller than the image by one
        whole factor along both sides, such as a U-Net behind a stem of stride 4.
      width: the number of channels within the heads.
      norm: a function that makes the norm of each head.

    Returns:
      A layer from x [batch, height, width, channels] to `Prediction`, heat of x's dtype and boxes
      in float32 at least.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if classes or width is less than 1, or the map is not smaller than the image by
        one whole factor.

    (Zhou, Wang and Krahenbuhl, Objects as points, 2019; Tian et al., FCOS: Fully convolutional
    one-stage object detection, 2019.)

    >>> import jax, jaxnn as nn
    >>> net = nn.detection.detector(3, nn.conv(8, 3, stride=4), width=8)
    >>> x = jax.numpy.ones((2, 16, 24, 1))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> prediction, _ = jax.eval_shape(net.apply, params, state, x)
    >>> prediction.heat.shape, prediction.boxes.shape
    ((2, 4, 6, 3), (2, 4, 6, 4))
    """
    classes = core.check_int(classes, "detector: classes")
    prior_logit = jax.nn.initializers.constant(math.log(PRIOR / (1 - PRIOR)))

    def head(out, **options):
        return serial(conv(width, 3, bias=False), norm(), jax.nn.relu, conv(out, 1, **options))

    def flow(f, x):
        h = f.backbone(x)
        stride = _stride(x, h)
        middle = middles(h.shape[1:3], stride)
        d = stride * jax.nn.softplus(core.at_least_float32(f.reach(h)))
        middle = middle.astype(d.dtype)
        boxes = jnp.concatenate([middle - d[..., :2], middle + d[..., 2:]], axis=-1)
        return Prediction(f.heat(h), boxes)

    return wire(flow, backbone=backbone, heat=head(classes, b_init=prior_logit), reach=head(4))


def detect(prediction: Prediction, *, most: int = 100, iou: float = 0.5) -> Objects:
    """Select the objects of each image: the hottest positions, with overlapping boxes suppressed.

    Shapes are fixed, so that it runs under `jax.jit`. Boxes of different classes do not suppress
    each other.

    Args:
      prediction: the `Prediction` of a batch.
      most: the largest number of objects per image, at least 1.
      iou: the intersection over union, from 0 to 1, above which the box of the lower score is
        dropped.

    Returns:
      `Objects` in the order of their scores: boxes [batch, most, 4], labels int32 [batch, most],
      and as mask the scores [batch, most], from 0 to 1, and 0 for a dropped box. `most` is
      lowered to rows * columns * classes if it is larger.

    Raises:
      TypeError: if prediction is not a `Prediction`, or most is not a whole number.
      ValueError: if most is less than 1, or iou is out of range.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> prediction = nn.detection.Prediction(jnp.zeros((1, 4, 4, 2)), jnp.ones((1, 4, 4, 4)))
    >>> nn.detection.detect(prediction, most=8).boxes.shape
    (1, 8, 4)
    """
    batch, rows, columns, classes = prediction.heat.shape
    candidates = rows * columns * classes
    most = min(core.check_int(most, "detect: most"), candidates)
    probabilities = jax.nn.sigmoid(prediction.heat).reshape(batch, candidates)
    scores, index = jax.lax.top_k(probabilities, most)
    labels = (index % classes).astype(jnp.int32)
    all_boxes = prediction.boxes.reshape(batch, rows * columns, 4)
    boxes = jnp.take_along_axis(all_boxes, (index // classes)[..., None], axis=1)
    kept = jax.vmap(lambda b, s, c: non_maximum_suppression(b, s, iou, labels=c))(
        boxes, scores, labels
    )
    return Objects(boxes, labels, jnp.where(kept, scores, jnp.zeros((), scores.dtype)))


def middles(positions: tuple[int, ...], stride: int) -> jax.Array:
    """The middle (x, y) of each position of a map, in pixels float32 [1, rows, columns, 2]."""
    y, x = ((jnp.arange(n, dtype=jnp.float32) + 0.5) * stride for n in positions)
    return jnp.stack(jnp.meshgrid(x, y), axis=-1)[None]


def _stride(x: jax.Array, h: jax.Array) -> int:
    """The factor by which the map h is smaller than x; raises ValueError unless it is whole."""
    ratios = [divmod(*pair) for pair in zip(x.shape[1:3], h.shape[1:-1], strict=False)]
    if h.ndim != 4 or len({stride for stride, _ in ratios}) > 1 or any(rest for _, rest in ratios):
        raise ValueError(
            f"detector: the backbone made {core.describe(h)} of {core.describe(x)}: its map must "
            "be smaller by the same whole factor along both sides."
        )
    return ratios[0][0]
