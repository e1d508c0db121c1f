"""Reconstruction of images from one capsule: a regularizer, and a view of what it has learned."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.nets.capsule.length import capsule_lengths, check_capsules
from jaxnn.nets.capsule.losses import one_hot_labels
from jaxnn.nets.mlp import mlp
from jaxnn.printing import factory


def mask_capsules(x: Any) -> jax.Array:
    """Set all capsules of each row to zero except that of its label, or else the longest one.

    Args:
      x: capsules, floats [batch, classes, dimension], or a pair (capsules, labels) with labels
        integers [batch]; a row whose label is outside of the classes becomes zero.

    Returns:
      [batch, classes, dimension] of the dtype of the capsules.

    Raises:
      TypeError: if the capsules are not floating point.
      ValueError: if the capsules do not have three axes, or labels is not one integer per row.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017, section 4.1.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.array([[[1.0], [2.0]]])
    >>> nn.capsule.mask_capsules(x).ravel().tolist()
    [0.0, 2.0]
    >>> nn.capsule.mask_capsules((x, jnp.array([0]))).ravel().tolist()
    [1.0, 0.0]
    """
    x, *labels = x if isinstance(x, tuple | list) else (x,)
    lengths = capsule_lengths(check_capsules(x, "mask_capsules"))
    chosen = labels[0] if labels else jnp.argmax(lengths, axis=-1)
    return x * one_hot_labels(lengths, chosen, "mask_capsules")[..., None]


@factory
def capsule_decoder(shape: tuple[int, ...], widths: tuple[int, ...] = (512, 1024)) -> Layer:
    """Reconstruct an image from one capsule of each row: y = sigmoid(mlp(mask_capsules(x))).

    It is trained on pairs (capsules, labels), which choose the capsule of the label.

    Args:
      shape: the shape of an image, such as (28, 28, 1).
      widths: the widths of the hidden layers, each followed by a relu.

    Returns:
      A layer from x, capsules [batch, classes, dimension] or a pair of these and labels [batch], to
      y [batch, *shape] of the dtype of the capsules, with pixels from 0 to 1.

    Raises:
      TypeError: if the capsules are not floating point.
      ValueError: if a size is less than 1, the capsules do not have three axes, or labels is not
        one integer per row.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017, section 4.1.)

    >>> import jax, jaxnn as nn
    >>> net = nn.capsule.capsule_decoder((28, 28, 1))
    >>> x = jax.ShapeDtypeStruct((4, 10, 16), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 28, 28, 1)
    """
    shape = tuple(core.check_int(size, "capsule_decoder: shape") for size in shape)

    def masked(x):
        x = mask_capsules(x)
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2])

    def image(x):
        return jax.nn.sigmoid(x).reshape(x.shape[0], *shape)

    return serial(masked, mlp(*widths, math.prod(shape)), image)
