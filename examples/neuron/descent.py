"""Gradient descent of one neuron, with every step kept."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn

Params = dict[str, Any]  # w and b, of one neuron or, stacked, of each step along a path


def descent(activation: Callable, rate: float) -> tuple[Callable, Callable]:
    """A neuron's loss and its step of gradient descent, (params, batch) -> (params, metrics)."""

    def loss(params, batch):
        x, target = batch
        return nn.mse(nn.neuron(params, x, activation), target)

    def step(params, batch):
        value, gradient = jax.value_and_grad(loss)(params, batch)
        return jax.tree.map(lambda p, g: p - rate * g, params, gradient), {"loss": value}

    return loss, step


line_loss, line_step = descent(nn.identity, rate=0.03)
boundary_loss, boundary_step = descent(jax.nn.sigmoid, rate=1.0)


class Path(NamedTuple):
    """The params before every step and after the last one, and the loss before every step."""

    params: Params
    losses: np.ndarray

    @property
    def end(self) -> Params:
        """The params after the last step."""
        return {name: values[-1] for name, values in self.params.items()}


def walk(step: Callable, params: Params, batch: tuple, steps: int) -> Path:
    """Descend from the given params."""
    return Path(*jax.device_get(_walk(step, params, batch, steps)))


@partial(jax.jit, static_argnums=(0, 3))
def _walk(step: Callable, params, batch, steps: int):
    def body(params, _):
        after, metrics = step(params, batch)
        return after, (params, metrics["loss"])

    end, (path, losses) = jax.lax.scan(body, params, None, length=steps)
    path = jax.tree.map(lambda way, last: jnp.concatenate([way, last[None]]), path, end)
    return path, losses
