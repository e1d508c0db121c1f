"""Pools: the largest or the mean of what a window holds, channel by channel.

Windows are rectangles, so that each pool goes axis by axis: less work, and in a backward pass much
less. Ties in a maximum send the gradient to the first, in row-major order, as PyTorch does.
"""

import math
from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.window import Window, padded, plain, taps
from jaxnn.printing import factory

LISTED = 8  # the longest side of a window whose places are written out one by one


@factory
def max_pool(
    size: window.Sizes,
    *,
    stride: window.Sizes | None = None,
    padding: window.Padding = "VALID",
) -> Layer:
    """The largest value in each window: y[n, i, c] = max_k x[n, i s + k - p, c].

    Where several are largest the first, in row-major order, gets the gradient.

    Args:
      size: of the window, a whole number, or one for each spatial axis; x [batch, *space, channels]
        gives y [batch, *places, channels].
      stride: s, by default the size.
      padding: as in `conv`, less than the size on either side; what is padded is never largest.

    Raises:
      TypeError: for an input that is no floats.
      ValueError: for a size or stride less than 1, padding of a whole window, or a window larger
        than its padded input.

    (Ranzato et al., Unsupervised learning of invariant feature hierarchies, 2007.)

    >>> import jax, jaxnn as nn
    >>> nn.max_pool(2)((), jax.numpy.array([[[1.0], [3.0], [2.0], [0.0]]]))[0, :, 0]
    Array([3., 2.], dtype=float32)
    """
    fit = _windows("max_pool", size, stride, padding)

    def apply(x):
        at = fit(x)
        if at.size == at.stride:
            return _tiled(largest, x, at, -jnp.inf)
        native = partial(max_by_window, at=at)
        if max(at.size) > LISTED:
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
    """The mean of each window: y[n, i, c] = mean_k x[n, i s + k - p, c].

    Args:
      size, stride, padding: as in `max_pool`.
      count_include_pad: whether what is padded counts, as zeros (PyTorch's and Flax's default);
        otherwise the mean is of what x holds (Keras's).

    Raises:
      TypeError, ValueError: as `max_pool` does.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998.)

    >>> import jax, jaxnn as nn
    >>> nn.avg_pool(2)((), jax.numpy.array([[[1.0], [3.0], [2.0], [0.0]]]))[0, :, 0]
    Array([2., 1.], dtype=float32)
    """
    fit = _windows("avg_pool", size, stride, padding)

    def apply(x):
        at, wide = fit(x), x.astype(core.param_dtype(x))
        if at.size == at.stride and (count_include_pad or not np.any(at.pads)):
            y = _tiled(jnp.mean, wide, at, 0)
        else:
            y = mean_by_window(wide, at, count_include_pad)
        return y.astype(x.dtype)

    return plain("avg_pool", apply)


@factory
def global_max_pool(*, keepdims: bool = False) -> Layer:
    """The largest value of each channel over all of space; of several, the first gets the gradient.

    Args:
      keepdims: x [batch, *space, channels] gives y [batch, channels], or with True
        [batch, 1, ..., channels].

    Raises:
      TypeError: for an input that is no floats.
      ValueError: for an input without spatial axes, or without a place in them.

    >>> import jax, jaxnn as nn
    >>> nn.global_max_pool()((), jax.numpy.ones((4, 7, 7, 8))).shape
    (4, 8)
    """
    return _global("global_max_pool", largest, keepdims)


@factory
def global_avg_pool(*, keepdims: bool = False) -> Layer:
    """The mean of each channel over all of space.

    Args:
      keepdims: as in `global_max_pool`.

    Raises:
      TypeError, ValueError: as `global_max_pool` does.

    (Lin et al., Network in network, 2014.)

    >>> import jax, jaxnn as nn
    >>> nn.global_avg_pool()((), jax.numpy.ones((4, 7, 7, 8))).shape
    (4, 8)
    """
    return _global("global_avg_pool", jnp.mean, keepdims)


@factory
def adaptive_max_pool(size: window.Sizes) -> Layer:
    """The largest value in each of `size` windows, whatever the input's size.

    Window i of m over n places reaches from floor(i n / m) to ceil((i + 1) n / m), as PyTorch's
    does; windows overlap where m does not divide n.

    Args:
      size: m, places of the output, a whole number, or one for each spatial axis;
        x [batch, *space, channels] gives y [batch, *size, channels].

    Raises:
      TypeError: for an input that is no floats.
      ValueError: for a size less than 1, or an input without a place.

    >>> import jax, jaxnn as nn
    >>> nn.adaptive_max_pool(2)((), jax.numpy.ones((4, 7, 5, 8))).shape
    (4, 2, 2, 8)
    """

    def over(x, axis, low, high):
        places = np.arange((high - low).max())[None] + low[:, None]
        places = np.minimum(places, high[:, None] - 1)  # a last place repeated is never the first
        return largest(jnp.take(x, places, axis), axis + 1)

    return _adaptive("adaptive_max_pool", size, largest, over)


