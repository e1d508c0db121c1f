"""Convolutions of arrays, each in the form that is fastest on the platform.

XLA's own convolution serves every platform. On the CPU it is fast for dense convolutions over one
or two axes, and slow for the others (groups, three axes, the weight gradient of a transposed one),
which are therefore written there as sums of dense ones. The gradients of dense ones are written
with the order of axes that is fast inside loops too. The forms differ in rounding only.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxnn import core
from jaxnn.layers.convolution.reshape import shuffled
from jaxnn.layers.convolution.window import Window, padded, steps, taps

BLOCKS = 8  # most dense convolutions for a grouped one, since each is compiled
PLACES = 64  # largest window whose positions are written out one by one


def convolve(x: jax.Array, w: jax.Array, at: Window, groups: int = 1) -> jax.Array:
    """y[n, i, o] = sum_k,c x[n, i stride + k dilation - low, c] w[k, c, o].

    Args:
      x: [batch, *space, channels].
      w: [*size, channels / groups, width], in x's dtype; group g of the channels feeds group g of
        the width.
      at: the window.
      groups: number of groups.
    """
    if _pointwise(at, groups):
        return _matmul(x, w, at)
    cpu = partial(on_cpu, at=at, groups=groups)
    return lax.platform_dependent(x, w, cpu=cpu, default=partial(native, at=at, groups=groups))


def convolve_transpose(
    x: jax.Array, w: jax.Array, at: Window, groups: int, extra: tuple[int, ...]
) -> jax.Array:
    """y[n, i stride + k dilation - low, o] = sum_i,k,c x[n, i, c] w[k, c, o].

    Args:
      x: [batch, *space, channels].
      w: [*size, channels / groups, width], as in `convolve`.
      at: the window; its pads are cropped from y, which reaches from the first to the last position
        that x writes to.
      groups: number of groups.
      extra: number of positions added at the end of each axis.
    """
    if max(at.stride) == 1:
        return convolve(x, _around(w), at._replace(pads=_turned(at, extra)), groups)
    default = partial(native_transpose, at=at, groups=groups, extra=extra)
    # cuDNN refuses XLA's form of one channel a group, as seen on an H200 with JAX 0.11.2.
    single = groups > 1 and w.shape[-2] == 1
    if max(at.dilation) > 1 and not single:
        return default(x, w)
    w, at = _filled(w, at)
    cpu = partial(subpixel, at=at, groups=groups, extra=extra)
    if single:
        return cpu(x, w)
    return lax.platform_dependent(x, w, cpu=cpu, default=default)


def native(x: jax.Array, w: jax.Array, at: Window, groups: int = 1) -> jax.Array:
    """`convolve` as XLA's own operation."""
    return _general(x, w, at.stride, at.pads, None, at.dilation, groups)


def native_transpose(
    x: jax.Array, w: jax.Array, at: Window, groups: int, extra: tuple[int, ...]
) -> jax.Array:
    """`convolve_transpose` as XLA's own operation: x with gaps and the flipped kernel."""
    ones = (1,) * len(at.size)
    return _general(x, _around(w), ones, _turned(at, extra), at.stride, at.dilation, groups)


def on_cpu(x: jax.Array, w: jax.Array, at: Window, groups: int = 1) -> jax.Array:
    """`convolve` in the form that is fastest on the CPU."""
    if _pointwise(at, groups):
        return _matmul(x, w, at)
    if groups > 1:
        single = w.shape[-2] == 1 and math.prod(at.size) <= PLACES
        return _depthwise(x, w, at) if single else _blocks(x, w, at, groups)
    return _folded(x, w, at) if len(at.size) == 3 else _dense(at, x, w)


