"""A network of radial basis functions: found in closed form, then tuned by gradient descent."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options

METRIC = "centre"  # a width for each center
NEIGHBORS = 5  # centers whose distances give a center its width


class Task(NamedTuple):
    """The network of a task, and how it is tuned.

    centers: how many there are.
    outputs: how many there are.
    penalty: of the ridge regression in closed form.
    overlap: the width of all functions over the mean distance of neighboring centers.
    rate: the learning rate at the start.
    """

    centers: int
    outputs: int
    penalty: float
    overlap: float
    rate: float
    batch: int
    steps: int
    quick_steps: int

    def hidden(self) -> nn.Layer:
        """Its radial basis functions."""
        return nn.rbf.rbf_layer(self.centers, metric=METRIC)

    def net(self) -> nn.Layer:
        """The whole network."""
        return nn.rbf.rbf_net(self.centers, self.outputs, metric=METRIC)

    def length(self, options: Options) -> int:
        """The number of update steps."""
        return self.quick_steps if options.quick else self.steps


def closed_form(
    task: Task, x: np.ndarray, y: np.ndarray, key: jax.Array, width: float | None = None
) -> dict:
    """The params of a network whose centers and output are found without a gradient."""
    rows = jnp.asarray(x)
    centers = nn.rbf.kmeans(key, rows, task.centers).centres
    usual = nn.rbf.rbf_widths(centers, neighbours=NEIGHBORS).mean() * task.overlap
    log_width = jnp.log(usual if width is None else width)
    hidden = {"centres": centers, "log_width": jnp.full(task.centers, log_width)}
    features = jax.jit(task.hidden())(hidden, rows)
    return {"rbf": hidden, "head": nn.rbf.ridge(features, jnp.asarray(y), task.penalty)}


class Descent(NamedTuple):
    """The optimizer of a task and its update step."""

    step: Callable
    optimizer: optax.GradientTransformation


def descent(task: Task, loss: Callable, options: Options) -> Descent:
    optimizer = optax.adam(optax.cosine_decay_schedule(task.rate, task.length(options)))
    return Descent(nn.training.step(loss, optimizer), optimizer)


def squared_error(task: Task) -> Callable:
    """The loss of a task with targets [rows, outputs]."""
    return nn.training.supervised(task.net(), nn.mse)


def tuned(
    task: Task, descent: Descent, params: Any, rows: tuple, options: Options, every: int = 0
) -> nn.training.FitResult:
    """The run of gradient descent from the given params on rows (x, y)."""
    step, optimizer = descent
    steps = task.length(options)
    key = jax.random.key(options.seed)
    train = nn.training.TrainState(params, (), optimizer.init(params), jnp.int32(0), key)
    return nn.training.fit(
        step,
        train,
        rows,
        steps=steps,
        batch_size=min(task.batch, len(rows[0])),
        every=min(every or steps, steps),
        progress=False,
    )
