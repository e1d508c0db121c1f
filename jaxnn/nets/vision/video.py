"""Convolutional networks for video: residual blocks over space and time at once, or in turn."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import residual, serial
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.convolution.pool import global_avg_pool
from jaxnn.layers.dense import dense
from jaxnn.layers.norm import batch_norm
from jaxnn.nets.vision.resnet import DEPTHS, HE
from jaxnn.printing import factory


@factory
def video_resnet(
    classes: int | None,
    depth: int | Sequence[int] = 18,
    *,
    factored: bool = False,
    width: int = 64,
    small: bool = False,
) -> Layer:
    """A ResNet of basic blocks for clips, with convolutions over time, height and width.

    stem - stage 1 - ... - stage n - mean over space and time - dense

    Each stage but the first halves time, height and width, and doubles the channels. The stem is
    3 x 7 x 7 and halves height and width only.

    Args:
      classes: the number of classes, or None for a net without a head.
      depth: 18 or 34 layers, or the number of blocks of each stage, such as (1, 1).
      factored: whether each convolution is one over space followed by one over time, R(2+1)D, which
        has as many params and one more activation.
      width: the number of channels of the first stage.
      small: whether the stem is 3 x 3 x 3 of stride 1, for frames of up to 64 pixels.

    Returns:
      A layer from x [batch, time, height, width, channels] to logits [batch, classes] of x's dtype,
      or with None to the map of the last stage, [batch, time, rows, columns, features].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if depth is not one of those above, there are no blocks, width is less than 1, or
        x does not have five axes.

    (Tran et al., A closer look at spatiotemporal convolutions for action recognition, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.video_resnet(8, (1, 1), width=8, small=True), jax.numpy.ones((2, 4, 8, 8, 1))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> y, state = jax.eval_shape(net.apply, params, state, x)
    >>> y.shape
    (2, 8)
    """
    basic = {layers: blocks for layers, blocks in DEPTHS.items() if layers < 50}
    blocks = tuple(depth) if isinstance(depth, Sequence) else basic.get(depth, ())
    if not blocks:
        raise ValueError(
            f"video_resnet: depth is one of {', '.join(map(str, basic))}, or the blocks of each "
            f"stage, (1, 1); got {depth!r}."
        )
    width = core.check_int(width, "video_resnet: width")

    def clip(x):
        if core.check_features(x, "video_resnet").ndim != 5:
            raise ValueError(
                "video_resnet takes clips [batch, time, height, width, channels], got "
                f"{core.describe(x)}: add the axis of time or of channels."
            )
        return x

    size, stride = ((3, 3, 3), 1) if small else ((3, 7, 7), (1, 2, 2))
    middle = max(45 * width // 64, 1) if factored else None  # 45 for 64, as the authors have it
    parts: dict[str, Any] = {
        "stem": serial(clip, *_conv_norm(width, size, stride, middle), jax.nn.relu)
    }
    channels = width
    for i, n in enumerate(blocks):
        core.check_int(n, "video_resnet: blocks of a stage")
        out = width * 2**i
        first = video_block(channels, out, stride=1 if i == 0 else 2, factored=factored)
        others = [video_block(out, out, factored=factored) for _ in range(n - 1)]
        parts[f"stage{i + 1}"] = serial(first, *others)
        channels = out
    if classes is not None:
        parts |= {"pool": global_avg_pool(), "head": dense(classes)}
    return serial(**parts)


@factory
def video_block(channels: int, width: int, *, stride: int = 1, factored: bool = False) -> Layer:
    """A residual block over space and time.

    y = relu(s(x) + norm(conv(relu(norm(conv(x))))))

    conv is 3 x 3 x 3, or if factored 1 x 3 x 3 to m channels, norm, relu, and 3 x 1 x 1, with m
    such that there are as many params: m = 27 channels width / (9 channels + 3 width). s is the
    identity, or norm(conv1(x)) if the shape changes.

    Args:
      channels: the number of channels of the input.
      width: the number of channels of the output.
      stride: the stride along all three axes.
      factored: whether each convolution is one over space followed by one over time.

    Returns:
      A layer from x [batch, time, height, width, channels] to y of x's dtype, with `width` channels
      and the other axes divided by the stride.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if channels or width is less than 1.

    (Tran et al., A closer look at spatiotemporal convolutions for action recognition, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.video_block(8, 16, stride=2, factored=True), jax.numpy.ones((2, 4, 8, 8, 8))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> y, state = jax.eval_shape(net.apply, params, state, x)
    >>> y.shape
    (2, 2, 4, 4, 16)
    """
    channels = core.check_int(channels, "video_block: channels")
    width = core.check_int(width, "video_block: width")
    # Both convolutions have the m of the first one, as published.
    middle = max(27 * channels * width // (9 * channels + 3 * width), 1) if factored else None
    body = serial(
        *_conv_norm(width, (3, 3, 3), stride, middle),
        jax.nn.relu,
        *_conv_norm(width, (3, 3, 3), 1, middle),
    )
    same_shape = stride == 1 and channels == width
    shortcut = None if same_shape else serial(*_conv_norm(width, (1, 1, 1), stride, None))
    return serial(residual(body, shortcut), jax.nn.relu)


def _conv_norm(width: int, size: tuple, stride: Any, middle: int | None) -> tuple:
    """A convolution and its norm, over space and time, or over space and then over time."""
    options: dict[str, Any] = {"padding": "SYMMETRIC", "bias": False, "w_init": HE}
    if middle is None:
        return conv(width, size, stride=stride, **options), batch_norm()
    time, *space = stride if isinstance(stride, tuple) else (stride,) * 3
    return (
        conv(middle, (1, *size[1:]), stride=(1, *space), **options),
        batch_norm(),
        jax.nn.relu,
        conv(width, (size[0], 1, 1), stride=(time, 1, 1), **options),
        batch_norm(),
    )
