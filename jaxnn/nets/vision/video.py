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
from jaxnn.nets.vision.cnn import DEPTHS, HE
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
    """A ResNet of basic blocks over clips: its convolutions are over time, height and width.

    stem - stage 1 - ... - stage n - mean over space and time - dense

    Each stage but the first halves time, height and width, and has twice the channels. The stem is
    3 x 7 x 7 and halves height and width alone.

    Args:
      classes: logits; x [batch, time, height, width, channels] gives y [batch, classes]. With None
        there is no head, and y is the map of the last stage.
      depth: 18 or 34 layers, or the blocks of each stage, (1, 1).
      factored: whether each convolution is one over space and then one over time, R(2+1)D, which
        has as many params and one activation more.
      width: channels of the first stage.
      small: for frames of up to 64 pixels: the stem is 3 x 3 x 3 of stride 1.

    Raises:
      ValueError: for another depth, no blocks, or a width less than 1; for an input that is no
        clip.

    (Tran et al., A closer look at spatiotemporal convolutions for action recognition, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.video_resnet(8, (1, 1), width=8, small=True), jax.numpy.ones((2, 4, 8, 8, 1))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net.apply, params, state, x)[0].shape
    (2, 8)
    """
    basic = {each: blocks for each, blocks in DEPTHS.items() if each < 50}
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
    middle = max(45 * width // 64, 1)  # 45 for 64, as the authors have it
    parts: dict[str, Any] = {
        "stem": serial(clip, *_conv(width, size, stride, middle if factored else None), jax.nn.relu)
    }
    before = width
    for i, n in enumerate(blocks):
        core.check_int(n, "video_resnet: blocks of a stage")
        own, rest = width * 2**i, [(width * 2**i, 1)] * (n - 1)
        parts[f"stage{i + 1}"] = serial(
            *(
                video_block(channels, own, stride=by, factored=factored)
                for channels, by in [(before, 1 if i == 0 else 2), *rest]
            )
        )
        before = own
    if classes is not None:
        parts |= {"pool": global_avg_pool(), "head": dense(classes)}
    return serial(**parts)


@factory
def video_block(channels: int, width: int, *, stride: int = 1, factored: bool = False) -> Layer:
    """A residual block over space and time.

    y = relu(s(x) + norm(conv(relu(norm(conv(x))))))

    conv is 3 x 3 x 3, or where it is factored 1 x 3 x 3 to m channels, norm, relu, and 3 x 1 x 1,
    with m such that there are as many params: m = 27 channels width / (9 channels + 3 width). s is
    the identity, or norm(conv1(x)) where the shape changes.

    Args:
      channels: of the input x [batch, time, height, width, channels].
      width: channels of the output.
      stride: along all three axes.
      factored: whether space and time come in turn.

    Raises:
      ValueError: for channels or a width less than 1.

    (Tran et al., 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.video_block(8, 16, stride=2, factored=True), jax.numpy.ones((2, 4, 8, 8, 8))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net.apply, params, state, x)[0].shape
    (2, 2, 4, 4, 16)
    """
    channels = core.check_int(channels, "video_block: channels")
    width = core.check_int(width, "video_block: width")
    # Both convolutions of a block have the first one's number of channels between, as published.
    middle = max(27 * channels * width // (9 * channels + 3 * width), 1) if factored else None
    body = serial(
        *(*_conv(width, (3, 3, 3), stride, middle), jax.nn.relu),
        *_conv(width, (3, 3, 3), 1, middle),
    )
    same = stride == 1 and channels == width
    shortcut = None if same else serial(*_conv(width, (1, 1, 1), stride, None))
    return serial(residual(body, shortcut), jax.nn.relu)


def _conv(width: int, size: tuple, stride: Any, middle: int | None) -> tuple:
    """A convolution and its norm, over space and time, or over space and then over time."""
    options: dict[str, Any] = {"padding": "SYMMETRIC", "bias": False, "w_init": HE}
    if middle is None:
        return conv(width, size, stride=stride, **options), batch_norm()
    time, *space = stride if isinstance(stride, tuple) else (stride,) * 3
    return (
        *(conv(middle, (1, *size[1:]), stride=(1, *space), **options), batch_norm(), jax.nn.relu),
        *(conv(width, (size[0], 1, 1), stride=(time, 1, 1), **options), batch_norm()),
    )
