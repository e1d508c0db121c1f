"""Scenes with several objects, and the box of each."""

from typing import NamedTuple

import numpy as np

from examples.data.images import digits
from examples.data.photographs import photographs

SIDE = 96  # pixels of a scene
MOST = 4  # digits in a scene, at most
APART = 2  # pixels between two digits, at least
CONTRAST = 0.35  # between a digit and the mean of its background, at least


class Scenes(NamedTuple):
    """Images, and the digits in each.

    x: uint8 [scenes, 96, 96], gray.
    boxes: for each scene float32 [digits, 4], (left, top, right, bottom) in pixels.
    labels: for each scene int32 [digits].
    """

    x: np.ndarray
    boxes: list[np.ndarray]
    labels: list[np.ndarray]


def pasted_digits(train: int, tests: int) -> tuple[Scenes, Scenes]:
    """Handwritten digits, tightly cropped, on crops of photographs: 1 to 4 a scene, all apart.

    The training scenes show the 4000 training digits on the left three quarters of each photograph,
    the test scenes the 1000 test digits on the right quarter. A digit has a random gray value that
    contrasts with its background. The same counts give the same scenes.
    """
    split, images = digits(), photographs().values()
    edges = [3 * image.shape[1] // 4 for image in images]
    left = [image[:, :edge] for image, edge in zip(images, edges, strict=True)]
    right = [image[:, edge:] for image, edge in zip(images, edges, strict=True)]
    return (
        _scenes(np.random.default_rng(0), train, left, split.x, split.y),
        _scenes(np.random.default_rng(1), tests, right, split.test_x, split.test_y),
    )


def _scenes(
    rng: np.random.Generator, count: int, photographs: list, x: np.ndarray, y: np.ndarray
) -> Scenes:
    shapes = [_tight(digit) for digit in x.reshape(-1, 28, 28)]
    scenes = [_scene(rng, photographs, shapes, y) for _ in range(count)]
    images, boxes, labels = zip(*scenes, strict=True)
    return Scenes(np.stack(images), list(boxes), list(labels))


def _tight(digit: np.ndarray) -> np.ndarray:
    """A digit without empty rows and columns around it."""
    rows, columns = (np.flatnonzero((digit > 0.2).any(axis)) for axis in (1, 0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scene(rng: np.random.Generator, photographs: list, shapes: list, y: np.ndarray) -> tuple:
    photograph = photographs[rng.integers(len(photographs))]
    top, left = (rng.integers(n - SIDE + 1) for n in photograph.shape)
    scene = photograph[top : top + SIDE, left : left + SIDE].copy()
    scene = scene[:, ::-1] if rng.random() < 0.5 else scene
    boxes, labels = [], []
    for which in rng.integers(len(shapes), size=rng.integers(1, MOST + 1)):
        shape = shapes[which]
        for _ in range(50):  # until it overlaps no other digit; a scene has room for more than four
            top, left = (rng.integers(SIDE - n + 1) for n in shape.shape)
            box = np.array([left, top, left + shape.shape[1], top + shape.shape[0]], np.float32)
            if all(_apart(box, other) for other in boxes):
                break
        else:
            continue
        background = scene[top : top + shape.shape[0], left : left + shape.shape[1]]
        grays = np.linspace(0, 1, 101)
        gray = rng.choice(grays[np.abs(grays - background.mean()) >= CONTRAST])
        background += shape * (gray - background)
        boxes.append(box)
        labels.append(y[which])
    return np.round(255 * scene).astype(np.uint8), np.array(boxes), np.array(labels, np.int32)


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[:2] >= b[2:] + APART).any() or (b[:2] >= a[2:] + APART).any())
