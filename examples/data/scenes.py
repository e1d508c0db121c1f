"""Scenes with several things in them, and where each is."""

from typing import NamedTuple

import numpy as np

from examples.data.images import digits
from examples.data.photographs import photographs

SIDE, MOST = 96, 4  # pixels of a scene; digits in it
APART = 2  # pixels between two digits, at least
CONTRAST = 0.35  # between a digit's ink and the mean of what is behind it, at least


class Scenes(NamedTuple):
    """Pictures, and the digits in each.

    x: uint8 [scenes, 96, 96], grey.
    boxes: for each scene float32 [digits, 4], (left, top, right, bottom) in pixels.
    labels: for each scene int32 [digits].
    """

    x: np.ndarray
    boxes: list[np.ndarray]
    labels: list[np.ndarray]


def pasted_digits(learned: int, tests: int) -> tuple[Scenes, Scenes]:
    """Handwritten digits, cropped tight, on pieces of photographs: 1 to 4 in each, all apart.

    The scenes to learn from have the 4000 digits to learn from and the left three quarters of each
    photograph, those to test the 1000 others and the right quarter. A digit's ink is a grey drawn
    at random, that differs from what is behind it. The same counts give the same scenes.
    """
    split, pictures = digits(), photographs().values()
    edges = [3 * picture.shape[1] // 4 for picture in pictures]
    left = [picture[:, :edge] for picture, edge in zip(pictures, edges, strict=True)]
    right = [picture[:, edge:] for picture, edge in zip(pictures, edges, strict=True)]
    return (
        _scenes(np.random.default_rng(0), learned, left, split.x, split.y),
        _scenes(np.random.default_rng(1), tests, right, split.test_x, split.test_y),
    )


def _scenes(
    rng: np.random.Generator, count: int, places: list, x: np.ndarray, y: np.ndarray
) -> Scenes:
    shapes = [_tight(picture) for picture in x.reshape(-1, 28, 28)]
    made = [_scene(rng, places, shapes, y) for _ in range(count)]
    pictures, boxes, labels = zip(*made, strict=True)
    return Scenes(np.stack(pictures), list(boxes), list(labels))


def _tight(digit: np.ndarray) -> np.ndarray:
    """A digit without the empty rows and columns around it."""
    rows, columns = (np.flatnonzero((digit > 0.2).any(axis)) for axis in (1, 0))
    return digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scene(rng: np.random.Generator, places: list, shapes: list, y: np.ndarray) -> tuple:
    place = places[rng.integers(len(places))]
    top, left = (rng.integers(n - SIDE + 1) for n in place.shape)
    scene = place[top : top + SIDE, left : left + SIDE].copy()
    scene = scene[:, ::-1] if rng.random() < 0.5 else scene
    boxes, labels = [], []
    for which in rng.integers(len(shapes), size=rng.integers(1, MOST + 1)):
        shape = shapes[which]
        for _ in range(50):  # until it overlaps none; a scene has room for more than four
            top, left = (rng.integers(SIDE - n + 1) for n in shape.shape)
            box = np.array([left, top, left + shape.shape[1], top + shape.shape[0]], np.float32)
            if all(_apart(box, other) for other in boxes):
                break
        else:
            continue
        behind = scene[top : top + shape.shape[0], left : left + shape.shape[1]]
        inks = np.linspace(0, 1, 101)
        ink = rng.choice(inks[np.abs(inks - behind.mean()) >= CONTRAST])
        behind += shape * (ink - behind)
        boxes.append(box)
        labels.append(y[which])
    return np.round(255 * scene).astype(np.uint8), np.array(boxes), np.array(labels, np.int32)


def _apart(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[:2] >= b[2:] + APART).any() or (b[:2] >= a[2:] + APART).any())
