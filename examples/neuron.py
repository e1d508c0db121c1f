"""One neuron learns a line, then a class boundary, by gradient descent on the MSE.

Both from Fisher's irises. The line: how wide is a petal of that length (all three species)? The
boundary: is a flower with that petal a versicolor or a virginica? The first has a closed form,
least squares, which the descent has to meet. The second has none for a sigmoid; beside it runs
the least-squares plane through the classes' numbers 0 and 1, cut at one half.

The line is learned in centimetres as they are, so that its loss is a long narrow valley: the path
drops to the floor in a few steps and needs hundreds more to creep along it. The boundary is learned
from standardised lengths, whose surface is rounder.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data

Params = dict[str, Any]  # w and b, of one neuron or, stacked, of each along a path

STEPS, QUICK_STEPS = 3000, 300
THRESHOLD, EXCESS = (
    0.85,
    0.001,
)  # accuracy on flowers held out; MSE of the line over the lowest there is
SPECIES = (("setosa", "tab:green"), ("versicolor", "tab:blue"), ("virginica", "tab:orange"))


def descent(activation: Callable, rate: float) -> tuple[Callable, Callable]:
    """A neuron's loss and its step downhill, (params, batch) -> (params, metrics)."""

    def loss(params, batch):
        x, target = batch
        return nn.mse(nn.neuron(params, x, activation), target)

    def step(params, batch):
        value, gradient = jax.value_and_grad(loss)(params, batch)
        return jax.tree.map(lambda p, g: p - rate * g, params, gradient), {"loss": value}

    return loss, step


line_loss, line_step = descent(nn.identity, rate=0.03)
boundary_loss, boundary_step = descent(jax.nn.sigmoid, rate=1.0)


@partial(jax.jit, static_argnums=(0, 3))
def walk(step: Callable, params, batch, steps: int):
    """The params before every step and at the end, and the loss at each but the last."""

    def body(params, _):
        after, metrics = step(params, batch)
        return after, (params, metrics["loss"])

    end, (path, losses) = jax.lax.scan(body, params, None, length=steps)
    path = jax.tree.map(lambda way, last: jnp.concatenate([way, last[None]]), path, end)
    return path, losses


def plan(options: Options):
    x = jax.ShapeDtypeStruct((48, 2), jnp.float32)
    target = jax.ShapeDtypeStruct((48,), jnp.float32)
    return boundary_step, nn.init_neuron(jax.random.key(options.seed), x), (x, target)


def run(options: Options) -> Result:
    petals = data.petals()
    steps = QUICK_STEPS if options.quick else STEPS

    # The line: width from length, both in cm.
    long, wide = petals.x[:, :1], petals.x[:, 1]
    start = nn.init_neuron(jax.random.fold_in(jax.random.key(options.seed), 1), long)
    line, line_losses = jax.device_get(walk(line_step, start, (long, wide), steps))
    closed = least_squares(long, wide)
    lowest = float(line_loss(closed, (long, wide)))
    excess = float(line_loss(at(line, -1), (long, wide))) / lowest - 1

    # The boundary: virginica, 1, or versicolor, 0.
    x, y = petals.x[petals.y > 0], petals.y[petals.y > 0] - 1
    test_x, test_y = petals.test_x[petals.test_y > 0], petals.test_y[petals.test_y > 0] - 1
    mean, deviation = x.mean(axis=0, keepdims=True), x.std(axis=0, keepdims=True)
    batch = ((x - mean) / deviation, y.astype(np.float32))
    test = ((test_x - mean) / deviation, test_y)
    step, start, _ = plan(options)
    boundary, boundary_losses = jax.device_get(walk(step, start, batch, steps))
    plane = least_squares(*batch)
    plane = plane | {"b": plane["b"] - 0.5}  # so that it too is cut at zero

    history = [
        {"step": i + 1, "line_loss": float(a), "boundary_loss": float(b)}
        for i, (a, b) in enumerate(zip(line_losses, boundary_losses, strict=True))
        if i % 50 == 0 or i == steps - 1
    ]
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    figure.suptitle("One neuron, gradient descent on the mean squared error", fontsize=15)
    axes = figure.subplots(2, 2)
    draw_line(axes[0, 0], petals, line)
    draw_surface(axes[0, 1], line, line_loss, (long, wide), closed)
    draw_boundary(axes[1, 0], petals, boundary, mean[0], deviation[0])
    draw_surface(axes[1, 1], boundary, boundary_loss, batch, None)
    return Result(
        checks=(
            Check("accuracy", accuracy(at(boundary, -1), test), THRESHOLD),
            Check("line_excess", excess, EXCESS, higher_is_better=False),
        ),
        baseline="least squares",
        baseline_value=accuracy(plane, test),
        steps=steps,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(start)),
        metrics={
            "train_accuracy": accuracy(at(boundary, -1), batch),
            "line_mse": lowest * (1 + excess),
            "line_mse_closed_form": lowest,
            "line_slope": float(line["w"][-1, 0]),
            "line_intercept": float(line["b"][-1]),
        },
        history=history,
        figures={"descent": figure},
    )


