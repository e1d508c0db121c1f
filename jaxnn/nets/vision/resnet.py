"""ResNet, a deep network of residual blocks for images."""

from collections.abc import Sequence
from typing import Any

import jax

from jaxnn import core
from jaxnn.combine import repeat
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import residual, serial
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.convolution.pool import global_avg_pool, max_pool
from jaxnn.layers.dense import dense
from jaxnn.layers.norm import batch_norm
from jaxnn.printing import factory

DEPTHS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
HE = jax.nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal")


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
    """A stem, stages of residual blocks, each at half the size of the last, and a linear head.

    basic block:  y = relu(s(x) + norm(conv3(relu(norm(conv3(x))))))
    bottleneck:   y = relu(s(x) + norm(conv1(relu(norm(conv3(relu(norm(conv1(x)))))))))

    s is the identity, or norm(conv1(x)) if the shape changes. Stage i = 0, 1, ... has 2^i width
    channels, and a bottleneck block has four times as many at its end; the stride is in its 3 x 3
    convolution. The padding is that of PyTorch.

    Args:
      classes: the number of classes, or None for a net without a head.
      depth: 18, 34, 50, 101 or 152 layers, or the number of blocks of each stage, such as
        (1, 1, 1).
      bottleneck: whether the blocks are bottlenecks; by default for a depth of 50 and more, and not
        if the numbers of blocks are given.
      width: the number of channels of the first stage.
      small: whether the stem is one 3 x 3 convolution, for images of 28 to 64 pixels, in place of a
        7 x 7 of stride 2 and a pool of stride 2.
      repeated: whether the equal blocks of a stage are one `repeat`, whose compile time does not
        grow with the depth, and whose params are stacked.

    Returns:
      A layer from x [batch, height, width, channels] to logits [batch, classes] of x's dtype, or
      with None to the map of the last stage, [batch, rows, columns, features].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if depth is not one of those above, there are no blocks, or width is less than 1.

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
    make_block, expansion = (bottleneck_block, 4) if bottleneck else (basic_block, 1)
    if small:
        stem = serial(*conv_norm(width, 3), jax.nn.relu)
    else:
        stem = serial(*conv_norm(width, 7, 2), jax.nn.relu, max_pool(3, stride=2, padding=1))
    parts: dict[str, Any] = {"stem": stem}
    channels = width
    for i, n in enumerate(blocks):
        stride = 1 if i == 0 else 2
        out = expansion * width * 2**i
        first = make_block(width * 2**i, stride, project=stride > 1 or channels != out)
        parts[f"stage{i + 1}"] = stage(first, make_block(width * 2**i), n, repeated)
        channels = out
    if classes is not None:
        parts |= {"pool": global_avg_pool(), "head": dense(classes)}
    return serial(**parts)


def basic_block(width: int, stride: int = 1, *, project: bool = False) -> Layer:
    """The block of ResNet-18 and 34: two 3 x 3 convolutions; see `resnet`."""
    body = serial(*conv_norm(width, 3, stride), jax.nn.relu, *conv_norm(width, 3))
    return _residual_relu(body, width, stride, project)


def bottleneck_block(width: int, stride: int = 1, *, project: bool = False) -> Layer:
    """The block of the deeper nets: 1 x 1 to fewer channels, 3 x 3, 1 x 1 to four times as many."""
    body = serial(
        *conv_norm(width, 1),
        jax.nn.relu,
        *conv_norm(width, 3, stride),
        jax.nn.relu,
        *conv_norm(4 * width, 1),
    )
    return _residual_relu(body, 4 * width, stride, project)


def stage(first: Any, equal: Any, n: int, repeated: bool) -> Net:
    """A first block and n - 1 equal ones, in a row or as one `repeat`."""
    if repeated and n > 2:
        return serial(first, repeat(equal, n - 1))
    return serial(first, *[equal] * (n - 1))


def conv_norm(width: int, kernel_size: int, stride: int = 1) -> tuple[Layer, Layer]:
    """A convolution and its batch norm, which makes a bias of the convolution redundant."""
    options: dict[str, Any] = {"padding": "SYMMETRIC", "bias": False, "w_init": HE}
    return conv(width, kernel_size, stride=stride, **options), batch_norm()


def _residual_relu(body: Layer | Cell, width: int, stride: int, project: bool) -> Layer:
    """y = relu(s(x) + body(x)), where s is a projection or the identity."""
    shortcut = serial(*conv_norm(width, 1, stride)) if project else None
    return serial(residual(body, shortcut), jax.nn.relu)
