"""Pictures drawn from the one capsule that says what there is: a regulariser, and a look inside."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.nets.capsule.vector import capsule_lengths, checked, present
from jaxnn.nets.mlp import mlp
from jaxnn.printing import factory


def mask_capsules(x: Any) -> jax.Array:
    """Capsules with all but one of each row made zero: that of its label, or else the longest.

    Args:
      x: [batch, classes, dimension], or a pair of these and labels, integers [batch]; a label
        outside of the classes leaves a row of zeros.

    Raises:
      TypeError, ValueError: for what is no capsules, or not one integer label a row.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.array([[[1.0], [2.0]]])
    >>> nn.capsule.mask_capsules(x).ravel().tolist(), nn.capsule.mask_capsules((x,
    ...     jnp.array([0]))).ravel().tolist()
    ([0.0, 2.0], [1.0, 0.0])
    """
    x, *given = x if isinstance(x, tuple | list) else (x,)
    lengths = capsule_lengths(checked(x, "mask_capsules"))
    labels = given[0] if given else jnp.argmax(lengths, axis=-1)
    return x * present(lengths, labels, "mask_capsules")[..., None]


@factory
def capsule_decoder(shape: tuple[int, ...], widths: tuple[int, ...] = (512, 1024)) -> Layer:
    """Pictures drawn from one capsule of each row: y = sigmoid(mlp(mask_capsules(x))).

    Args:
      shape: of a picture, such as (28, 28, 1); its pixels are in [0, 1].
      widths: of the hidden layers, with rectifiers.
      x, its input: as for `mask_capsules`: capsules [batch, classes, dimension], or a pair of them
        and labels [batch], by which it is trained; gives y [batch, *shape].

    Raises:
      TypeError, ValueError: as `mask_capsules` does; for sizes less than 1.

    (Sabour, Frosst and Hinton, 2017, section 4.1.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.capsule.capsule_decoder((28, 28, 1)), jax.ShapeDtypeStruct((4, 10, 16),
    ...     "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 28, 28, 1)
    """
    shape = tuple(core.check_int(size, "capsule_decoder: shape") for size in shape)

    def flat(x):
        x = mask_capsules(x)
        return x.reshape(x.shape[0], x.shape[1] * x.shape[2])

    def picture(x):
        return jax.nn.sigmoid(x).reshape(x.shape[0], *shape)

    return serial(flat, mlp(*widths, math.prod(shape)), picture)
