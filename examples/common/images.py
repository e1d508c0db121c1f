"""Augmentation of digits, and images arranged side by side."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn

SHIFT = 2  # pixels by which `moved` moves an image at most


def moved(key: jax.Array, x: jax.Array) -> jax.Array:
    """Digits [rows, 784], each moved by up to SHIFT pixels along both axes, filled with zeros."""
    images = jnp.pad(x.reshape(-1, 28, 28), ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    corners = jax.random.randint(key, (len(x), 2), 0, 2 * SHIFT + 1)
    cut = jax.vmap(lambda image, corner: jax.lax.dynamic_slice(image, corner, (28, 28)))
    return cut(images, corners).reshape(x.shape)


def warped(key: jax.Array, x: jax.Array, strength: float = 1.0) -> jax.Array:
    """Digits [rows, 28, 28, 1], each rotated, scaled, sheared and moved at random.

    With a strength of 1 an image is rotated by up to 10 degrees and moved by up to a pixel.
    """
    drawn = strength * jax.random.uniform(key, (len(x), 6), x.dtype, -1, 1)
    rotation = nn.augmentation.rotation(10 * drawn[:, 0])[:, :, :2]
    stretch = jnp.eye(2) + 0.1 * drawn[:, 1:5].reshape(-1, 2, 2)
    matrices = jnp.concatenate([rotation @ stretch, drawn[:, 4:, None]], axis=-1)
    return nn.augmentation.affine(x, matrices)


def tiled(images: np.ndarray, columns: int) -> np.ndarray:
    """Digits [rows, 28, 28] or [rows, 28, 28, 1] side by side, as one image."""
    grid = images.reshape(-1, columns, 28, 28)
    return grid.transpose(0, 2, 1, 3).reshape(-1, columns * 28)
