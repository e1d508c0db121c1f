"""Pooling: the maximum or the mean over windows of each channel.

Windows are rectangles, so pooling goes axis by axis, which needs less work, above all in the
backward pass. On ties, the first maximum in row-major order receives the gradient, as in PyTorch.
"""

import math
from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.reductions import (
    largest,
    max_by_places,
    max_by_window,
    mean_by_window,
    tiled,
)
from jaxnn.layers.convolution.window import plain
from jaxnn.printing import factory

UNROLLED = 8  # the longest side of a window whose positions are written out one by one


@factory
def max_pool(
    size: window.Sizes,
    *,
    stride: window.Sizes | None = None,
    padding: window.Padding = "VALID",
) -> Layer:
    """The maximum over each window: y[n, i, c] = max_k x[n, i s + k - p, c].

    On ties, the first maximum in row-major order receives the gradient.

    Args:
      size: size of the window, one integer, or one for each spatial axis.
      stride: s, one integer, or one for each spatial axis; by default the size.
      padding: p, as in `conv`, less than the size on either side; padding is never the maximum.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *positions, channels] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size or stride is less than 1, if padding fills a whole window, or if the
        window is larger than the padded input.

    (Ranzato et al., Unsupervised learning of invariant feature hierarchies, 2007.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.max_pool(2)((), jnp.array([[[1.0], [3.0], [2.0], [0.0]]]))[0, :, 0]
    Array([3., 2.], dtype=float32)
    """
    fit = _windows("max_pool", size, stride, padding)

    def apply(x):
        at = fit(x)
        if at.size == at.stride:
            return tiled(largest, x, at, -jnp.inf)
        native = partial(max_by_window, at=at)
        if max(at.size) > UNROLLED:
            return native(x)
        return lax.platform_dependent(x, cpu=partial(max_by_places, at=at), default=native)

    return plain("max_pool", apply)


@factory
def avg_pool(
    size: window.Sizes,
    *,
    stride: window.Sizes | None = None,
    padding: window.Padding = "VALID",
    count_include_pad: bool = True,
) -> Layer:
    """The mean over each window: y[n, i, c] = mean_k x[n, i s + k - p, c].

    Args:
      size: size of the window, one integer, or one for each spatial axis.
      stride: s, one integer, or one for each spatial axis; by default the size.
      padding: p, as in `conv`, less than the size on either side.
      count_include_pad: whether padding counts, as zeros (the default of PyTorch and Flax), or the
        mean is over the values of x only (Keras's).

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *positions, channels] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size or stride is less than 1, if padding fills a whole window, or if the
        window is larger than the padded input.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.avg_pool(2)((), jnp.array([[[1.0], [3.0], [2.0], [0.0]]]))[0, :, 0]
    Array([2., 1.], dtype=float32)
    """
    fit = _windows("avg_pool", size, stride, padding)

    def apply(x):
        at, wide = fit(x), x.astype(core.param_dtype(x))
        if at.size == at.stride and (count_include_pad or not np.any(at.pads)):
            y = tiled(jnp.mean, wide, at, 0)
        else:
            y = mean_by_window(wide, at, count_include_pad)
        return y.astype(x.dtype)

    return plain("avg_pool", apply)


@factory
def global_max_pool(*, keepdims: bool = False) -> Layer:
    """The maximum of each channel over all of space: y[n, c] = max_i x[n, i, c].

    On ties, the first maximum receives the gradient.

    Args:
      keepdims: whether the spatial axes are kept, with length 1.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, channels], or [batch, 1, ..., channels]
      with keepdims, of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x has no spatial axes, or if they are empty.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.global_max_pool()((), jnp.ones((4, 7, 7, 8))).shape
    (4, 8)
    """
    return _global("global_max_pool", largest, keepdims)


@factory
def global_avg_pool(*, keepdims: bool = False) -> Layer:
    """The mean of each channel over all of space: y[n, c] = mean_i x[n, i, c].

    Args:
      keepdims: whether the spatial axes are kept, with length 1.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, channels], or [batch, 1, ..., channels]
      with keepdims, of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x has no spatial axes, or if they are empty.

    (Lin et al., Network in network, 2014.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.global_avg_pool()((), jnp.ones((4, 7, 7, 8))).shape
    (4, 8)
    """
    return _global("global_avg_pool", jnp.mean, keepdims)


