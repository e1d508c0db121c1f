"""Convolutions over one, two or three spatial axes, by the rank of the input."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.convolve import convolve, convolve_transpose
from jaxnn.printing import factory


@factory
def conv(
    width: int,
    kernel_size: window.Sizes,
    *,
    stride: window.Sizes = 1,
    padding: window.Padding = "SAME",
    dilation: window.Sizes = 1,
    groups: int = 1,
    bias: bool = True,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """A window of weights slid over space, the same at every place.

    y[n, i, o] = b[o] + sum over k, c of x[n, i s + k d - p, c] w[k, c, o]

    s is the stride, d the dilation, p the padding before the first place.

    Args:
      width: channels of the output; x [batch, *space, channels] gives y [batch, *places, width].
      kernel_size, stride, dilation: a whole number, or one for each spatial axis.
      padding: how many zeros surround x.
        "SAME": as many as give ceil(space / stride) places, as nearly alike on both sides as can
          be. Where their number is odd, one more comes last, so that under stride 2 a kernel of 3
          over an even space has (0, 1), where PyTorch's padding=1 has (1, 1).
        "SYMMETRIC": dilation (kernel_size - 1) / 2 on both sides, as PyTorch's models have it.
        "VALID": none. "CAUSAL": all before, so that no place sees a later one; for one axis.
        A number: as many on both sides. Else a number or a (low, high) pair for each axis. What is
        no zeros is padded beforehand: `serial(lambda x: jnp.pad(x, pads, "wrap"), conv(...))`.
      groups: the channels and the width in this many groups, each seeing its own alone.
      bias: whether there is a b [width] beside w [*kernel_size, channels / groups, width].
      w_init, b_init: initialisers of `jax.nn`; by default LeCun normal, whose variance is
        1 / (channels / groups * kernel_size) (LeCun et al., Efficient backprop, 1998), and zeros.

    Raises:
      TypeError: for an input that is no floats.
      ValueError: for sizes, strides or dilations less than 1; SYMMETRIC padding of an even kernel;
        CAUSAL padding over more than one axis; groups that do not divide channels and width; a
        kernel larger than its padded input; params for other channels.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998; dilation: Yu and
    Koltun, Multi-scale context aggregation by dilated convolutions, 2016; groups: Krizhevsky et
    al., ImageNet classification with deep convolutional neural networks, 2012.)

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.conv(8, 3, stride=2).init(jax.random.key(0), jax.numpy.ones((4, 28, 28, 1)))
    >>> params["w"].shape, nn.conv(8, 3, stride=2)(params, jax.numpy.ones((4, 28, 28, 1))).shape
    ((3, 3, 1, 8), (4, 14, 14, 8))
    """
    fit = window.sliding("conv", "kernel_size", kernel_size, stride, dilation, padding)
    width, groups = _grouped("conv", width, groups)

    def shape(x):
        return (*fit(x).size, _divided("conv", x, groups), width)

    def forward(x, w):
        return convolve(x, w, fit(x), groups)

    return _layer("conv", shape, forward, bias, w_init, b_init)


@factory
def depthwise_conv(
    kernel_size: window.Sizes,
    *,
    multiplier: int = 1,
    stride: window.Sizes = 1,
    padding: window.Padding = "SAME",
    dilation: window.Sizes = 1,
    bias: bool = True,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """`conv` with a group for each channel: each is convolved with `multiplier` kernels of its own.

    y[n, i, c m + j] = b[c m + j] + sum_k x[n, i s + k d - p, c] w[k, 0, c m + j]

    Args:
      multiplier: m, outputs a channel; x [batch, *space, channels] gives
        y [batch, *places, channels * m], and w is [*kernel_size, 1, channels * m].
      kernel_size, stride, padding, dilation, bias, w_init, b_init: as in `conv`.

    Raises:
      TypeError, ValueError: as `conv` does.

    (Chollet, Xception, 2017.)

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.depthwise_conv(3).init(jax.random.key(0), jax.numpy.ones((4, 8, 8, 16)))
    >>> params["w"].shape
    (3, 3, 1, 16)
    """
    title = "depthwise_conv"
    fit = window.sliding(title, "kernel_size", kernel_size, stride, dilation, padding)
    multiplier = core.check_int(multiplier, f"{title}: multiplier")

    def shape(x):
        return (*fit(x).size, 1, x.shape[-1] * multiplier)

    def forward(x, w):
        return convolve(x, w, fit(x), x.shape[-1])

    return _layer(title, shape, forward, bias, w_init, b_init)


@factory
def conv_transpose(
    width: int,
    kernel_size: window.Sizes,
    *,
    stride: window.Sizes = 1,
    padding: window.Padding = "SAME",
    output_padding: window.Sizes = 0,
    dilation: window.Sizes = 1,
    groups: int = 1,
    bias: bool = True,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """The transpose of `conv`: each place writes a copy of the kernel, `stride` places apart.

    y[n, i s + k d - p, o] = b[o] + sum over i, k, c of x[n, i, c] w[k, c, o]

    The places of an axis of the output, where span = dilation (kernel_size - 1) + 1:

    - padding as numbers, PyTorch's convention: (space - 1) stride - low - high + span +
      output_padding.
    - "VALID", Keras's: space stride + max(span - stride, 0).
    - "SAME", Keras's: space stride, cropped by max(span - stride, 0), half before, the rest after.

    With the same padding it turns the output shape of a `conv` into its input's, and is the
    gradient of that conv with its channels and width exchanged. Flax does not turn the kernel
    around: its w is this one flipped along space.

    Args:
      width: channels of the output; x [batch, *space, channels] gives y [batch, *places, width].
      kernel_size, stride, dilation: a whole number, or one for each spatial axis.
      padding: "SAME", "VALID", or a number or (low, high) pair for each axis of places that are
        cropped from the output.
      output_padding: places added at the end of each axis, less than stride or dilation; with
        padding as numbers alone.
      groups: the channels and the width in this many groups, each seeing its own alone.
      bias: whether there is a b [width] beside w [*kernel_size, channels / groups, width].
      w_init, b_init: initialisers of `jax.nn`; by default LeCun normal and zeros, as in `conv`.

    Raises:
      TypeError: for an input that is no floats.
      ValueError: for sizes, strides or dilations less than 1; an output_padding that is too large;
        groups that do not divide channels and width; an output without places; params for other
        channels.

    (Zeiler et al., Deconvolutional networks, 2010; Dumoulin and Visin, A guide to convolution
    arithmetic for deep learning, 2016.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.conv_transpose(8, 4, stride=2), jax.numpy.ones((4, 7, 7, 16))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((4, 4, 16, 8), (4, 14, 14, 8))
    """
    title = "conv_transpose"
    fit = _spreading(kernel_size, stride, padding, output_padding, dilation)
    width, groups = _grouped(title, width, groups)

    def shape(x):
        return (*fit(x)[0].size, _divided(title, x, groups), width)

    def forward(x, w):
        at, extra = fit(x)
        return convolve_transpose(x, w, at, groups, extra)

    return _layer(title, shape, forward, bias, w_init, b_init)


def _layer(title, shape, forward, bias, w_init, b_init) -> Layer:
    """A layer of weights of shape(x), used as forward(x, w), and a bias."""
    names = ("w", "b") if bias else ("w",)

    def init(key, x):
        wanted, dtype = shape(x), core.param_dtype(x)
        w = w_init(core.fold_in(key, 0), wanted, dtype)
        return {"w": w, "b": b_init(core.fold_in(key, 1), wanted[-1:], dtype)} if bias else {
            "w": w
        }, ()

    def apply(params, state, x, *, key=None, train=False):
        wanted = shape(x)
        w, *b = core.unpack_params(params, x, title, *names)
        if w.shape != wanted:
            raise ValueError(
                f"{title} has w {list(w.shape)}, and needs {list(wanted)} for {core.describe(x)}: "
                "feed what it was made for, or init with this x."
            )
        y = forward(x, w)
        return y + b[0].reshape((1,) * (y.ndim - 1) + (-1,)) if b else y, ()

    return Layer(init, apply, name=title)


def _grouped(title: str, width: Any, groups: Any) -> tuple[int, int]:
    width, groups = (
        core.check_int(width, f"{title}: width"),
        core.check_int(groups, f"{title}: groups"),
    )
    if width % groups:
        raise ValueError(
            f"{title}: {groups} groups do not divide a width of {width}: make it a multiple."
        )
    return width, groups


def _divided(title: str, x: Any, groups: int) -> int:
    """Channels of one group."""
    if x.shape[-1] % groups:
        raise ValueError(
            f"{title}: {groups} groups do not divide the {x.shape[-1]} channels of "
            f"{core.describe(x)}: change the width of the layer before, or the groups."
        )
    return x.shape[-1] // groups


def _spreading(kernel_size, stride, padding, output_padding, dilation) -> Callable:
    """Checks the arguments of conv_transpose, and returns what fits them to an input."""
    title = "conv_transpose"
    size = window.sizes(kernel_size, f"{title}: kernel_size")
    stride = window.sizes(stride, f"{title}: stride")
    dilation = window.sizes(dilation, f"{title}: dilation")
    padding = window.paddings(padding, f"{title}: padding", ("SAME", "VALID"))
    extra = window.sizes(output_padding, f"{title}: output_padding", 0)
    if isinstance(padding, str) and extra != 0:
        raise ValueError(
            f"{title}: output_padding goes with padding as numbers, not with {padding}, which "
            "sets the size of the output by itself."
        )
    rank = window.rank(title, size, stride, dilation, padding, extra)
    at = window.over(rank, size, stride, dilation)
    for e, s, d in zip(window.per_dim(extra, rank, ""), at.stride, at.dilation, strict=True):
        if e and e >= max(s, d):
            raise ValueError(
                f"{title}: output_padding must be less than stride or dilation, got {e} for a "
                f"stride of {s} and a dilation of {d}."
            )

    def fit(x):
        n = window.spatial(x, title)
        at = window.over(n, size, stride, dilation, title)
        if isinstance(padding, str):
            over = [max(span - s, 0) for span, s in zip(at.span, at.stride, strict=True)]
            more = tuple(max(s - span, 0) for span, s in zip(at.span, at.stride, strict=True))
            same = padding == "SAME"
            pads = tuple((o // 2, o - o // 2) if same else (0, 0) for o in over)
        else:
            more = window.per_dim(extra, n, f"{title}: output_padding")
            pads = window.pairs(padding, n, f"{title}: padding")
        for length, span, s, e, (low, high) in zip(
            x.shape[1:-1], at.span, at.stride, more, pads, strict=True
        ):
            if length < 1 or (length - 1) * s + span - low - high + e < 1:
                raise ValueError(
                    f"{title}: padding {pads} crops the whole output of {core.describe(x)}: pad "
                    "less."
                )
        return at._replace(pads=pads), more

    return fit