def subpixel(
    x: jax.Array, w: jax.Array, at: Window, groups: int, extra: tuple[int, ...]
) -> jax.Array:
    """`convolve_transpose` without dilation, in the form that is fastest on the CPU.

    Each position of x writes the cells of a kernel, of `stride` pixels each, by one matmul, since
    the weight gradient of the equivalent convolution is slow on the CPU.
    """
    n, (*size, channels, width) = len(at.size), w.shape
    cells = tuple(-(-k // s) for k, s in zip(size, at.stride, strict=True))
    room = [c * s - k for c, k, s in zip(cells, size, at.stride, strict=True)]
    w = jnp.pad(w, [(0, more) for more in room] + [(0, 0)] * 2)
    split = [axis for pair in zip(cells, at.stride, strict=True) for axis in pair]
    w = w.reshape(*split, channels, width)
    w = w.transpose(*range(0, 2 * n, 2), 2 * n, 2 * n + 1, *range(1, 2 * n, 2))
    w = w.reshape(*cells, channels, -1)
    if groups == 1 and math.prod(cells) <= PLACES:
        y = _written(x, w)
    else:
        ones = (1,) * n
        around = Window(cells, ones, ones, tuple((c - 1, c - 1) for c in cells))
        y = on_cpu(x, _around(w), around, groups)
    y = shuffled(y, at.stride)
    pads = [(-low, e - high - r) for (low, high), e, r in zip(at.pads, extra, room, strict=True)]
    return padded(y, tuple(pads))


def _filled(w: jax.Array, at: Window) -> tuple[jax.Array, Window]:
    """The kernel with zeros in the gaps of its dilation, and its window without dilation."""
    gaps = [(0, 0, d - 1) for d in at.dilation] + [(0, 0, 0)] * 2
    w = w if max(at.dilation) == 1 else lax.pad(w, jnp.zeros((), w.dtype), gaps)
    size, ones = w.shape[:-2], (1,) * len(at.size)
    return w, at._replace(size=size, dilation=ones)


def _written(x, w):
    """y[n, i + k, o] = sum_k,c x[n, i, c] w[k, c, o]; y exceeds x by the size of w minus 1."""
    *cells, channels, width = w.shape
    y = jnp.matmul(x.reshape(-1, channels), jnp.moveaxis(w, -2, 0).reshape(channels, -1))
    y = y.reshape(*x.shape[:-1], *cells, width)
    pieces = []
    for cell in np.ndindex(*cells):
        room = [(i, c - 1 - i) for i, c in zip(cell, cells, strict=True)]
        pieces.append(jnp.pad(y[(..., *cell, slice(None))], [(0, 0), *room, (0, 0)]))
    return sum(pieces[1:], pieces[0])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _dense(at, x, w):
    """`native`, whose gradients are convolutions with the same order of axes as its own.

    Outside loops XLA:CPU transposes any order of axes to the one that its fast kernels take. Inside
    a loop (a scan over steps or depth) it does not, and the gradients that JAX derives from
    `native` are slow.
    """
    return native(x, w, at)


def _dense_jvp(at, primals, tangents):
    (x, w), (dx, dw) = primals, tangents
    terms = []
    if not isinstance(dx, SymbolicZero):
        turned = jnp.swapaxes(w, -1, -2)
        terms.append(_general(dx, turned, at.stride, at.pads, None, at.dilation, 1, "N_C _OI N_C"))
    if not isinstance(dw, SymbolicZero):
        x_w = jnp.swapaxes(x, 0, -1), jnp.moveaxis(dw, -2, 0)
        y = _general(*x_w, at.stride, at.pads, None, at.dilation, 1, "C_N I_O _NC")
        terms.append(jnp.moveaxis(y, -2, 0))
    return native(x, w, at), sum(terms[1:], terms[0])


_dense.defjvp(_dense_jvp, symbolic_zeros=True)


def _general(x, w, stride, pads, gaps, dilation, groups, order="N_C _IO N_C"):
    x_order, w_order, y_order = order.replace("_", "DHW"[5 - x.ndim :]).split()
    numbers = (x_order, w_order, y_order)
    return lax.conv_general_dilated(
        x, w, stride, pads, gaps, dilation, numbers, feature_group_count=groups
    )


def _around(w):
    """w flipped along space."""
    return jnp.flip(w, range(w.ndim - 2))


def _turned(at, extra):
    """The pads with which the flipped w writes to the positions given by `at` and extra."""
    return tuple(
        (span - 1 - low, span - 1 - high + more)
        for span, (low, high), more in zip(at.span, at.pads, extra, strict=True)
    )


def _pointwise(at: Window, groups: int) -> bool:
    return groups == 1 and math.prod(at.size) == 1 and not np.any(at.pads)


def _matmul(x, w, at):
    """A window of one position as a matmul, on every platform."""
    (x,) = taps(x, at)
    y = jnp.matmul(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), w.reshape(w.shape[-2:]))
    return y.reshape(*x.shape[:-1], w.shape[-1])


def _folded(x, w, at):
    """Three axes as two: positions of the window's first axis become channels, its steps rows."""
    x = padded(x, (at.pads[0], (0, 0), (0, 0)))
    batch, stride = x.shape[0], at.stride[0]
    count = steps(x.shape[1], at.span[0], stride)
    starts = range(0, at.span[0], at.dilation[0])
    each = [lax.slice_in_dim(x, i, i + (count - 1) * stride + 1, stride, 1) for i in starts]
    x = jnp.concatenate(each, axis=-1)
    x = x.reshape(batch * count, *x.shape[2:])
    w = jnp.moveaxis(w, 0, -3)
    w = w.reshape(*w.shape[:2], -1, w.shape[-1])
    y = _dense(Window(*(part[1:] for part in at)), x, w)
    return y.reshape(batch, count, *y.shape[1:])


def _blocks(x, w, at, groups):
    """Groups as at most BLOCKS dense convolutions, zero between the groups that share one."""
    n = max(blocks for blocks in range(1, BLOCKS + 1) if groups % blocks == 0)
    m, (*size, channels, width) = groups // n, w.shape
    w = w.reshape(*size, 1, channels, n, m, width // groups)
    same_group = jnp.eye(m, dtype=bool).reshape(*(1 for _ in size), m, 1, 1, m, 1)
    w = jnp.where(same_group, w, 0) if m > 1 else w
    w = w.reshape(*size, m * channels, width)
    pieces = zip(jnp.split(x, n, axis=-1), jnp.split(w, n, axis=-1), strict=True)
    return jnp.concatenate([on_cpu(*piece, at) for piece in pieces], axis=-1)


def _depthwise(x, w, at):
    """One channel a group: a weighted sum over the positions of the window, channel by channel."""
    wide = core.param_dtype(x)
    copies = jnp.repeat(x, w.shape[-1] // x.shape[-1], axis=-1)
    y = _weighed(at, padded(copies, at.pads).astype(wide), w.reshape(-1, w.shape[-1]).astype(wide))
    return y.astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _weighed(at, x, w):
    """The sum over window positions of padded x there times a row of w [positions, channels].

    This compiles to one loop over y. Its weight gradient would be a reduction for each position
    over a copy of x, with all copies alive at once; `_scanned` computes them one after the other.
    """
    return sum(tap * _lined(row, x.ndim) for tap, row in zip(taps(x, at), w, strict=True))


def _weighed_jvp(at, primals, tangents):
    (x, w), (dx, dw) = primals, tangents
    terms = [] if isinstance(dx, SymbolicZero) else [_weighed(at, dx, w)]
    terms += [] if isinstance(dw, SymbolicZero) else [_scanned(at, x, dw)]
    return _weighed(at, x, w), sum(terms[1:], terms[0])


_weighed.defjvp(_weighed_jvp, symbolic_zeros=True)


def _scanned(at, x, w):
    """`_weighed` as a scan over window positions."""
    places = np.argwhere(np.ones(at.size)) * at.dilation
    offsets = jnp.asarray(np.pad(places, ((0, 0), (1, 1))), jnp.int32)
    counts = tuple(map(steps, x.shape[1:-1], at.span, at.stride))
    reach = [(count - 1) * s + 1 for count, s in zip(counts, at.stride, strict=True)]

    @partial(jax.checkpoint, prevent_cse=False)  # otherwise the taps of all positions would be kept
    def step(y, offset_row):
        offset, row = offset_row
        tap = lax.dynamic_slice(x, offset, (x.shape[0], *reach, x.shape[-1]))
        tap = lax.slice(tap, (0,) * x.ndim, tap.shape, (1, *at.stride, 1))
        return y + tap * _lined(row, x.ndim), None

    zeros = jnp.zeros((x.shape[0], *counts, x.shape[-1]), x.dtype)
    return lax.scan(step, zeros, (offsets, w))[0]


def _lined(row, ndim):
    return row.reshape((1,) * (ndim - 1) + row.shape)
