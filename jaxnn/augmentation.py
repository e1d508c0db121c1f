"""Augmentation: random changes of images that leave alone what they show.

Pure functions of a key and images x [batch, height, width, channels], each image changed by numbers
of its own; under `jax.jit` they run on the device, inside the training branch of a loss.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core


def affine(x: jax.Array, matrices: Any) -> jax.Array:
    """Images warped by affine maps, with bilinear interpolation.

    y[n, p] = x[n, A p + b], with (A | b) = matrices[n] and p the (row, column) of the center of a
    pixel, counted from the center of the image; outside of the image x is zero.

    The maps lead from places in y to places in x: A = 0.5 I shows everything twice as large, and b
    = (0, 1) moves it left by a pixel.

    Args:
      x: floats [batch, height, width, channels].
      matrices: floats [batch, 2, 3], in pixels.

    Returns:
      Images of the same shape and dtype.

    Raises:
      TypeError: if the images are not floating point.
      ValueError: if they do not have four axes, or the matrices have another shape.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.arange(4.0).reshape(1, 1, 4, 1)
    >>> nn.augmentation.affine(x, jnp.array([[[1.0, 0, 0], [0, 1, 0.5]]]))[0, 0, :, 0]
    Array([0.5, 1.5, 2.5, 1.5], dtype=float32)
    """
    batch, height, width, channels = _images(x, "affine").shape
    if jnp.shape(matrices) != (batch, 2, 3):
        raise ValueError(
            f"affine takes matrices [{batch}, 2, 3], one for each image, got "
            f"{core.describe(jnp.asarray(matrices))}."
        )
    wide = core.param_dtype(x)  # half precision cannot tell apart the places of a large image
    matrices = jnp.asarray(matrices).astype(wide)
    sizes = (height, width)
    grid = jnp.meshgrid(*(jnp.arange(n, dtype=wide) - (n - 1) / 2 for n in sizes), indexing="ij")
    flat = jnp.stack([*(axis.ravel() for axis in grid), jnp.ones(height * width, wide)])
    places = jnp.einsum("nij,jp->inp", matrices, flat, precision="highest")
    # In a frame of zeros every place has four neighbours, and what lies outside fades out.
    framed = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    low, share = [], []
    for place, n in zip(places, sizes, strict=True):
        place = jnp.clip(place + (n + 1) / 2, 0, n + 1)
        low.append(jnp.minimum(jnp.floor(place), n))
        share.append((place - low[-1])[..., None])
    row, column = (each.astype(jnp.int32) for each in low)
    first = jnp.arange(batch, dtype=jnp.int32)[:, None] * (height + 2) * (width + 2)
    corner = first + row * (width + 2) + column

    def at(offset):
        found = framed.at[corner + offset].get(mode="promise_in_bounds")
        return found.astype(wide)

    def between(a, b, share):
        return a + share * (b - a)

    upper = between(at(0), at(1), share[1])
    lower = between(at(width + 2), at(width + 3), share[1])
    return between(upper, lower, share[0]).reshape(x.shape).astype(x.dtype)


def rotation(degrees: Any) -> jax.Array:
    """The matrices with which `affine` rotates images counterclockwise.

    Args:
      degrees: floats [batch].

    Returns:
      Floats [batch, 2, 3].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.augmentation.rotation(jnp.array([0.0])).tolist()
    [[[1.0, 0.0, 0.0], [-0.0, 1.0, 0.0]]]
    """
    angle = jnp.deg2rad(degrees)
    cos, sin, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    rows = [jnp.stack(row, axis=-1) for row in ((cos, sin, zero), (-sin, cos, zero))]
    return jnp.stack(rows, axis=-2)


def rotate(key: jax.Array, x: jax.Array, degrees: float) -> jax.Array:
    """Each image rotated about its center by an angle drawn uniformly from [-degrees, degrees].

    Args:
      key: a random key.
      x: floats [batch, height, width, channels]; zeros enter at the border.
      degrees: the largest angle, 0 to 180.

    Returns:
      Images of the same shape and dtype.

    Raises:
      TypeError: if the images are not floating point.
      ValueError: if they do not have four axes, or the angle is out of range.

    >>> import jax, jaxnn as nn
    >>> nn.augmentation.rotate(jax.random.key(0), jax.numpy.ones((8, 28, 28, 1)), 15).shape
    (8, 28, 28, 1)
    """
    if not 0 <= degrees <= 180:
        raise ValueError(f"rotate: degrees must be in [0, 180], got {degrees!r}.")
    dtype = core.param_dtype(_images(x, "rotate"))
    angles = jax.random.uniform(key, (x.shape[0],), dtype, -degrees, degrees)
    return affine(x, rotation(angles))


def shift(key: jax.Array, x: jax.Array, most: int) -> jax.Array:
    """Each image moved by whole pixels, drawn uniformly from -most to most along both axes.

    Args:
      key: a random key.
      x: floats [batch, height, width, channels]; zeros enter at the border.
      most: the largest shift in pixels, 0 or more.

    Returns:
      Images of the same shape and dtype.

    Raises:
      TypeError: if the images are not floating point.
      ValueError: if they do not have four axes, or most is negative or not whole.

    >>> import jax, jaxnn as nn
    >>> nn.augmentation.shift(jax.random.key(0), jax.numpy.ones((8, 28, 28, 1)), 2).shape
    (8, 28, 28, 1)
    """
    most = core.check_int(most, "shift: most", 0)
    return _window(key, _images(x, "shift"), x.shape[1:3], most, "shift")


def crop(key: jax.Array, x: jax.Array, size: int | tuple[int, ...], padding: int = 0) -> jax.Array:
    """A window of each image at a place drawn uniformly, after a border of zeros was added.

    Args:
      key: a random key.
      x: floats [batch, height, width, channels].
      size: the size of the window in pixels, one number or (height, width).
      padding: the width of the border in pixels, on each side.

    Returns:
      Images [batch, *size, channels] of the same dtype.

    Raises:
      TypeError: if the images are not floating point.
      ValueError: if they do not have four axes, or the window is larger than the image with its
        border.

    (He et al., Deep residual learning for image recognition, 2015, with padding=4.)

    >>> import jax, jaxnn as nn
    >>> nn.augmentation.crop(jax.random.key(0), jax.numpy.ones((8, 32, 32, 3)), 32, 4).shape
    (8, 32, 32, 3)
    """
    sides = size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"crop: size is a number or (height, width), got {size!r}.")
    sides = tuple(core.check_int(side, "crop: size") for side in sides)
    padding = core.check_int(padding, "crop: padding", 0)
    return _window(key, _images(x, "crop"), sides, padding, "crop")


def flip(key: jax.Array, x: jax.Array) -> jax.Array:
    """Each image mirrored left to right with probability 1/2.

    Args:
      key: a random key.
      x: floats [batch, height, width, channels].

    Returns:
      Images of the same shape and dtype.

    Raises:
      TypeError: if the images are not floating point.
      ValueError: if they do not have four axes.

    >>> import jax, jaxnn as nn
    >>> nn.augmentation.flip(jax.random.key(0), jax.numpy.ones((8, 32, 32, 3))).shape
    (8, 32, 32, 3)
    """
    mirrored = jax.random.bernoulli(key, shape=(_images(x, "flip").shape[0], 1, 1, 1))
    return jnp.where(mirrored, x[:, :, ::-1], x)


def cutout(key: jax.Array, x: jax.Array, size: int) -> jax.Array:
    """A square of each image set to zero, around a pixel drawn uniformly.

    Args:
      key: a random key.
      x: floats [batch, height, width, channels].
      size: the side of the square in pixels; at the border, part of it lies outside.

    Returns:
      Images of the same shape and dtype.

    Raises:
      TypeError: if the images are not floating point.
      ValueError: if they do not have four axes, or size is less than 1.

    (DeVries and Taylor, Improved regularization of convolutional neural networks with cutout,
    2017.)

    >>> import jax, jaxnn as nn
    >>> y = nn.augmentation.cutout(jax.random.key(0), jax.numpy.ones((8, 28, 28, 1)), 8)
    >>> bool((y == 0).any(axis=(1, 2, 3)).all())
    True
    """
    size = core.check_int(size, "cutout: size")
    batch, height, width, _ = _images(x, "cutout").shape
    inside = []
    for axis, n in enumerate((height, width)):
        first = jax.random.randint(core.fold_in(key, axis), (batch, 1), 0, n) - size // 2
        place = jnp.arange(n)[None]
        inside.append((place >= first) & (place < first + size))
    hidden = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return jnp.where(hidden, jnp.zeros((), x.dtype), x)


def mixup(key: jax.Array, x: jax.Array, y: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """Each image mixed with another one of the batch, and their targets in the same proportion.

    x'[n] = s x[n] + (1 - s) x[m] and y'[n] = s y[n] + (1 - s) y[m], with s drawn for each image
    from Beta(alpha, alpha), and m from a random order of the batch.

    Args:
      key: a random key.
      x: floats [batch, height, width, channels].
      y: floats [batch, ...], such as `jax.nn.one_hot(labels, classes)`.
      alpha: positive; the smaller, the less is mixed, and 1 draws s uniformly.

    Returns:
      (x, y) of the same shapes and dtypes.

    Raises:
      TypeError: if images or targets are not floating point.
      ValueError: if x does not have four axes, the rows differ in number, or alpha is not positive.

    (Zhang et al., mixup: Beyond empirical risk minimization, 2018.)

    >>> import jax, jaxnn as nn
    >>> x, y = jax.numpy.ones((2, 4, 4, 1)), jax.numpy.eye(2)
    >>> _, y = nn.augmentation.mixup(jax.random.key(0), x, y, 0.2)
    >>> y.sum(axis=1).round(3)
    Array([1., 1.], dtype=float32)
    """
    if not 0 < alpha < math.inf:
        raise ValueError(f"mixup: alpha must be positive and finite, got {alpha!r}.")
    batch = _images(x, "mixup").shape[0]
    if not core.floating(y):
        raise TypeError(
            f"mixup mixes targets, which must be floats, got {core.describe(y)}: give "
            "jax.nn.one_hot(labels, classes)."
        )
    if y.shape[:1] != (batch,):
        raise ValueError(f"mixup takes {batch} targets for {batch} images: {core.describe(y)}.")
    wide = core.param_dtype(x)
    share = jax.random.beta(core.fold_in(key, 0), alpha, alpha, (batch,), wide)
    other = jax.random.permutation(core.fold_in(key, 1), batch)

    def mixed(values):
        s = share.astype(values.dtype).reshape(batch, *(1,) * (values.ndim - 1))
        return s * values + (1 - s) * values[other]

    return mixed(x), mixed(y)


def _window(key, x, size, padding: int, title: str) -> jax.Array:
    """A window of the given size at a random place of each image with a border."""
    room = [n + 2 * padding - side for n, side in zip(x.shape[1:3], size, strict=True)]
    if min(room) < 0:
        raise ValueError(
            f"{title}: a window of {tuple(size)} does not fit into {core.describe(x)} with a "
            f"border of {padding}: make it smaller, or the border wider."
        )
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    corner = jax.random.randint(key, (x.shape[0], 2), 0, jnp.array(room)[None] + 1)

    def cut(image, corner):
        return jax.lax.dynamic_slice(image, (*corner, 0), (*size, image.shape[-1]))

    return jax.vmap(cut)(x, corner)


def _images(x: Any, title: str) -> jax.Array:
    if core.check_features(x, title).ndim != 4:
        raise ValueError(
            f"{title} takes images [batch, height, width, channels], got {core.describe(x)}: "
            "reshape them."
        )
    return x