@factory
def adaptive_avg_pool(size: window.Sizes) -> Layer:
    """The mean of each of `size` windows, whatever the input's size; windows as in the maximum.

    Args:
      size: as in `adaptive_max_pool`.

    Raises:
      TypeError, ValueError: as `adaptive_max_pool` does.

    >>> import jax, jaxnn as nn
    >>> nn.adaptive_avg_pool(2)((), jax.numpy.array([[[1.0], [2.0], [6.0]]]))[0, :, 0]
    Array([1.5, 4. ], dtype=float32)
    """

    def over(x, axis, low, high):
        # Place by place, since a product would multiply the infinities of other windows by zero.
        places = np.arange((high - low).max())[None] + low[:, None]
        held = jnp.expand_dims(jnp.asarray(places < high[:, None]), [*range(2, x.ndim - axis + 1)])
        taken = jnp.take(x, np.minimum(places, high[:, None] - 1), axis)
        held = jnp.broadcast_to(held, taken.shape[axis:])
        total = jnp.where(jnp.broadcast_to(held, taken.shape), taken, 0)
        total = core.at_least_float32(total).sum(axis=axis + 1)
        size = jnp.asarray(high - low, total.dtype)
        size = jnp.expand_dims(size, [*range(1, x.ndim - axis)])
        return (total / jnp.broadcast_to(size, total.shape)).astype(x.dtype)

    return _adaptive("adaptive_avg_pool", size, jnp.mean, over)


# The forms


def max_by_places(x: jax.Array, at: Window) -> jax.Array:
    """The maximum of each window, place by place, axis by axis."""
    for _, axis in _axes(at):
        x = reduce(_larger, taps(padded(x, axis.pads, -jnp.inf), axis))
    return x


def max_by_window(x: jax.Array, at: Window) -> jax.Array:
    """The maximum of each window, as XLA's own operation."""
    pads = ((0, 0), *at.pads, (0, 0))
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *at.size, 1), (1, *at.stride, 1), pads)


def mean_by_window(x: jax.Array, at: Window, count_include_pad: bool) -> jax.Array:
    """The mean of each window, as XLA's own sums, axis by axis."""
    for i, axis in _axes(at):
        length, size, stride, low = x.shape[1 + i], at.size[i], at.stride[i], at.pads[i][0]
        pads = ((0, 0), *axis.pads, (0, 0))
        x = lax.reduce_window(x, 0.0, lax.add, (1, *axis.size, 1), (1, *axis.stride, 1), pads)
        start = np.arange(x.shape[1 + i]) * stride - low
        held = np.minimum(start + size, length) - np.maximum(start, 0)
        counts = np.full_like(held, size) if count_include_pad else held
        along = [counts.size if axis == 1 + i else 1 for axis in range(x.ndim)]
        x = x / jnp.asarray(counts, x.dtype).reshape(along)
    return x


def largest(x: jax.Array, axis: int) -> jax.Array:
    """The maximum over an axis, pair by pair; of several the first gets the gradient."""
    while (n := x.shape[axis]) > 1:
        evens = lax.slice_in_dim(x, 0, n - n % 2, 1, axis)
        evens = evens.reshape(*x.shape[:axis], n // 2, 2, *x.shape[axis + 1 :])
        pairs = _of_two(evens, axis + 1)
        last = lax.slice_in_dim(x, n - n % 2, n, 1, axis)
        x = jnp.concatenate([pairs, last], axis) if n % 2 else pairs
    return lax.squeeze(x, (axis,))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _of_two(x, axis):
    """The larger over an axis of two.

    Its gradient is a choice between both, found anew: a pooled CNN's step takes 0.93 of the time
    that it takes with the choices kept.
    """
    first, second = jnp.split(x, 2, axis)
    return lax.squeeze(_larger(first, second), (axis,))


@_of_two.defjvp
def _of_two_jvp(axis, primals, tangents):
    (x,), (dx,) = primals, tangents
    first, second = jnp.split(x, 2, axis)
    later = _beats(second, first)
    chosen = jnp.concatenate([~later, later], axis)
    return _of_two(x, axis), jnp.where(chosen, dx, jnp.zeros((), dx.dtype)).sum(axis)


def _larger(x, y):
    """The larger, x where they are equal, not a number where one is none.

    Its gradient goes to one of them, and is a selection: much faster than that of a maximum, which
    compares with the result, counts the ties and divides.
    """
    return jnp.where(_beats(y, x), y, x)


def _beats(y, x):
    return (y > x) | (y != y)


def _axes(at: Window):
    """The window along each axis alone, from the last, so that row-major order decides ties."""
    n = len(at.size)
    for i in reversed(range(n)):
        own = [axis == i for axis in range(n)]
        size, stride = (
            tuple(k if mine else 1 for k, mine in zip(each, own, strict=True))
            for each in (at.size, at.stride)
        )
        pads = tuple(pad if mine else (0, 0) for pad, mine in zip(at.pads, own, strict=True))
        yield i, Window(size, stride, (1,) * n, pads)


def _tiled(reduction: Callable, x, at: Window, value: float):
    """Windows that do not overlap, as axes of their own: reduction(x, axis) of each."""
    pairs = zip(x.shape[1:-1], at.size, at.pads, strict=True)
    counts = [(length + low + high) // size for length, size, (low, high) in pairs]
    pairs = zip(x.shape[1:-1], counts, at.size, at.pads, strict=True)
    x = padded(x, tuple((low, m * size - n - low) for n, m, size, (low, _) in pairs), value)
    for i in reversed(range(len(counts))):
        x = x.reshape(*x.shape[: 1 + i], counts[i], at.size[i], *x.shape[2 + i :])
        x = reduction(x, 2 + i)
    return x


def _windows(title, size, stride, padding) -> Callable:
    """Checks the arguments of a pool, and returns what fits them to an input."""
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
    """reduction(x, axis) where windows do not overlap, else over(x, axis, low, high)."""
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
    """The number of spatial axes; raises ValueError where there is no place in them."""
    n = window.spatial(x, title)
    if not math.prod(x.shape[1:-1]):
        raise ValueError(f"{title} takes one place at least, got {core.describe(x)}.")
    return n
