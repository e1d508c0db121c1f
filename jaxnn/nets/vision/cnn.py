"""Convolutional networks for pictures: LeNet, ResNet, ConvNeXt and U-Net.

All take floats [batch, height, width, channels] and learn how many channels there are from the
example they are initialised with; pictures with others are refused by name.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.combine import repeat
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import concatenate, residual, serial, wire
from jaxnn.layers.convolution.conv import conv, conv_transpose, depthwise_conv
from jaxnn.layers.convolution.pool import avg_pool, global_avg_pool, max_pool
from jaxnn.layers.convolution.reshape import flatten
from jaxnn.layers.dense import dense
from jaxnn.layers.noise import drop_path
from jaxnn.layers.norm import batch_norm, layer_norm
from jaxnn.printing import factory

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3),
          152: (3, 8, 36, 3)}  # fmt: skip
HE = jax.nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal")


@factory
def lenet(
    classes: int,
    *,
    widths: Sequence[int] = (6, 16, 120, 84),
    activation: Callable = jnp.tanh,
    pool: Callable = avg_pool,
) -> Layer:
    """Two convolutions of 5 x 5, each with a pool of 2 x 2, and three dense layers.

    conv - a - pool - conv - a - pool - dense - a - dense - a - dense

    Args:
      classes: logits; x [batch, height, width, channels] gives y [batch, classes]. Pictures have
        12 pixels a side or more; 28 x 28 become 32 x 32, as in the paper, by the first's padding.
      widths: of the two convolutions and the two dense layers before the last.
      activation, pool: `jax.nn.relu` and `nn.max_pool` are the later habit.

    Raises:
      ValueError: for other than four widths; for pictures that are too small.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998: LeNet-5, here with
    every map of the second convolution connected to all of the first.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.lenet(10), jax.numpy.ones((8, 28, 28, 1))
    >>> nn.count_params(jax.eval_shape(net.init, jax.random.key(0), x)[0])
    61706
    """
    if len(widths) != 4:
        raise ValueError(f"lenet takes four widths, conv, conv, dense, dense; got {widths!r}.")
    first, second, third, fourth = widths
    return serial(
        *(conv(first, 5), activation, pool(2)),
        *(conv(second, 5, padding="VALID"), activation, pool(2), flatten()),
        *(dense(third), activation, dense(fourth), activation, dense(classes)),
    )


@factory
def resnet(
    classes: int | None,
    depth: int | Sequence[int] = 18,
    *,
    bottleneck: bool | None = None,
    width: int = 64,
    small: bool = False,
    repeated: bool = False,
) -> Layer:
    """A stem, four stages of residual blocks, each at half the size of the last, and a linear head.

    basic block:  y = relu(s(x) + norm(conv3(relu(norm(conv3(x))))))
    bottleneck:   y = relu(s(x) + norm(conv1(relu(norm(conv3(relu(norm(conv1(x)))))))))

    s is the identity, or norm(conv1(x)) where a stage begins with another shape. Stage i has the
    width 2^i width, and a bottleneck four times that at its end; the stride is in its 3 x 3. The
    padding is PyTorch's.

    Args:
      classes: logits; x [batch, height, width, channels] gives y [batch, classes]. With None there
        is no head, and y [batch, places, places, features] is the map of the last stage.
      depth: 18, 34, 50, 101 or 152 layers, or the blocks of each stage, (1, 1, 1).
      bottleneck: which block; by default from 50 layers on, and not where blocks are given.
      width: channels of the first stage.
      small: for pictures of 28 to 64 pixels: the stem is one 3 x 3 convolution, not a 7 x 7 of
        stride 2 and a pool of stride 2.
      repeated: whether the equal blocks of a stage are one `repeat`: compile time does not grow
        with the depth, and their params are stacked.

    Raises:
      ValueError: for another depth, no blocks, or a width less than 1.

    (He et al., Deep residual learning for image recognition, 2015.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.resnet(10, 18, width=8, small=True), jax.numpy.ones((8, 32, 32, 3))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> y, state = jax.eval_shape(net.apply, params, state, x)
    >>> y.shape
    (8, 10)
    """
    if isinstance(depth, Sequence):
        blocks = tuple(core.check_int(n, "resnet: blocks of a stage") for n in depth)
    else:
        blocks = DEPTHS.get(depth, ())
        bottleneck = depth >= 50 if bottleneck is None else bottleneck
    if not blocks:
        raise ValueError(
            f"resnet: depth is one of {', '.join(map(str, DEPTHS))}, or the blocks of each stage, "
            f"(1, 1, 1); got {depth!r}."
        )
    make, wide = (bottleneck_block, 4) if bottleneck else (basic_block, 1)
    if small:
        stem = serial(*_normed(width, 3), jax.nn.relu)
    else:
        stem = serial(*_normed(width, 7, 2), jax.nn.relu, max_pool(3, stride=2, padding=1))
    parts: dict[str, Any] = {"stem": stem}
    for i, n in enumerate(blocks):
        stride, before = (1 if i == 0 else 2), width * (1 if i == 0 else wide * 2 ** (i - 1))
        first = make(width * 2**i, stride, project=stride > 1 or before != wide * width * 2**i)
        parts[f"stage{i + 1}"] = stage(first, make(width * 2**i), n, repeated)
    if classes is not None:
        parts |= {"pool": global_avg_pool(), "head": dense(classes)}
    return serial(**parts)


def basic_block(width: int, stride: int = 1, *, project: bool = False) -> Layer:
    """The block of ResNet-18 and 34: two 3 x 3 convolutions; see `resnet`."""
    body = serial(*_normed(width, 3, stride), jax.nn.relu, *_normed(width, 3))
    return _added(body, width, stride, project)


def bottleneck_block(width: int, stride: int = 1, *, project: bool = False) -> Layer:
    """The block of the deeper ones: 1 x 1 to fewer channels, 3 x 3, 1 x 1 to four times as many."""
    body = serial(
        *(*_normed(width, 1), jax.nn.relu),
        *(*_normed(width, 3, stride), jax.nn.relu),
        *_normed(4 * width, 1),
    )
    return _added(body, 4 * width, stride, project)


def stage(first: Any, equal: Any, n: int, repeated: bool) -> Net:
    """A first block and n - 1 equal ones, in a row or as one `repeat`."""
    if repeated and n > 2:
        return serial(first, repeat(equal, n - 1))
    return serial(first, *[equal] * (n - 1))


@factory
def convnext(
    classes: int | None,
    *,
    depths: Sequence[int] = (1, 1, 3, 1),
    widths: Sequence[int] = (40, 80, 160, 320),
    patch: int = 4,
    kernel_size: int = 7,
    drop_rate: float = 0.0,
    scale: float = 1e-6,
) -> Layer:
    """Residual blocks of a wide depthwise convolution and an MLP at every place.

    block: y = x + drop(scale * dense(gelu(dense(norm(depthwise(x))))))

    The MLP is four times as wide within. Between stages stand a norm and a convolution of 2 x 2
    and stride 2.

    Args:
      classes: logits; x [batch, height, width, channels] gives y [batch, classes]. With None there
        is no head, and y is the map of the last stage.
      depths, widths: blocks and channels of each stage; (3, 3, 9, 3) and (96, 192, 384, 768) are
        the paper's smallest.
      patch: side and stride of the first convolution; 1 or 2 for small pictures.
      kernel_size: of the depthwise convolution.
      drop_rate: how often a row skips the last block in training; the first block never is
        skipped, those between evenly more often.
      scale: where the learned factor of each block's channels starts.

    Raises:
      ValueError: for no stages, or for depths and widths that differ in number.

    (Liu et al., A ConvNet for the 2020s, 2022.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.convnext(10, depths=(1, 1), widths=(8, 16)), jax.numpy.ones((8, 16, 16, 3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (8, 10)
    """
    if not depths or len(depths) != len(widths):
        raise ValueError(
            f"convnext takes blocks and channels for each stage, as many of both, got depths "
            f"{tuple(depths)} and widths {tuple(widths)}."
        )
    rates = iter(np.linspace(0, drop_rate, sum(depths)).tolist())

    def block(width):
        body = serial(
            *(depthwise_conv(kernel_size), layer_norm(epsilon=1e-6)),
            *(dense(4 * width), jax.nn.gelu, dense(width)),
            *(layer_scale(scale), drop_path(next(rates))),
        )
        return residual(body)

    parts: dict[str, Any] = {}
    for i, (n, width) in enumerate(zip(depths, widths, strict=True)):
        core.check_int(n, "convnext: blocks of a stage")
        if i == 0:
            into = [conv(width, patch, stride=patch, padding="VALID"), layer_norm(epsilon=1e-6)]
        else:
            into = [layer_norm(epsilon=1e-6), conv(width, 2, stride=2, padding="VALID")]
        parts[f"stage{i + 1}"] = serial(*into, *(block(width) for _ in range(n)))
    if classes is not None:
        parts |= {"pool": global_avg_pool(), "norm": layer_norm(epsilon=1e-6)}
        parts["head"] = dense(classes)
    return serial(**parts)


def layer_scale(start: float = 1e-6) -> Layer:
    """A learned factor for each channel: y = scale x, with scale [channels] starting at `start`.

    (Touvron et al., Going deeper with image transformers, 2021.)
    """

    def init(key, x):
        shape = core.check_features(x, "layer_scale").shape[-1:]
        return {"scale": jnp.full(shape, start, core.param_dtype(x))}, ()

    def apply(params, state, x, *, key=None, train=False):
        (scale,) = core.unpack_params(params, x, "layer_scale", "scale")
        return x * scale.reshape((1,) * (x.ndim - 1) + (-1,)), ()

    return Layer(init, apply)


@factory
def unet(
    width: int,
    *,
    widths: Sequence[int] = (32, 64, 128, 256),
    activation: Callable = jax.nn.relu,
    norm: Callable[[], Layer] = batch_norm,
) -> Layer:
    """A net that goes down to a coarse map and up again, with a bridge at every size.

    level i: y = convs(concatenate(h, up(level i + 1(pool(h))))), with h = convs(x)

    convs is twice (conv3, norm, activation), pool takes the largest of 2 x 2, up is a transposed
    convolution of 2 x 2 and stride 2. The lowest level is convs alone.

    Args:
      width: channels of the output, from a last convolution of one place; x [batch, height, width,
        channels] gives y [batch, height, width, width].
      widths: channels of each level, from the finest down.
      activation: any function of arrays.
      norm: makes the norm of each convolution; `lambda: nn.group_norm(8)` keeps no state.

    Raises:
      ValueError: for no widths; for pictures whose sides are no multiples of 2^(levels - 1).

    (Ronneberger, Fischer and Brox, U-Net: Convolutional networks for biomedical image segmentation,
    2015, here with padding, so that the output is as large as the input.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unet(1, widths=(8, 16)), jax.numpy.ones((8, 12, 12, 3))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net.apply, params, state, x)[0].shape
    (8, 12, 12, 1)
    """
    if not widths:
        raise ValueError("unet takes the channels of each level, (32, 64, 128); got none.")
    multiple = 2 ** (len(widths) - 1)

    def whole(x):
        if core.check_features(x, "unet").ndim != 4 or any(n % multiple for n in x.shape[1:3]):
            raise ValueError(
                f"unet of {len(widths)} levels takes [batch, height, width, channels] with sides "
                f"that are multiples of {multiple}, got {core.describe(x)}: pad it, or take fewer "
                "levels."
            )
        return x

    def convs(channels):
        once = [lambda: conv(channels, 3, bias=False, w_init=HE), norm, lambda: activation]
        return serial(*(make() for make in once * 2))

    def level(i):
        if i == len(widths) - 1:
            return convs(widths[i])
        below = serial(max_pool(2), level(i + 1), conv_transpose(widths[i], 2, stride=2))

        def flow(f, x):
            h = f.down(x)
            return f.up(concatenate((h, f.below(h))))

        return wire(flow, down=convs(widths[i]), below=below, up=convs(widths[i]))

    return serial(whole, level(0), conv(width, 1))


def _normed(width: int, kernel_size: int, stride: int = 1) -> tuple[Layer, Layer]:
    """A convolution and its batch norm, which makes a bias idle."""
    options: dict[str, Any] = {"padding": "SYMMETRIC", "bias": False, "w_init": HE}
    return conv(width, kernel_size, stride=stride, **options), batch_norm()


def _added(body: Layer | Cell, width: int, stride: int, project: bool) -> Layer:
    shortcut = serial(*_normed(width, 1, stride)) if project else None
    return serial(residual(body, shortcut), jax.nn.relu)
