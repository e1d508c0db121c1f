"""Mirrored pairs of an encoder and a decoder: dense and convolutional."""

import math
from collections.abc import Callable
from typing import Any

import jax

from jaxnn import core
from jaxnn.checks import check_choice, check_function
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution.conv import conv, conv_transpose
from jaxnn.layers.convolution.reshape import flatten
from jaxnn.layers.dense import dense
from jaxnn.nets.mlp import mlp


def dense_coder(
    shape: int | tuple[int, ...], code: int, *widths: int, activation: Callable = jax.nn.relu
) -> tuple[Layer, Layer]:
    """An encoder of dense layers and the mirrored decoder.

    Args:
      shape: the shape of one row: the number of features, or (height, width, channels).
      code: the width of the code; for `variational`, twice the number of latents.
      *widths: the widths of the encoder's hidden layers; the decoder has them in reverse.
      activation: a function applied after each hidden layer.

    Returns:
      (encoder, decoder): a layer from x [batch, *shape] to a code [batch, code], and a layer back
      to [batch, *shape], both of x's dtype.

    Raises:
      ValueError: if a width, the code or a side is less than 1; at init, if the input has another
        shape.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> encoder, decoder = nn.autoencoder.dense_coder((8, 8, 1), 2, 16)
    >>> net = nn.autoencoder.plain_autoencoder(encoder, decoder)
    >>> x = jnp.ones((4, 8, 8, 1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 8, 8, 1)
    """
    title = "dense_coder"
    sides, widths = _check_shape(shape, title), _check_widths(widths, title)
    code = core.check_int(code, f"{title}: code")
    check_function(activation, f"{title}: activation")
    encoder = mlp(*widths, code, activation=activation)
    decoder = mlp(*widths[::-1], math.prod(sides), activation=activation)
    return (
        serial(_expect_rows(sides, title), flatten(), encoder),
        serial(decoder, lambda y: y.reshape(-1, *sides)),
    )


def conv_coder(
    shape: tuple[int, int, int],
    code: int,
    *widths: int,
    spatial: bool = False,
    activation: Callable = jax.nn.relu,
) -> tuple[Layer, Layer]:
    """An encoder of convolutions with stride 2 and the mirrored decoder of transposed convolutions.

    Each convolution halves the height and the width, rounded up; the decoder crops the excess.

    Args:
      shape: (height, width, channels) of an image.
      code: the width of the code; for `variational`, twice the number of latents.
      *widths: the channels after each convolution of the encoder; the decoder has them in reverse.
      spatial: whether the code is a map [batch, height / 2^n, width / 2^n, code] for n widths, as
        `vector_quantized` needs; otherwise a dense layer makes it [batch, code].
      activation: a function applied after each convolution.

    Returns:
      (encoder, decoder): a layer from x [batch, *shape] to the code, and a layer back to
      [batch, *shape], both of x's dtype.

    Raises:
      ValueError: if there are no widths, or if a width, the code or a side is less than 1; at init,
        if the input has another shape.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> encoder, decoder = nn.autoencoder.conv_coder((9, 8, 1), 2, 8)
    >>> net = nn.autoencoder.plain_autoencoder(encoder, decoder)
    >>> x = jnp.ones((4, 9, 8, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 9, 8, 1)
    """
    title = "conv_coder"
    sides, code = _check_shape(shape, title), core.check_int(code, f"{title}: code")
    check_choice(spatial, f"{title}: spatial", (False, True))
    check_function(activation, f"{title}: activation")
    if len(sides) != 3 or not widths:
        raise ValueError(
            f"{title} takes (height, width, channels) and the width of each convolution, got "
            f"{shape} and {widths}: use for example conv_coder((28, 28, 1), 32, 16, 32)."
        )
    widths = _check_widths(widths, title)
    height, width, channels = sides
    small = [-(-side // 2 ** len(widths)) for side in (height, width)]
    he = jax.nn.initializers.he_normal()
    down = [_expect_rows(sides, title)]
    for features in widths:
        down += [conv(features, 3, stride=2, w_init=he), activation]
    up = []
    for features in widths[-2::-1]:
        up += [conv_transpose(features, 4, stride=2, w_init=he), activation]
    up += [conv_transpose(channels, 4, stride=2), lambda y: y[:, :height, :width]]
    if spatial:
        return serial(*down, conv(code, 1)), serial(conv(widths[-1], 1, w_init=he), activation, *up)
    unflatten = [
        dense(math.prod(small) * widths[-1], w_init=he),
        activation,
        lambda y: y.reshape(-1, *small, widths[-1]),
    ]
    return serial(*down, flatten(), dense(code)), serial(*unflatten, *up)


def _check_shape(shape: Any, title: str) -> tuple[int, ...]:
    sides = shape if isinstance(shape, tuple | list) else (shape,)
    return tuple(core.check_int(side, f"{title}: shape") for side in sides)


def _check_widths(widths: tuple, title: str) -> tuple[int, ...]:
    return tuple(core.check_int(width, f"{title}: widths") for width in widths)


def _expect_rows(shape: tuple[int, ...], title: str) -> Callable:
    def unchanged(x):
        if core.check_features(x, title).shape[1:] != shape:
            raise ValueError(f"{title} takes rows of shape {list(shape)}, got {core.describe(x)}.")
        return x

    return unchanged
