"""Checks of what a step is given: an optimizer, and what a loss returns."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import Tree, describe

RESERVED = {"loss", "skipped"}  # metrics that training itself adds


def checked_loss(made: Any) -> tuple[jax.Array, tuple[Tree, dict]]:
    """What a loss returned, which must be (scalar, (state, metrics)) with scalar metrics.

    Raises:
      TypeError: if it is not such a pair.
      ValueError: if the loss or a metric is not one number, or a metric has a name of `RESERVED`.
    """
    pair_ = isinstance(made, tuple) and len(made) == 2
    if not pair_ or not isinstance(made[1], tuple | list) or len(made[1]) != 2:
        raise TypeError(
            f"a loss returns (value, (state, metrics)), got {describe(made)[:200]}: return "
            "value, (state, {}) where there are no metrics."
        )
    value, (state, metrics) = made
    if jnp.shape(value):
        raise ValueError(f"a loss is one number, got {describe(value)}: take its mean.")
    if not isinstance(metrics, dict):
        raise ValueError(f"the metrics of a loss are a dict by name, got {type(metrics).__name__}.")
    for taken in RESERVED & metrics.keys():
        raise ValueError(
            f'the metrics of a loss have one named "{taken}", which training uses itself: give it '
            "another name."
        )
    for title, each in metrics.items():
        if jnp.shape(each):
            raise ValueError(
                f"the metric {title!r} is {describe(each)}: return one number, or use "
                "training.measure with a Metric, whose value may have any shape."
            )
    return value, (state, metrics)


def check_optimizer(optimizer: Any, title: str) -> None:
    """Raises TypeError unless it is an optimizer of optax's, with the call that makes one."""
    if not hasattr(optimizer, "init") or not hasattr(optimizer, "update"):
        wanted = "optax.adam(1e-3)" if not callable(optimizer) else f"{_title(optimizer)}(...)"
        raise TypeError(f"{title} takes an optimizer of optax's, got {optimizer!r}: give {wanted}.")


EXTRA = ("value", "grad", "value_fn", "obj_fn", "grad_fn")


def extra_arguments(optimizer: Any) -> tuple[str, ...]:
    """The extra arguments of a step that `optimizer.update` takes: those that it names, or all."""
    update = inspect.signature(optimizer.update).parameters
    if any(each.kind is each.VAR_KEYWORD for each in update.values()):
        return EXTRA
    return tuple(name for name in EXTRA if name in update)


def _title(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)
