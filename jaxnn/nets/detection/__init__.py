"""Object detection: finding the class and the bounding box of every object in an image.

`detector` is a one-stage network without anchors. At every position of its map it predicts the heat
of each class, which is high at the middles of objects, and the distances from the position to the
four sides of a box. `detect` takes the hottest positions and drops those whose boxes overlap a
better one.

    heat = conv1(relu(norm(conv3(h)))), with h = backbone(x)
    (left, top) = p - s d[:2] and (right, bottom) = p + s d[2:], with d = softplus of such a head
    loss = focal_loss(heat, targets) / max(objects, 1) + box_weight sum g (1 - giou) / sum g

Here p is the middle of a position in the image, s the stride of the map in pixels, and g a Gaussian
around the middle of an object.

Where it is used: to count, locate and classify objects in photographs, video frames, microscopy and
satellite images. A small backbone makes it fast, and nothing in it depends on the number of
objects.

Where it fails: two objects of one class whose middles fall on the same position of the map are
found as one, so that crowds of small objects need a small stride. A single map must serve all
sizes; feature pyramids, which split them, are more accurate on photographs. Boxes are aligned with
the axes, and rotated or thin objects fill them poorly.

The smallest code that trains it, to find one bright square in each image:

>>> import functools, jax, numpy as np, jaxnn as nn, optax
>>> corners = np.random.default_rng(0).integers(0, 10, (64, 2))
>>> x = np.zeros((64, 16, 16, 1), np.float32)
>>> for image, (left, top) in zip(x, corners):
...     image[top : top + 6, left : left + 6] = 1
>>> boxes = [[[left, top, left + 6, top + 6]] for left, top in corners]
>>> objects = nn.detection.pack_objects(boxes, [[0]] * 64, size=(16, 16), classes=1)
>>> stem = nn.conv(16, 3, stride=2)
>>> backbone = nn.serial(stem, jax.nn.relu, nn.conv(16, 3), jax.nn.relu)
>>> net, optimizer = nn.detection.detector(1, backbone, width=16), optax.adam(1e-2)
>>> loss = functools.partial(nn.detection.detection_loss, size=(16, 16))
>>> step = nn.training.step(nn.training.supervised(net, loss), optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
>>> end = nn.training.fit(step, train, (x, objects), steps=200, batch_size=32)
>>> prediction, _ = net.apply(end.train.params, end.train.state, x)
>>> found = nn.detection.detect(prediction, most=5)
>>> nn.detection.mean_average_precision(found, objects, classes=1) > 0.9
True

See also: python -m examples detection

Papers:
  Zhou, Wang and Krahenbuhl, Objects as points, 2019 (CenterNet).
  Tian et al., FCOS: Fully convolutional one-stage object detection, 2019.
  Liu et al., Training-time-friendly network for real-time object detection, 2020 (TTFNet).
  Lin et al., Focal loss for dense object detection, 2017.
  Rezatofighi et al., Generalized intersection over union, 2019.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.detection.average_precision import mean_average_precision
from jaxnn.nets.detection.boxes import generalized_iou, non_maximum_suppression, pairwise_iou
from jaxnn.nets.detection.detector import Prediction, detect, detector
from jaxnn.nets.detection.losses import detection_loss, focal_loss
from jaxnn.nets.detection.objects import Objects, pack_objects

__all__ = [
    "Objects",
    "Prediction",
    "detect",
    "detection_loss",
    "detector",
    "focal_loss",
    "generalized_iou",
    "mean_average_precision",
    "non_maximum_suppression",
    "pack_objects",
    "pairwise_iou",
]

check_public(globals(), __all__)
