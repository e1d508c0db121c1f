"""The run of the example: learn the line and the boundary."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.neuron.descent import (
    Params,
    Path,
    boundary_loss,
    boundary_step,
    line_loss,
    line_step,
    walk,
)
from examples.neuron.figures import draw_boundary, draw_line, draw_surface

THRESHOLD = 0.85  # accuracy on the test flowers
EXCESS = 0.001  # of the line's squared error, relative to the lowest possible
STEPS = 3000
QUICK_STEPS = 300


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    x = jax.ShapeDtypeStruct((48, 2), jnp.float32)
    target = jax.ShapeDtypeStruct((48,), jnp.float32)
    return boundary_step, nn.init_neuron(jax.random.key(options.seed), x), (x, target)


class Boundary(NamedTuple):
    """The problem of the boundary, virginica (1) or versicolor (0), in standardized lengths.

    batch, test: (x [rows, 2], y [rows]).
    mean, deviation: [2], of the training rows in cm.
    """

    batch: tuple
    test: tuple
    mean: np.ndarray
    deviation: np.ndarray


def two_species(petals: data.Split) -> Boundary:
    x, y = petals.x[petals.y > 0], petals.y[petals.y > 0] - 1
    test_x, test_y = petals.test_x[petals.test_y > 0], petals.test_y[petals.test_y > 0] - 1
    mean, deviation = x.mean(axis=0, keepdims=True), x.std(axis=0, keepdims=True)
    batch = ((x - mean) / deviation, y.astype(np.float32))
    return Boundary(batch, ((test_x - mean) / deviation, test_y), mean[0], deviation[0])


def run(options: Options) -> Result:
    petals, steps = data.petals(), length(options)
    long, wide = petals.x[:, :1], petals.x[:, 1]
    start = nn.init_neuron(jax.random.fold_in(jax.random.key(options.seed), 1), long)
    line = walk(line_step, start, (long, wide), steps)
    lowest = float(line_loss(least_squares(long, wide), (long, wide)))
    excess = float(line_loss(line.end, (long, wide))) / lowest - 1

    problem = two_species(petals)
    step, start, _ = plan(options)
    boundary = walk(step, start, problem.batch, steps)
    plane = least_squares(*problem.batch)
    plane = plane | {"b": plane["b"] - 0.5}  # moves the boundary of the plane to zero
    return Result(
        checks=(
            Check("accuracy", accuracy(boundary.end, problem.test), THRESHOLD),
            Check("line_excess", excess, EXCESS, higher_is_better=False),
        ),
        baseline="least squares",
        baseline_value=accuracy(plane, problem.test),
        steps=steps,
        parameters=nn.count_params(start),
        metrics={"train_accuracy": accuracy(boundary.end, problem.batch)}
        | {"line_mse": lowest * (1 + excess), "line_mse_closed_form": lowest}
        | {"line_slope": float(line.end["w"][0]), "line_intercept": float(line.end["b"])},
        history=history(line, boundary),
        figures={"descent": draw(petals, line, problem, boundary)},
    )


def least_squares(x: np.ndarray, target: np.ndarray) -> Params:
    """The params of the linear neuron with the lowest squared error, in closed form."""
    ones = np.ones((len(x), 1))
    *w, b = np.linalg.lstsq(np.hstack([x, ones]), target, rcond=None)[0]
    return {"w": np.asarray(w, np.float32), "b": np.asarray(b, np.float32)}


def accuracy(params: Params, batch: tuple) -> float:
    x, y = batch
    return float(np.mean((np.asarray(nn.weighted_sum(params, x)) > 0) == (y > 0.5)))


def history(line: Path, boundary: Path) -> list[dict[str, float]]:
    """Both losses, every 50 steps and at the last step."""
    losses = list(zip(line.losses, boundary.losses, strict=True))
    return [
        {"step": i + 1, "line_loss": float(a), "boundary_loss": float(b)}
        for i, (a, b) in enumerate(losses)
        if i % 50 == 0 or i == len(losses) - 1
    ]


def draw(petals: data.Split, line: Path, problem: Boundary, boundary: Path) -> Figure:
    """What the neuron learned, beside its path down the loss surface."""
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    figure.suptitle("One neuron, gradient descent on the mean squared error", fontsize=15)
    axes = figure.subplots(2, 2)
    batch = petals.x[:, :1], petals.x[:, 1]
    draw_line(axes[0, 0], petals, line.params)
    draw_surface(axes[0, 1], line.params, line_loss, batch, least_squares(*batch))
    draw_boundary(axes[1, 0], petals, boundary.params, problem.mean, problem.deviation)
    draw_surface(axes[1, 1], boundary.params, boundary_loss, problem.batch, None)
    return figure
