"""LeNet, a small convolutional network for images."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.convolution.pool import avg_pool
from jaxnn.layers.convolution.reshape import flatten
from jaxnn.layers.dense import dense
from jaxnn.printing import factory


@factory
def lenet(
    classes: int,
    *,
    widths: Sequence[int] = (6, 16, 120, 84),
    activation: Callable = jnp.tanh,
    pool: Callable = avg_pool,
) -> Layer:
    """Two convolutions of 5 x 5, each followed by a pool of 2 x 2, and three dense layers.

    conv - a - pool - conv - a - pool - dense - a - dense - a - dense

    Args:
      classes: the number of classes.
      widths: the numbers of channels of the two convolutions, and the widths of the two dense
        layers before the last.
      activation: a function of arrays; newer nets use `jax.nn.relu`.
      pool: a function that makes a pooling layer from its size; newer nets use `nn.max_pool`.

    Returns:
      A layer from x [batch, height, width, channels] to logits [batch, classes] of x's dtype.
      Images are at least 12 x 12; the first convolution pads those of 28 x 28 to 32 x 32, the size
      in the paper.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there are not four widths, or the images are too small.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998: LeNet-5, but with
    every map of the second convolution connected to all maps of the first.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.lenet(10), jax.numpy.ones((8, 28, 28, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> nn.count_params(params)
    61706
    """
    if len(widths) != 4:
        raise ValueError(f"lenet takes four widths, conv, conv, dense, dense; got {widths!r}.")
    first, second, third, fourth = widths
    return serial(
        conv(first, 5),
        activation,
        pool(2),
        conv(second, 5, padding="VALID"),
        activation,
        pool(2),
        flatten(),
        dense(third),
        activation,
        dense(fourth),
        activation,
        dense(classes),
    )
