"""Feedforward networks: dense layers with an activation between them."""

from collections.abc import Callable

import jax

from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.dense import dense
from jaxnn.printing import factory


@factory
def mlp(
    *widths: int,
    activation: Callable = jax.nn.relu,
    w_init: Callable = jax.nn.initializers.he_normal(),
) -> Layer:
    """A multilayer perceptron: dense layers with an activation after each but the last.

    y = w_n a(... a(w_1 x + b_1) ...) + b_n

    Args:
      *widths: the number of outputs of each dense layer.
      activation: a function of arrays.
      w_init: initializer of the weights, by default He normal, which keeps the variance through
        rectifiers (He et al., Delving deep into rectifiers, 2015).

    Returns:
      A layer from x [..., features] to y [..., widths[-1]] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there are no widths, or one is less than 1.

    (Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, 1986.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.mlp(16, 16, 1), jax.numpy.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 1)
    """
    if not widths:
        raise ValueError("mlp takes the width of each layer, mlp(64, 10); got none.")
    layers = []
    for width in widths:
        layers += [dense(width, w_init=w_init), activation]
    return serial(*layers[:-1])
