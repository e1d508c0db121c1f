"""Reductions over windows: maximum and mean, each in the forms that the pools choose from."""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnn.layers.convolution.window import Window, padded, taps


def max_by_places(x: jax.Array, at: Window) -> jax.Array:
    """The maximum of each window, position by position and axis by axis."""
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
        inside = np.minimum(start + size, length) - np.maximum(start, 0)
        counts = np.full_like(inside, size) if count_include_pad else inside
        along = [counts.size if axis == 1 + i else 1 for axis in range(x.ndim)]
        x = x / jnp.asarray(counts, x.dtype).reshape(along)
    return x


def largest(x: jax.Array, axis: int) -> jax.Array:
    """The maximum over an axis by pairs; on ties the first receives the gradient."""
    while (n := x.shape[axis]) > 1:
        evens = lax.slice_in_dim(x, 0, n - n % 2, 1, axis)
        evens = evens.reshape(*x.shape[:axis], n // 2, 2, *x.shape[axis + 1 :])
        pairs = _of_two(evens, axis + 1)
        last = lax.slice_in_dim(x, n - n % 2, n, 1, axis)
        x = jnp.concatenate([pairs, last], axis) if n % 2 else pairs
    return lax.squeeze(x, (axis,))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _of_two(x, axis):
    """The larger of two values along an axis.

    Its gradient recomputes the choice between both, since storing the choices is slower.
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
    """The larger value, x if they are equal, NaN if either is NaN.

    Its gradient goes to one of them, as a selection: much cheaper than the gradient of a maximum,
    which compares with the result, counts the ties and divides.
    """
    return jnp.where(_beats(y, x), y, x)


def _beats(y, x):
    return (y > x) | (y != y)


def _axes(at: Window):
    """The window along each axis, the last one first, so that row-major order decides ties."""
    n = len(at.size)
    for i in reversed(range(n)):
        size, stride = (
            tuple(sizes[axis] if axis == i else 1 for axis in range(n))
            for sizes in (at.size, at.stride)
        )
        pads = tuple(at.pads[axis] if axis == i else (0, 0) for axis in range(n))
        yield i, Window(size, stride, (1,) * n, pads)


def tiled(reduction: Callable, x, at: Window, value: float):
    """Windows that do not overlap, as axes of their own: reduction(x, axis) of each."""
    pairs = zip(x.shape[1:-1], at.size, at.pads, strict=True)
    counts = [(length + low + high) // size for length, size, (low, high) in pairs]
    pairs = zip(x.shape[1:-1], counts, at.size, at.pads, strict=True)
    x = padded(x, tuple((low, m * size - n - low) for n, m, size, (low, _) in pairs), value)
    for i in reversed(range(len(counts))):
        x = x.reshape(*x.shape[: 1 + i], counts[i], at.size[i], *x.shape[2 + i :])
        x = reduction(x, 2 + i)
    return x
