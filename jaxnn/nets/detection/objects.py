"""The objects in a batch of images, as arrays padded to the same number of objects per image.

A box is (left, top, right, bottom) in pixels, from the upper left corner of the image: the pixel in
column j extends from j to j + 1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import export

from jaxnn import core


class Objects(NamedTuple):
    """The objects in a batch of images, padded to the same number of objects per image.

    boxes: floats [batch, most, 4], (left, top, right, bottom) in pixels.
    labels: int32 [batch, most], the class of each object.
    mask: [batch, most], true for an object and false for padding; for detected objects their
      scores, and 0 for padding.
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
    """Check the boxes of each image and pad them to one number, on the host before training.

    Args:
      boxes: for each image floats [objects, 4], (left, top, right, bottom) in pixels; an image may
        have no objects.
      labels: for each image integers [objects], 0 to classes - 1.
      size: (height, width) of the images in pixels.
      classes: the number of classes, at least 1.
      most: the number of objects per image after padding; by default the largest number in an
        image.

    Returns:
      `Objects` of NumPy arrays: boxes float32 [batch, most, 4], labels int32 [batch, most] and mask
      bool [batch, most].

    Raises:
      TypeError: if boxes or labels are not numbers.
      ValueError: if a box is inside out, has no area, extends beyond its image or is not finite, a
        label is not a class, an image has more than `most` objects, or shapes do not agree. Errors
        of a single box or label name the image and the object.

    >>> import jaxnn as nn
    >>> boxes, labels = [[[2, 3, 8, 9]], []], [[1], []]
    >>> objects = nn.detection.pack_objects(boxes, labels, size=(16, 16), classes=2)
    >>> objects.boxes.shape, objects.mask.tolist()
    ((2, 1, 4), [[True], [False]])
    """
    classes = core.check_int(classes, "pack_objects: classes")
    all_boxes = [_array(each, f"boxes of image {i}", (4,)) for i, each in enumerate(boxes)]
    all_labels = [_array(each, f"labels of image {i}", ()) for i, each in enumerate(labels)]
    counts = [len(each) for each in all_boxes]
    if counts != [len(each) for each in all_labels]:
        raise ValueError("pack_objects takes a label for each box of each image.")
    capacity = max([*counts, 1]) if most is None else core.check_int(most, "pack_objects: most")
    if max([*counts, 0]) > capacity:
        i = int(np.argmax(counts))
        raise ValueError(
            f"image {i} has {counts[i]} objects, more than most={capacity}: raise most."
        )
    for i, (image_boxes, image_labels) in enumerate(zip(all_boxes, all_labels, strict=True)):
        for n, (box, label) in enumerate(zip(image_boxes, image_labels, strict=True)):
            _check_object(f"image {i}, object {n}", box, label, size, classes)

    def padded(values, shape, dtype):
        result = np.zeros((len(values), capacity, *shape), dtype)
        for row, of_image in zip(result, values, strict=True):
            row[: len(of_image)] = of_image
        return result

    mask = np.arange(capacity)[None] < np.array(counts, int).reshape(-1, 1)
    return Objects(padded(all_boxes, (4,), np.float32), padded(all_labels, (), np.int32), mask)


def join_objects(parts: Sequence[Objects]) -> Objects:
    """The `Objects` of several batches as one, padded to the largest number of objects."""
    capacity = max(part.boxes.shape[1] for part in parts)

    def pad(leaf):
        return np.pad(leaf, [(0, 0), (0, capacity - leaf.shape[1]), *[(0, 0)] * (leaf.ndim - 2)])

    return Objects(*(np.concatenate(list(map(pad, leaves))) for leaves in zip(*parts, strict=True)))


def _array(values: Any, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers [objects, *shape]; an empty value means no objects."""
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"pack_objects: the {what} are not numbers.") from None
    array = array.reshape(0, *shape) if array.size == 0 else array
    if array.shape[1:] != shape or array.ndim != 1 + len(shape):
        wanted = "[objects, 4]" if shape else "[objects]"
        raise ValueError(f"pack_objects: the {what} must be {wanted}, got {list(array.shape)}.")
    return array


def _check_object(
    place: str, box: np.ndarray, label: float, size: tuple[int, int], classes: int
) -> None:
    """Raises ValueError unless the box lies in the image and the label is a class."""
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
            f"{place}: the box {box.tolist()} extends beyond an image of height {size[0]} and "
            f"width {size[1]}: clip it, and drop it if nothing is left."
        )
    if not 0 <= label < classes or label != int(label):
        raise ValueError(f"{place}: the label {label:g} is not one of {classes} classes.")
