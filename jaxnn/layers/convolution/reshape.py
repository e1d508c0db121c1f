"""Layers without params that only move or repeat values: upsample, pixel_shuffle, flatten."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_choice
from jaxnn.core import Layer
from jaxnn.layers.convolution import window
from jaxnn.printing import factory


@factory
def upsample(scale: window.Sizes, method: str = "nearest") -> Layer:
    """Enlarge the spatial axes by integer factors.

    nearest: y[i] = x[floor(i / scale)].

    linear: y[i] interpolates between the two nearest values of x at (i + 1/2) / scale - 1/2, which
    treats pixels as areas (PyTorch's align_corners=False; Keras's bilinear).

    Args:
      scale: one integer, or one for each spatial axis.
      method: "nearest" or "linear" (bilinear over two axes, trilinear over three).

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *(space * scale), channels] of x's
      dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a scale is less than 1, if the method is unknown, or if there are scales for
        another number of axes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.upsample(2)((), jnp.array([[[1.0], [2.0]]]))[0, :, 0]
    Array([1., 1., 2., 2.], dtype=float32)
    """
    scale = window.sizes(scale, "upsample: scale")
    check_choice(method, "upsample: method", ("nearest", "linear"))

    def apply(x):
        by = window.per_dim(scale, window.spatial(x, "upsample"), "upsample: scale")
        for axis, times in enumerate(by, 1):
            x = _between(x, times, axis) if method == "linear" else jnp.repeat(x, times, axis)
        return x

    return window.plain("upsample", apply)


def _between(x, times: int, axis: int):
    """x interpolated along an axis; unlike a matmul, it does not spread an infinity."""
    n = x.shape[axis]
    place = np.clip((np.arange(n * times) + 0.5) / times - 0.5, 0, n - 1)
    low = place.astype(int)
    share = place - low
    high = np.where(share > 0, np.minimum(low + 1, n - 1), low)
    share = jnp.asarray(share, x.dtype).reshape(*(1,) * axis, -1, *(1,) * (x.ndim - 1 - axis))
    a, b = (jnp.take(x, each, axis, mode="clip") for each in (low, high))
    return jnp.where(share == 0, a, a * (1 - share) + b * share)


@factory
def pixel_shuffle(scale: window.Sizes) -> Layer:
    """Rearrange channels into pixels: y[i s + a, j s + b, c] = x[i, j, (c s + a) s + b].

    The order of channels is PyTorch's, where the channels of one output channel are adjacent;
    TensorFlow's depth_to_space has (a s + b) channels + c.

    Args:
      scale: s, one integer, or one for each spatial axis.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *(space * scale), channels / product of
      scales] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a scale is less than 1, or if the scales do not divide the channels.

    (Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network, 2016.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.pixel_shuffle(2)((), jnp.ones((1, 3, 3, 8))).shape
    (1, 6, 6, 2)
    """
    scale = window.sizes(scale, "pixel_shuffle: scale")

    def apply(x):
        by = window.per_dim(scale, window.spatial(x, "pixel_shuffle"), "pixel_shuffle: scale")
        if x.shape[-1] % math.prod(by):
            raise ValueError(
                f"pixel_shuffle by {by} takes a multiple of {math.prod(by)} channels, got "
                f"{core.describe(x)}: change the width of the layer before."
            )
        return shuffled(x, by)

    return window.plain("pixel_shuffle", apply)


@factory
def flatten() -> Layer:
    """Merge all axes but the first: y[n] = x[n].ravel().

    Features keep the order of x, channels last; PyTorch's have channels first, so the rows of a
    dense layer after it are in another order.

    Returns:
      A layer from x [batch, ...] to y [batch, features] of x's dtype.

    Raises:
      ValueError: if x is a scalar.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.flatten()((), jnp.ones((2, 3, 3, 8))).shape
    (2, 72)
    """

    def apply(x):
        if x.ndim == 0:
            raise ValueError("flatten takes [batch, ...], got a scalar: reshape it to [1, 1].")
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    return window.plain("flatten", apply)


def shuffled(x: jax.Array, scale: tuple[int, ...]) -> jax.Array:
    """`pixel_shuffle` of an array, with a scale for each spatial axis."""
    n = len(scale)
    x = x.reshape(*x.shape[:-1], x.shape[-1] // math.prod(scale), *scale)
    pixels = [axis for i in range(n) for axis in (1 + i, 2 + n + i)]
    x = x.transpose(0, *pixels, 1 + n)
    space = [x.shape[1 + 2 * i] * x.shape[2 + 2 * i] for i in range(n)]
    return x.reshape(x.shape[0], *space, x.shape[-1])