@factory
def adaptive_max_pool(size: window.Sizes) -> Layer:
    """The maximum over each of a fixed number of windows, whatever the size of the input.

    Window i of m over n positions reaches from floor(i n / m) to ceil((i + 1) n / m), as in
    PyTorch; windows overlap if m does not divide n.

    Args:
      size: m, the number of output positions, one integer, or one for each spatial axis.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *size, channels] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size is less than 1, or if the spatial axes are empty.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.adaptive_max_pool(2)((), jnp.ones((4, 7, 5, 8))).shape
    (4, 2, 2, 8)
    """

    def over(x, axis, low, high):
        places = np.arange((high - low).max())[None] + low[:, None]
        places = np.minimum(places, high[:, None] - 1)  # repeats of the last are never first
        return largest(jnp.take(x, places, axis), axis + 1)

    return _adaptive("adaptive_max_pool", size, largest, over)


@factory
def adaptive_avg_pool(size: window.Sizes) -> Layer:
    """The mean over each of a fixed number of windows, those of `adaptive_max_pool`.

    Args:
      size: m, the number of output positions, one integer, or one for each spatial axis.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *size, channels] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size is less than 1, or if the spatial axes are empty.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.adaptive_avg_pool(2)((), jnp.array([[[1.0], [2.0], [6.0]]]))[0, :, 0]
    Array([1.5, 4. ], dtype=float32)
    """

    def over(x, axis, low, high):
        # Position by position, since a matmul would multiply infinities of other windows by zero.
        places = np.arange((high - low).max())[None] + low[:, None]
        valid = jnp.expand_dims(jnp.asarray(places < high[:, None]), [*range(2, x.ndim - axis + 1)])
        taken = jnp.take(x, np.minimum(places, high[:, None] - 1), axis)
        valid = jnp.broadcast_to(valid, taken.shape[axis:])
        total = jnp.where(jnp.broadcast_to(valid, taken.shape), taken, 0)
        total = core.at_least_float32(total).sum(axis=axis + 1)
        size = jnp.asarray(high - low, total.dtype)
        size = jnp.expand_dims(size, [*range(1, x.ndim - axis)])
        return (total / jnp.broadcast_to(size, total.shape)).astype(x.dtype)

    return _adaptive("adaptive_avg_pool", size, jnp.mean, over)


def _windows(title, size, stride, padding) -> Callable:
    """Checks the arguments of a pool, and returns a function that fits them to an input."""
    slide = window.sliding(title, "size", size, size if stride is None else stride, 1, padding)

    def fit(x):
        at = slide(x)
        if any(max(pad) >= size for pad, size in zip(at.pads, at.size, strict=True)):
            raise ValueError(
                f"{title}: padding {at.pads} fills whole windows of {at.size}: pad less than the "
                "size."
            )
        return at

    return fit


def _global(title: str, reduction: Callable, keepdims: bool) -> Layer:
    def apply(x):
        n = _places(title, x)
        y = reduction(x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1]), 1)
        return y.reshape(y.shape[0], *(1,) * n, y.shape[-1]) if keepdims else y

    return plain(title, apply)


def _adaptive(title: str, size, reduction: Callable, over: Callable) -> Layer:
    """reduction(x, axis) if windows do not overlap, otherwise over(x, axis, low, high)."""
    size = window.sizes(size, f"{title}: size")

    def apply(x):
        y = x.astype(core.param_dtype(x))
        wanted = window.per_dim(size, _places(title, x), f"{title}: size")
        for axis in reversed(range(1, x.ndim - 1)):
            n, m = x.shape[axis], wanted[axis - 1]
            i = np.arange(m)
            if n % m == 0:
                y = reduction(y.reshape(*y.shape[:axis], m, n // m, *y.shape[axis + 1 :]), axis + 1)
            else:
                y = over(y, axis, i * n // m, -(-(i + 1) * n // m))
        return y.astype(x.dtype)

    return plain(title, apply)


def _places(title: str, x) -> int:
    """The number of spatial axes; raises ValueError if they are empty."""
    n = window.spatial(x, title)
    if not math.prod(x.shape[1:-1]):
        raise ValueError(f"{title} takes at least one position in space, got {core.describe(x)}.")
    return n
