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
    """A convolution: a kernel that slides over space, with the same weights at every position.

    y[n, i, o] = b[o] + sum over k, c of x[n, i s + k d - p, c] w[k, c, o]

    s is the stride, d the dilation, p the padding before the first position, and w is
    [*kernel_size, channels / groups, width].

    Args:
      width: number of output channels.
      kernel_size: size of the kernel, one integer, or one for each spatial axis.
      stride: s, one integer, or one for each spatial axis.
      padding: the zeros around x. "SAME" pads so that the output has ceil(size / stride) positions,
        split evenly between both sides, with one more at the end if the number is odd; under stride
        2, a kernel of 3 over an even size is padded by (0, 1), where PyTorch's padding=1 is (1, 1).
        "SYMMETRIC" pads dilation (kernel_size - 1) / 2 on both sides, as PyTorch's models do.
        "VALID" pads nothing. "CAUSAL", for one axis, pads only before, so that no output sees later
        inputs. An integer pads both sides of every axis; a tuple has an integer or a (low, high)
        pair for each axis. Other than zeros is padded beforehand: `serial(lambda x: jnp.pad(x,
        pads, "wrap"), conv(...))`.
      dilation: d, one integer, or one for each spatial axis.
      groups: number of groups into which channels and width are split; each group of outputs sees
        its own group of channels only.
      bias: whether to add b [width].
      w_init: initializer of w; by default LeCun normal, whose variance is 1 / (channels / groups *
        kernel_size) (LeCun et al., Efficient backprop, 1998).
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *positions, width] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size, stride or dilation is less than 1, if SYMMETRIC padding meets an even
        kernel or CAUSAL padding more than one axis, if the groups do not divide channels and width,
        if the kernel is larger than the padded input, or if the params are for other channels.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998; dilation: Yu and
    Koltun, Multi-scale context aggregation by dilated convolutions, 2016; groups: Krizhevsky et
    al., ImageNet classification with deep convolutional neural networks, 2012.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.conv(8, 3, stride=2), jnp.ones((4, 28, 28, 1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
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
    """A convolution with one group for each channel, which has `multiplier` kernels of its own.

    y[n, i, c m + j] = b[c m + j] + sum_k x[n, i s + k d - p, c] w[k, 0, c m + j]

    w is [*kernel_size, 1, channels * m].

    Args:
      kernel_size: size of the kernel, one integer, or one for each spatial axis.
      multiplier: m, the number of outputs for each channel.
      stride: s, one integer, or one for each spatial axis.
      padding: p, as in `conv`.
      dilation: d, one integer, or one for each spatial axis.
      bias: whether to add b [channels * m].
      w_init: initializer of w; LeCun normal by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *positions, channels * m] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: in the cases of `conv`, or if multiplier is less than 1.

    (Chollet, Xception, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.depthwise_conv(3), jnp.ones((4, 8, 8, 16))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((3, 3, 1, 16), (4, 8, 8, 16))
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
    """A transposed convolution: each position of x adds a copy of the kernel to y, `stride` apart.

    y[n, i s + k d - p, o] = b[o] + sum over i, k, c of x[n, i, c] w[k, c, o]

    w is [*kernel_size, channels / groups, width]. With span = dilation (kernel_size - 1) + 1, an
    axis of the output has this size:

    - with padding as numbers, PyTorch's convention: (size - 1) stride - low - high + span +
      output_padding.
    - with "VALID", Keras's convention: size stride + max(span - stride, 0).
    - with "SAME", Keras's convention: size stride, by cropping max(span - stride, 0), half of it
      before and the rest after.

    With the same padding it maps the output shape of a `conv` to that conv's input shape, and is
    the gradient of that conv with channels and width exchanged. Flax does not flip the kernel: its
    w is this one flipped along space.

    Args:
      width: number of output channels.
      kernel_size: size of the kernel, one integer, or one for each spatial axis.
      stride: s, one integer, or one for each spatial axis.
      padding: "SAME", "VALID", or an integer or (low, high) pair for each axis, the number of
        positions cropped from the output.
      output_padding: number of positions added at the end of each axis, less than stride or
        dilation; only with padding as numbers.
      dilation: d, one integer, or one for each spatial axis.
      groups: number of groups into which channels and width are split; each group of outputs sees
        its own group of channels only.
      bias: whether to add b [width].
      w_init: initializer of w; LeCun normal by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, *positions, width] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size, stride or dilation is less than 1, if output_padding is too large, if
        the groups do not divide channels and width, if the output would be empty, or if the params
        are for other channels.

    (Zeiler et al., Deconvolutional networks, 2010; Dumoulin and Visin, A guide to convolution
    arithmetic for deep learning, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.conv_transpose(8, 4, stride=2), jnp.ones((4, 7, 7, 16))
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
    """A layer with weights of shape(x), applied by forward(x, w), and a bias."""
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
                "feed the input it was initialized for, or init with this x."
            )
        y = forward(x, w)
        return y + b[0].reshape((1,) * (y.ndim - 1) + (-1,)) if b else y, ()

    return Layer(init, apply, title, title)


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
    """The channels of one group."""
    if x.shape[-1] % groups:
        raise ValueError(
            f"{title}: {groups} groups do not divide the {x.shape[-1]} channels of "
            f"{core.describe(x)}: change the width of the layer before, or the groups."
        )
    return x.shape[-1] // groups


def _spreading(kernel_size, stride, padding, output_padding, dilation) -> Callable:
    """Checks the arguments of conv_transpose, and returns a function that fits them to an input."""
    title = "conv_transpose"
    size = window.sizes(kernel_size, f"{title}: kernel_size")
    stride = window.sizes(stride, f"{title}: stride")
    dilation = window.sizes(dilation, f"{title}: dilation")
    padding = window.paddings(padding, f"{title}: padding", ("SAME", "VALID"))
    extra = window.sizes(output_padding, f"{title}: output_padding", 0)
    if isinstance(padding, str) and extra != 0:
        raise ValueError(
            f"{title}: output_padding goes with padding as numbers, not with {padding}, which "
            "determines the output size."
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
