"""ConvNeXt, a network of depthwise convolutions and MLPs for images."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_number
from jaxnn.core import Layer
from jaxnn.flow import residual, serial
from jaxnn.layers.convolution.conv import conv, depthwise_conv
from jaxnn.layers.convolution.pool import global_avg_pool
from jaxnn.layers.dense import dense
from jaxnn.layers.noise import drop_path
from jaxnn.layers.norm import layer_norm
from jaxnn.printing import factory


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
    """Stages of residual blocks, each a large depthwise convolution and an MLP at every position.

    block: y = x + drop(scale * dense(gelu(dense(norm(depthwise(x))))))

    The hidden layer of the MLP is four times as wide. Between stages there are a norm and a
    convolution of 2 x 2 and stride 2.

    Args:
      classes: the number of classes, or None for a net without a head.
      depths: the number of blocks of each stage; the paper's smallest net has (3, 3, 9, 3).
      widths: the number of channels of each stage; the paper's smallest net has
        (96, 192, 384, 768).
      patch: the size and stride of the first convolution; 1 or 2 for small images.
      kernel_size: the size of the depthwise convolution.
      drop_rate: the probability with which a row skips the last block in training; it rises
        linearly from 0 at the first block.
      scale: the initial value of the learned factor of each channel of a block.

    Returns:
      A layer from x [batch, height, width, channels] to logits [batch, classes] of x's dtype, or
      with None to the map of the last stage, [batch, rows, columns, features].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there are no stages, depths and widths differ in number, or drop_rate is out of
        range.

    (Liu et al., A ConvNet for the 2020s, 2022.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.convnext(10, depths=(1, 1), widths=(8, 16)), jax.numpy.ones((8, 16, 16, 3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (8, 10)
    """
    if not depths or len(depths) != len(widths):
        raise ValueError(
            "convnext takes one number of blocks and one of channels for each stage, got depths "
            f"{tuple(depths)} and widths {tuple(widths)}."
        )
    check_number(scale, "convnext: scale")
    rates = iter(np.linspace(0, drop_rate, sum(depths)).tolist())

    def block(width):
        body = serial(
            depthwise_conv(kernel_size),
            layer_norm(epsilon=1e-6),
            dense(4 * width),
            jax.nn.gelu,
            dense(width),
            layer_scale(scale),
            drop_path(next(rates)),
        )
        return residual(body)

    parts: dict[str, Any] = {}
    for i, (n, width) in enumerate(zip(depths, widths, strict=True)):
        core.check_int(n, "convnext: blocks of a stage")
        if i == 0:
            downsample = conv(width, patch, stride=patch, padding="VALID")
            begin = [downsample, layer_norm(epsilon=1e-6)]
        else:
            downsample = conv(width, 2, stride=2, padding="VALID")
            begin = [layer_norm(epsilon=1e-6), downsample]
        parts[f"stage{i + 1}"] = serial(*begin, *(block(width) for _ in range(n)))
    if classes is not None:
        parts |= {"pool": global_avg_pool(), "norm": layer_norm(epsilon=1e-6)}
        parts["head"] = dense(classes)
    return serial(**parts)


def layer_scale(start: float = 1e-6) -> Layer:
    """A learned factor for each channel: y = scale x, with scale [channels] initially `start`.

    (Touvron et al., Going deeper with image transformers, 2021.)
    """

    def init(key, x):
        shape = core.check_features(x, "layer_scale").shape[-1:]
        return {"scale": jnp.full(shape, start, core.param_dtype(x))}, ()

    def apply(params, state, x, *, key=None, train=False):
        (scale,) = core.unpack_params(params, x, "layer_scale", "scale")
        return x * scale.reshape((1,) * (x.ndim - 1) + (-1,)), ()

    return Layer(init, apply)