def least_squares(x: np.ndarray, target: np.ndarray) -> Params:
    """The params of the linear neuron with the lowest MSE, in closed form."""
    ones = np.ones((len(x), 1))
    *w, b = np.linalg.lstsq(np.hstack([x, ones]), target, rcond=None)[0]
    return {"w": np.asarray(w, np.float32), "b": np.asarray(b, np.float32)}


def at(path: Params, step: int) -> Params:
    return {name: way[step] for name, way in path.items()}


def accuracy(params: Params, batch: tuple) -> float:
    x, y = batch
    return float(np.mean((np.asarray(nn.weighted_sum(params, x)) > 0) == (y > 0.5)))


# The pictures


def moments(path: Params) -> list[tuple[int, str]]:
    """The steps of a path to show, each with its grey: the start is light, the end is black."""
    last = len(path["b"]) - 1
    steps = [*(step for step in (0, 3, 30, 300) if step < last), last]
    return [
        (step, f"{grey:.2f}")
        for step, grey in zip(steps, np.linspace(0.85, 0, len(steps)), strict=True)
    ]


def draw_flowers(axes: Axes, petals: data.Split, first: int) -> None:
    for index, (title, colour) in list(enumerate(SPECIES))[first:]:
        for x, y, face in ((petals.x, petals.y, colour), (petals.test_x, petals.test_y, "none")):
            label = title if face == colour else f"{title}, held out"
            axes.scatter(*x[y == index].T, s=28, color=face, edgecolor=colour, label=label)
    axes.set(xlabel="petal length (cm)", ylabel="petal width (cm)")


def draw_line(axes: Axes, petals: data.Split, path: Params) -> None:
    draw_flowers(axes, petals, 0)
    length = np.array([0.5, 7.2])
    for step, grey in moments(path):
        w, b = float(path["w"][step, 0]), float(path["b"][step])
        axes.plot(length, w * length + b, color=grey, lw=2, label=f"after {step} steps")
    axes.set(title="The line it learns", xlim=length, ylim=(-0.9, 2.7))
    axes.legend(fontsize=8, ncols=2, loc="lower right")


def draw_boundary(axes: Axes, petals: data.Split, path: Params, mean, deviation) -> None:
    sides = np.linspace(2.8, 7.2, 120), np.linspace(0.2, 2.7, 120)
    grid = np.stack(np.meshgrid(*sides), axis=-1).astype(np.float32)
    scaled = jnp.asarray((grid - mean) / deviation)
    belief = nn.neuron(at(path, -1), scaled, jax.nn.sigmoid)
    shade = axes.contourf(*sides, belief, levels=np.linspace(0, 1, 11), cmap="coolwarm", alpha=0.4)
    axes.figure.colorbar(shade, ax=axes, label="output of the neuron: 0 versicolor, 1 virginica")
    draw_flowers(axes, petals, 1)
    for step, grey in moments(path):
        edge = nn.weighted_sum(at(path, step), scaled)
        axes.contour(*sides, edge, levels=[0], colors=[grey], linewidths=2)
        axes.plot([], [], color=grey, lw=2, label=f"after {step} steps")
    axes.set(title="The class boundary it learns")
    axes.legend(fontsize=8, ncols=2, loc="lower right")


def draw_surface(
    axes: Axes, path: Params, loss: Callable, batch: tuple, closed: Params | None
) -> None:
    """The loss over two params, and the path of the descent; a third one is kept at its end."""
    line = path["w"].shape[1] == 1
    ways = np.asarray(path["w"][:, 0]), np.asarray(path["b"] if line else path["w"][:, 1])
    sides = []
    for way in ways:
        margin = 0.35 * (np.ptp(way) + 0.3)
        sides.append(np.linspace(way.min() - margin, way.max() + margin, 150, dtype=np.float32))

    def height(first, second):
        w = jnp.stack([first] if line else [first, second])
        return loss({"w": w, "b": second if line else path["b"][-1]}, batch)

    heights = np.asarray(jax.vmap(jax.vmap(height))(*np.meshgrid(*sides)))
    levels = np.geomspace(heights.min(), heights.max(), 25)
    hills = axes.contourf(*sides, heights, levels=levels, norm="log", cmap="viridis_r")
    bar = axes.figure.colorbar(hills, ax=axes, format="%.2g")
    bar.set_label("mean squared error" + (" (cm²)" if line else ""))
    axes.plot(*ways, color="white", lw=2, label="path of the descent")
    for step, grey in moments(path):
        where = ways[0][step], ways[1][step]
        axes.plot(*where, "o", color=grey, mec="white", ms=9, label=f"after {step} steps")
    if closed is not None:
        where = float(closed["w"][0]), float(closed["b"])
        axes.plot(*where, "x", color="red", ms=10, mew=2, label="least squares")
        axes.set(xlabel="weight (cm of width per cm of length)", ylabel="bias (cm)")
    else:
        axes.set(xlabel="weight of the length (per deviation)")
        axes.set(ylabel="weight of the width (per deviation)")
    axes.set(title="The path down its loss surface" + ("" if line else ", at its last bias"))
    axes.legend(fontsize=8, loc="best", facecolor="0.6")
