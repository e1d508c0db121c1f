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
    """Dense layers of these widths, an activation after each but the last.

    y = w_n a(... a(w_1 x + b_1) ...) + b_n

    Args:
      *widths: outputs of each layer; x [..., features] gives y [..., widths[-1]].
      activation: any function of arrays; `jax.nn.relu` by default.
      w_init: initialiser of the weights, by default He normal, which keeps the variance through
        rectifiers (He et al., Delving deep into rectifiers, 2015).

    Raises:
      ValueError: for no widths at all.

    >>> import jax, jaxnn as nn
    >>> net = nn.mlp(16, 16, 1)
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> net(params, jax.numpy.ones((4, 3))).shape
    (4, 1)
    """
    if not widths:
        raise ValueError("mlp takes the width of each layer, mlp(64, 10); got none.")
    layers = []
    for width in widths:
        layers += [dense(width, w_init=w_init), activation]
    return serial(*layers[:-1])
