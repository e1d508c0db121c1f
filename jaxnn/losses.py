"""Losses and metrics that optax lacks. Those of one family stand in its own files."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxnn.core import Tree, describe


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


def mean_over_rows(
    measure: Callable, prediction: Tree, target: Tree, title: str = "loss"
) -> jax.Array:
    """The mean of a loss or metric: of one number, of one a row, or of one a position of a row.

    Raises:
      TypeError: for a measure that returns something else than an array.
      ValueError: for any other shape, since such an array comes of broadcasting by mistake.
    """
    value = measure(prediction, target)
    if not hasattr(value, "dtype") and not isinstance(value, int | float):
        raise TypeError(
            f"{title} must return an array, got {type(value).__name__}: return one number a row."
        )
    shape = jnp.shape(value)
    # Positions are all axes but that of features: [batch], [batch, time], [batch, height, width].
    held = [jnp.shape(leaf) for leaf in jax.tree.leaves((prediction, target))]
    if shape and not any(shape == of[: len(shape)] and _is_rows(shape, of) for of in held):
        raise ValueError(
            f"{title} must be one number or one a row, got {describe(value)} for predictions "
            f"{describe(prediction)} and targets {describe(target)}: make their shapes equal, or "
            "take the mean over the other axes, lambda prediction, target: "
            "loss(prediction, target).mean(axis=-1)."
        )
    return jnp.mean(value)


def _is_rows(shape: tuple, of: tuple) -> bool:
    return len(shape) < len(of) or len(shape) == 1
