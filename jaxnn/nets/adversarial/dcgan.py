"""A convolutional generator and discriminator (DCGAN).

`jaxnn.gan` has their losses and the step that trains both. For nets that depend on a class, see
`jaxnn.nets.adversarial.conditional`.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution.conv import conv, conv_transpose
from jaxnn.layers.convolution.reshape import flatten
from jaxnn.layers.dense import dense
from jaxnn.layers.norm import batch_norm
from jaxnn.printing import factory

HE = jax.nn.initializers.he_normal()  # unlike the paper's stddev of 0.02, it works without norms


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
    """Images from noise: a dense layer, then transposed convolutions that each double the size.

    z -> [size / 2^depth, width 2^(depth - 1)] -> ... -> [size / 2, width] -> [size, channels]

    Args:
      size: the side of the image in pixels, or (height, width), each a multiple of 2^depth.
      channels: the channels of the image.
      width: the channels before the last layer; each layer before that has twice as many.
      depth: the number of transposed convolutions, of kernel 4 and stride 2: for example 2 for 28
        pixels, 4 for 64.
      norm: a function that makes the norm after each layer but the last; None for no norm.
      output: the last activation: `jnp.tanh` for images in [-1, 1], `jax.nn.sigmoid` for [0, 1].

    Returns:
      A layer from noise z [rows, latent] to images [rows, height, width, channels] of z's dtype.

    Raises:
      TypeError: at init, if the noise is not floating point.
      ValueError: if the size is not a multiple of 2^depth, or if another number is out of range; at
        init, if the noise is not [rows, latent] with at least one feature.

    (Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional
    generative adversarial networks, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, z = nn.gan.dcgan_generator(28, width=8), jnp.ones((4, 16))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), z)
    >>> jax.eval_shape(net.apply, params, state, z)[0].shape
    (4, 28, 28, 1)
    """
    title = "dcgan_generator"
    width = core.check_int(width, f"{title}: width")
    depth = core.check_int(depth, f"{title}: depth")
    sides = size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"{title}: size is a number or (height, width), got {size!r}.")
    sides = [core.check_int(side, f"{title}: size") for side in sides]
    if any(side % 2**depth for side in sides):
        raise ValueError(
            f"{title}: a depth of {depth} doubles a size {depth} times and needs a multiple of "
            f"{2**depth}, got {size!r}: change the depth, or crop the images."
        )
    first = (*(side // 2**depth for side in sides), width * 2 ** (depth - 1))

    def check_noise(z):
        if core.check_features(z, title).ndim != 2 or not z.shape[-1]:
            raise ValueError(
                f"{title} takes noise [rows, latent] with at least one feature, got "
                f"{core.describe(z)}."
            )
        return z

    layers = [check_noise, dense(math.prod(first), bias=norm is None, w_init=HE)]
    layers += [lambda h: h.reshape(h.shape[0], *first), *_norm_activation(norm, jax.nn.relu)]
    for i in reversed(range(1, depth)):
        layers += [conv_transpose(width * 2 ** (i - 1), 4, stride=2, bias=norm is None, w_init=HE)]
        layers += _norm_activation(norm, jax.nn.relu)
    return serial(*layers, conv_transpose(channels, 4, stride=2), output)


@factory
def dcgan_features(
    *, width: int = 64, depth: int = 2, norm: Callable[[], Layer] | None = None
) -> Layer:
    """The features of a discriminator: convolutions of stride 2 that each double the channels.

    Args:
      width: the channels of the first convolution.
      depth: the number of convolutions, of kernel 4, each with a leaky ReLU of slope 0.2.
      norm: a function that makes the norm after each convolution but the first, `batch_norm` in the
        paper; None for no norm, since gradient penalties need rows that do not affect each other.

    Returns:
      A layer from images [rows, height, width, channels] to flat features [rows, features] of their
      dtype.

    Raises:
      TypeError: at init, if the images are not floating point; for bytes the error names the scale.
      ValueError: if width or depth is less than 1; if the input is not an image, or has other
        channels than at init.

    (Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional
    generative adversarial networks, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.gan.dcgan_features(width=8), jnp.ones((4, 28, 28, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 784)
    """
    title = "dcgan_features"
    width = core.check_int(width, f"{title}: width")
    depth = core.check_int(depth, f"{title}: depth")
    layers = []
    for i in range(depth):
        layer_norm = norm if i else None
        layers += [conv(width * 2**i, 4, stride=2, bias=layer_norm is None, w_init=HE)]
        layers += _norm_activation(layer_norm, _leaky_relu)
    return serial(*layers, flatten())


@factory
def dcgan_discriminator(
    *, width: int = 64, depth: int = 2, norm: Callable[[], Layer] | None = None
) -> Layer:
    """A discriminator of images: `dcgan_features` followed by a dense layer to one logit.

    `nn.spectral_norm(nn.gan.dcgan_discriminator())` bounds its slope.

    Args:
      width: the channels of the first convolution.
      depth: the number of convolutions, of kernel 4, each with a leaky ReLU of slope 0.2.
      norm: a function that makes the norm after each convolution but the first, `batch_norm` in the
        paper; None for no norm, since gradient penalties need rows that do not affect each other.

    Returns:
      A layer from images [rows, height, width, channels] to logits [rows, 1] of their dtype, which
      are large for images that look real.

    Raises:
      TypeError: at init, if the images are not floating point; for bytes the error names the scale.
      ValueError: if width or depth is less than 1; if the input is not an image, or has other
        channels than at init.

    (Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional
    generative adversarial networks, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.gan.dcgan_discriminator(width=8), jnp.ones((4, 28, 28, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 1)
    """
    return serial(dcgan_features(width=width, depth=depth, norm=norm), dense(1))


def _norm_activation(norm: Callable[[], Layer] | None, activation: Callable) -> list:
    return [activation] if norm is None else [norm(), activation]


def _leaky_relu(x: jax.Array) -> jax.Array:
    return jax.nn.leaky_relu(x, 0.2)
