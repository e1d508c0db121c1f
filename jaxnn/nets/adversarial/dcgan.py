"""Nets of adversarial networks: a generator draws pictures, a discriminator says which are real.

`jaxnn.gan` has their losses and the step that trains both. A class rides in x: a net that is told
one takes (x, labels), where another takes x.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial, wire
from jaxnn.layers.convolution.conv import conv, conv_transpose
from jaxnn.layers.convolution.reshape import flatten
from jaxnn.layers.dense import dense
from jaxnn.layers.norm import batch_norm
from jaxnn.printing import factory

HE = jax.nn.initializers.he_normal()  # unlike the paper's 0.02, it does not lean on the norms
UNIT = jax.nn.initializers.normal(1.0)


@factory
def dcgan_generator(
    size: int | Sequence[int],
    channels: int = 1,
    *,
    width: int = 64,
    depth: int = 2,
    norm: Callable[[], Layer] | None = batch_norm,
    output: Callable = jnp.tanh,
) -> Layer:
    """Pictures from noise: a dense layer, then transposed convolutions, each of twice the size.

    z -> [size / 2^depth, width 2^(depth - 1)] -> ... -> [size / 2, width] -> [size, channels]

    Args:
      size: pixels of a side, or (height, width), a multiple of 2^depth.
      channels: of a picture; z [rows, latent] gives [rows, height, width, channels].
      width: channels before the last layer; each layer before that has twice as many.
      depth: transposed convolutions, of kernel 4 and stride 2: 2 for 28 pixels, 4 for 64.
      norm: makes the norm after each layer but the last; None for none.
      output: the last activation: `jnp.tanh` for pictures in [-1, 1], `jax.nn.sigmoid` for [0, 1].

    Raises:
      TypeError: for noise that is no floats.
      ValueError: for a size that is no multiple of 2^depth; for noise of another rank, or none.

    (Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional
    generative adversarial networks, 2016.)

    >>> import jax, jaxnn as nn
    >>> net, z = nn.gan.dcgan_generator(28, width=8), jax.numpy.ones((4, 16))
    >>> params, state = net.init(jax.random.key(0), z)
    >>> net.apply(params, state, z)[0].shape
    (4, 28, 28, 1)
    """
    title = "dcgan_generator"
    width, depth = (
        core.check_int(width, f"{title}: width"),
        core.check_int(depth, f"{title}: depth"),
    )
    sides = size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"{title}: size is a number or (height, width), got {size!r}.")
    sides = [core.check_int(side, f"{title}: size") for side in sides]
    if any(side % 2**depth for side in sides):
        raise ValueError(
            f"{title}: a depth of {depth} doubles a size {depth} times and needs a multiple of "
            f"{2**depth}, got {size!r}: change the depth, or crop the pictures."
        )
    first = (*(side // 2**depth for side in sides), width * 2 ** (depth - 1))

    def noise(z):
        if core.check_features(z, title).ndim != 2 or not z.shape[-1]:
            raise ValueError(
                f"{title} takes noise [rows, latent] of at least one number a row, got "
                f"{core.describe(z)}."
            )
        return z

    layers = [noise, dense(math.prod(first), bias=norm is None, w_init=HE)]
    layers += [lambda h: h.reshape(h.shape[0], *first), *_ended(norm, jax.nn.relu)]
    for i in reversed(range(1, depth)):
        layers += [conv_transpose(width * 2 ** (i - 1), 4, stride=2, bias=norm is None, w_init=HE)]
        layers += _ended(norm, jax.nn.relu)
    return serial(*layers, conv_transpose(channels, 4, stride=2), output)


@factory
def dcgan_features(
    *, width: int = 64, depth: int = 2, norm: Callable[[], Layer] | None = None
) -> Layer:
    """What a discriminator sees: convolutions of stride 2, each with twice the channels, flattened.

    Args:
      width: channels of the first; x [rows, height, width, channels] gives [rows, features].
      depth: convolutions, of kernel 4, with leaky rectifiers of slope 0.2.
      norm: makes the norm after each but the first, `nn.batch_norm` in the paper; by default there
        is none, since gradient penalties need rows that do not see each other.

    Raises:
      TypeError: for pictures that are no floats, with the scale for bytes.
      ValueError: for an input that is no picture, or of other channels than at init.

    (Radford, Metz and Chintala, 2016, as in `dcgan_generator`.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.gan.dcgan_features(width=8), jax.numpy.ones((4, 28, 28, 1))
    >>> net(net.init(jax.random.key(0), x)[0], x).shape
    (4, 784)
    """
    title = "dcgan_features"
    width, depth = (
        core.check_int(width, f"{title}: width"),
        core.check_int(depth, f"{title}: depth"),
    )
    layers = []
    for i in range(depth):
        each = norm if i else None
        layers += [conv(width * 2**i, 4, stride=2, bias=each is None, w_init=HE)]
        layers += _ended(each, _leaky)
    return serial(*layers, flatten())


@factory
def dcgan_discriminator(
    *, width: int = 64, depth: int = 2, norm: Callable[[], Layer] | None = None
) -> Layer:
    """How real a picture is, as a logit: `dcgan_features` and a dense layer.

    `nn.spectral_norm(nn.gan.dcgan_discriminator())` bounds how steep it is.

    Args:
      width, depth, norm: as in `dcgan_features`; x [rows, height, width, channels] gives [rows, 1].

    Raises:
      TypeError, ValueError: as `dcgan_features` does.

    (Radford, Metz and Chintala, 2016, as in `dcgan_generator`.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.gan.dcgan_discriminator(width=8), jax.numpy.ones((4, 28, 28, 1))
    >>> net(net.init(jax.random.key(0), x)[0], x).shape
    (4, 1)
    """
    return serial(dcgan_features(width=width, depth=depth, norm=norm), dense(1))


@factory
def class_conditional(net: Any, classes: int, *, width: int | None = None) -> Layer:
    """A net that is told a class: (x, labels) -> net([x, c(labels)]), c beside the features of x.

    It serves for a generator, whose noise [rows, latent] it makes longer, and for a discriminator,
    whose pictures [rows, height, width, channels] it gives channels of one value each.

    Args:
      net: a layer.
      classes: how many there are; labels are integers [rows]. A class outside [0, classes) gives
        NaN: the loss is then NaN, which `training.fit` stops at.
      width: of a learned vector for each class; without it c is one-hot, of `classes` numbers.

    Raises:
      TypeError: for labels that are no integers.
      ValueError: for x that is no pair, or as many labels as rows there are not.

    (Mirza and Osindero, Conditional generative adversarial nets, 2014.)

    >>> import jax, jaxnn as nn
    >>> net = nn.gan.class_conditional(nn.mlp(8, 2), 10)
    >>> x = jax.numpy.ones((4, 3)), jax.numpy.array([0, 1, 2, 9])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["net"][0]["w"].shape, net(params, x).shape
    ((13, 8), (4, 2))
    """
    classes = core.check_int(classes, "conditional: classes")
    embed = dense(width, bias=False, w_init=UNIT) if width is not None else jax.nn.identity

    def flow(f, x):
        x, hot = _told(x, classes, "conditional")
        c = f.embed(hot)
        c = jnp.expand_dims(c, range(1, x.ndim - 1))
        c = jnp.broadcast_to(c, (*x.shape[:-1], c.shape[-1]))
        return f.net(jnp.concatenate([x, c], axis=-1))

    return wire(flow, embed=embed, net=net)


@factory
def projection_discriminator(features: Any, classes: int) -> Layer:
    """A discriminator that is told a class: how well the features agree with a vector of the class.

    (x, labels) -> w . f(x) + b + v[labels] . f(x)

    Args:
      features: a layer to [rows, features], such as `dcgan_features()`; logits are [rows, 1].
      classes: as in `conditional`, those outside the range too.

    Raises:
      TypeError, ValueError: as `conditional` does; for features of another rank.

    (Miyato and Koyama, cGANs with projection discriminator, 2018.)

    >>> import jax, jaxnn as nn
    >>> net = nn.gan.projection_discriminator(nn.gan.dcgan_features(width=8), 10)
    >>> x = jax.numpy.ones((4, 28, 28, 1)), jax.numpy.array([0, 1, 2, 9])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 1)
    """
    title = "projection_discriminator"
    classes = core.check_int(classes, f"{title}: classes")

    def flow(f, x):
        x, hot = _told(x, classes, title)
        h = f.features(x)
        if h.ndim != 2:
            raise ValueError(f"{title} takes features [rows, features], got {core.describe(h)}.")
        return f.logit(h) + jnp.sum(f.classes(h) * hot, axis=-1, keepdims=True)

    return wire(flow, features=features, logit=dense(1), classes=dense(classes, bias=False))


def _told(x: Any, classes: int, title: str) -> tuple[jax.Array, jax.Array]:
    """(x, one-hot labels) of the pair x, with NaN for a class that there is not."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ValueError(f"{title} takes (x, labels), got {core.describe(x)}: give it a pair.")
    x, labels = x
    core.check_features(x, title)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{title} takes labels that are integers, got {core.describe(labels)}: cast them with "
            "labels.astype(jnp.int32)."
        )
    if labels.shape != x.shape[:1]:
        raise ValueError(
            f"{title} takes a label for each row of {core.describe(x)}, got "
            f"{core.describe(labels)}: make them [{x.shape[0]}]."
        )
    inside = (labels >= 0) & (labels < classes)
    return x, jnp.where(inside[:, None], jax.nn.one_hot(labels, classes, dtype=x.dtype), jnp.nan)


def _ended(norm: Callable[[], Layer] | None, activation: Callable) -> list:
    return [activation] if norm is None else [norm(), activation]


def _leaky(x: jax.Array) -> jax.Array:
    return jax.nn.leaky_relu(x, 0.2)
