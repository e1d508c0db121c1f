"""Losses and metrics that optax lacks; each is a mean over rows, so that rows can be weighed."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxnn.core import describe


def mse(prediction: ArrayLike, target: ArrayLike) -> jax.Array:
    """Mean squared error over all elements: 1/n sum (prediction - target)^2.

    With one output a sample it is the textbook's 1/m sum over m samples.

    Raises:
      ValueError: where the shapes differ: [n] against [n, 1] would broadcast to [n, n].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mse(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
    Array(2., dtype=float32)
    """
    if jnp.shape(prediction) != jnp.shape(target):
        raise ValueError(
            f"mse takes predictions and targets of one shape, got {describe(prediction)} against "
            f"{describe(target)}: reshape the targets to {list(jnp.shape(prediction))}."
        )
    return jnp.mean(jnp.square(jnp.subtract(prediction, target)))


def accuracy(logits: ArrayLike, labels: ArrayLike) -> jax.Array:
    """The share of rows whose largest logit is the label's: mean(argmax(logits) = labels).

    Args:
      logits: [..., classes].
      labels: integers [...].

    Raises:
      ValueError: where there is not one integer label a row.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.accuracy(jnp.array([[0.1, 0.9], [0.8, 0.2]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """
    if jnp.shape(labels) != jnp.shape(logits)[:-1] or not jnp.issubdtype(
        jnp.result_type(labels), jnp.integer
    ):
        raise ValueError(
            f"accuracy takes one integer label a row, got {describe(labels)} for logits "
            f"{describe(logits)}: give labels {list(jnp.shape(logits)[:-1])} of class indices."
        )
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels, dtype=jnp.float32)
