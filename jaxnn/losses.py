"""Losses and metrics that optax lacks; the losses of one family are in its folder."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.checks import check_labels
from jaxnn.core import Tree, at_least_float32, describe, floating


def mse(prediction: Any, target: Any) -> jax.Array:
    """Mean squared error over all elements: 1/n sum (prediction - target)^2.

    With one output a sample it is the textbook's 1/m sum over m samples.

    Args:
      prediction: numbers [...].
      target: numbers of the same shape.

    Returns:
      A scalar, float32 at least.

    Raises:
      TypeError: if an argument is not an array.
      ValueError: if the shapes differ: [n] against [n, 1] would be broadcast to [n, n].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mse(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0]))
    Array(2., dtype=float32)
    """
    for each in (prediction, target):
        _only_array(each, "mse")
    if jnp.shape(prediction) != jnp.shape(target):
        raise ValueError(
            f"mse takes predictions and targets of one shape, got {describe(prediction)} against "
            f"{describe(target)}: reshape the targets to {list(jnp.shape(prediction))}."
        )
    error = jnp.subtract(_floats(prediction, "mse"), _floats(target, "mse"))
    return jnp.mean(jnp.square(error))


def _is_array(x: Any) -> bool:
    """Whether x is one array or number."""
    return hasattr(x, "dtype") or isinstance(x, int | float)


def _only_array(x: Any, title: str) -> Any:
    """x, which must be an array; raises TypeError if it is not."""
    if not _is_array(x):
        raise TypeError(
            f"{title} takes arrays, got {type(x).__name__}: give the part of the output that it "
            f"measures, lambda prediction, target: {title}(prediction.output, target)."
        )
    return x


def _floats(x: Any, title: str) -> jax.Array:
    """x in float32 at least, since small integers would wrap and half precision overflow."""
    x = jnp.asarray(_only_array(x, title))
    return at_least_float32(x if floating(x) else x.astype(jnp.float32))


def accuracy(logits: Any, labels: Any, *, ignore: int | None = None) -> jax.Array:
    """The fraction of rows whose largest logit is that of the label: mean(argmax(logits) = labels).

    Args:
      logits: [..., classes], with at least two classes.
      labels: integers [...] from 0 to classes - 1. Under `jax.jit`, where values cannot be checked,
        any other label counts as wrong.
      ignore: a label whose rows are left out, such as -100.

    Returns:
      A scalar float32; NaN if no row counts.

    Raises:
      TypeError: if the logits are not an array.
      ValueError: if there is not one integer label a row, if a label is out of range, or if there
        is one logit a row, which would always be the largest.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.accuracy(jnp.array([[0.1, 0.9], [0.8, 0.2]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """
    if not _is_array(logits):
        raise TypeError(
            f"accuracy takes logits, got {type(logits).__name__}: give the part of the output that "
            "holds them, lambda prediction, labels: accuracy(prediction.output, labels)."
        )
    if jnp.shape(labels) != jnp.shape(logits)[:-1] or not jnp.issubdtype(
        jnp.result_type(labels), jnp.integer
    ):
        raise ValueError(
            f"accuracy takes one integer label a row, got {describe(labels)} for logits "
            f"{describe(logits)}: give labels {list(jnp.shape(logits)[:-1])} of class indices."
        )
    classes = jnp.shape(logits)[-1]
    if classes < 2:
        raise ValueError(
            "accuracy takes logits of two classes or more, got one: for one logit a row give "
            "jnp.stack([jnp.zeros_like(logit), logit], axis=-1)."
        )
    check_labels(
        labels if hasattr(labels, "dtype") else jnp.asarray(labels), classes, "accuracy", ignore
    )
    right = jnp.argmax(logits, axis=-1) == labels
    right &= ~jnp.isnan(logits).any(axis=-1)  # NaN is the largest to argmax
    counted = None if ignore is None else jnp.asarray(labels) != ignore
    return jnp.mean(right, dtype=jnp.float32, where=counted)


def ignore_label(loss: Callable, label: int = -100) -> Callable:
    """The mean of a loss over the positions whose label is not `label`, which marks padding.

    sum of loss(logits_i, labels_i) over labels_i != label, divided by their number; 0 if there are
    none.

    Args:
      loss: (logits [..., classes], labels [...]) -> one number a position, such as
        `optax.softmax_cross_entropy_with_integer_labels`.
      label: an integer that is not a class.

    Returns:
      A function (logits, labels) -> scalar.

    Raises:
      TypeError: if the loss is not a function or the label not an integer.
      ValueError: if the loss does not return one number a position.

    >>> import jax.numpy as jnp, jaxnn as nn, optax
    >>> loss = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels, -1)
    >>> loss(jnp.zeros((3, 2)), jnp.array([0, -1, 1])).round(3)
    Array(0.693, dtype=float32)
    """
    if not callable(loss):
        raise TypeError(f"ignore_label takes a loss, a function, got {type(loss).__name__}.")
    if isinstance(label, bool) or not isinstance(label, int):
        raise TypeError(f"ignore_label: label must be an integer, got {label!r}.")

    def counted(logits, labels):
        valid = labels != label
        if jnp.ndim(logits) == jnp.ndim(labels) + 1:
            check_labels(labels, logits.shape[-1], "ignore_label", label)
        # Zeros in the place of what is left out: its infinities would have NaN as gradient.
        wide = valid.reshape(*valid.shape, *(1,) * (jnp.ndim(logits) - valid.ndim))
        values = loss(jnp.where(wide, logits, 0), jnp.where(valid, labels, 0))
        if jnp.shape(values) != jnp.shape(labels):
            raise ValueError(
                f"ignore_label takes a loss of one number a position, got {describe(values)} for "
                f"labels {describe(labels)}."
            )
        total = at_least_float32(jnp.where(valid, values, 0)).sum()
        return total / jnp.maximum(valid.sum(), 1).astype(total.dtype)

    return counted


def mean_over_rows(
    measure: Callable, prediction: Tree, target: Tree, title: str = "loss"
) -> jax.Array:
    """The mean of a loss or metric that returns one number, one a row, or one a position of a row.

    Raises:
      TypeError: if the measure does not return an array.
      ValueError: if it returns any other shape, which arises from broadcasting by mistake.
    """
    if _is_array(prediction) and _is_array(target):
        rows = [jnp.shape(each)[:1] for each in (prediction, target)]
        if rows[0] != rows[1]:
            raise ValueError(
                f"{title} takes as many targets as predictions, got {describe(target)} for "
                f"{describe(prediction)}."
            )
    try:
        value = measure(prediction, target)
    except (TypeError, AttributeError, DeprecationWarning) as error:
        if _is_array(prediction):
            raise
        raise TypeError(
            f"{title} could not take {type(prediction).__name__}, the output of the net: give the "
            "part that it measures, lambda prediction, target: loss(prediction.output, target)."
        ) from error
    if not hasattr(value, "dtype") and not isinstance(value, int | float):
        raise TypeError(
            f"{title} must return an array, got {type(value).__name__}: return one number a row."
        )
    shape = jnp.shape(value)
    # Positions are all axes but that of features: [batch], [batch, time], [batch, height, width].
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves((prediction, target))]
    if shape[1:] == (1,) and set(shapes) == {shape}:
        shape = shape[:1]  # one output a row
    if shape and not any(shape == of[: len(shape)] and _is_rows(shape, of) for of in shapes):
        raise ValueError(
            f"{title} must be one number or one a row, got {describe(value)} for predictions "
            f"{describe(prediction)} and targets {describe(target)}: make their shapes equal, or "
            "take the mean over the other axes, lambda prediction, target: "
            "loss(prediction, target).mean(axis=-1)."
        )
    return jnp.mean(value)


def _is_rows(shape: tuple, of: tuple) -> bool:
    return len(shape) < len(of) or len(shape) == 1
