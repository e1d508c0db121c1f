"""How accurate a network stays when digits are rotated, and warped by affine maps."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn

ANGLES = np.arange(-40, 41, 10)  # degrees by which the digits are rotated
WARPS = 5  # of each digit
ROWS = 100  # digits changed at once


class Robustness(NamedTuple):
    """The accuracies of a network.

    rotated: [angles], at each of ANGLES.
    warped: on affine-warped digits.
    """

    rotated: np.ndarray
    warped: float

    @property
    def upright(self) -> float:
        """The accuracy at an angle of 0."""
        return float(self.rotated[ANGLES == 0][0])

    @property
    def lost_rotated(self) -> float:
        """The percentage points that are lost by rotation, on average."""
        return float(100 * (self.rotated[ANGLES == 0][0] - self.rotated[ANGLES != 0].mean()))

    @property
    def lost_warped(self) -> float:
        """The percentage points that are lost by affine maps."""
        return 100 * (self.upright - self.warped)


def measured(scores: Callable, images: np.ndarray, labels: np.ndarray) -> Robustness:
    """The accuracies of the classes with the highest scores(images)."""

    @jax.jit
    def right(x, labels, matrices):
        return jnp.sum(jnp.argmax(scores(nn.augmentation.affine(x, matrices)), -1) == labels)

    def accuracy(matrices):
        parts = [slice(i, i + ROWS) for i in range(0, len(images), ROWS)]
        counts = [right(images[part], labels[part], matrices[part]) for part in parts]
        return sum(map(int, counts)) / len(images)

    angles = [jnp.full(len(images), float(angle)) for angle in ANGLES]
    rotated = [accuracy(nn.augmentation.rotation(each)) for each in angles]
    matrices = jnp.split(warps(WARPS * len(images)), WARPS)
    return Robustness(np.array(rotated), float(np.mean([accuracy(each) for each in matrices])))


def warps(rows: int) -> jax.Array:
    """Random matrices [rows, 2, 3] like those of affNIST, the same at every call.

    They rotate by up to 20 degrees, shear by up to 0.2, scale each axis by 0.8 to 1.2, and move by
    up to 2 pixels.
    """
    draw = np.random.default_rng(0).uniform(-1, 1, (6, rows))
    rotation = np.asarray(nn.augmentation.rotation(20 * draw[0]))[..., :2]
    one, zero = np.ones(rows), np.zeros(rows)
    shear = np.moveaxis(np.array([[one, 0.2 * draw[1]], [zero, one]]), -1, 0)
    scale = np.moveaxis(np.array([[1 + 0.2 * draw[2], zero], [zero, 1 + 0.2 * draw[3]]]), -1, 0)
    linear = rotation @ shear @ np.linalg.inv(scale)
    return jnp.asarray(np.concatenate([linear, 2 * draw[4:].T[..., None]], -1), jnp.float32)


def changed(image: np.ndarray) -> np.ndarray:
    """An image [28, 28, 1] as the test changes it: at each of ANGLES, then as often warped."""
    rotations = nn.augmentation.rotation(jnp.array(ANGLES * 1.0))
    matrices = jnp.concatenate([rotations, warps(len(ANGLES))])
    copies = jnp.tile(image[None], (len(matrices), 1, 1, 1))
    return np.asarray(nn.augmentation.affine(copies, matrices))
