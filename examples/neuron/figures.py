"""The figure of the example `neuron`: what it learned, and its path down the loss surface."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

import jaxnn as nn
from examples import data

Path = dict[str, Any]  # the params w and b, stacked over the steps
SPECIES = (("setosa", "tab:green"), ("versicolor", "tab:blue"), ("virginica", "tab:orange"))


def shown_steps(path: Path) -> list[tuple[int, str]]:
    """The steps of a path to draw, each with its gray: light at the start, black at the end."""
    last = len(path["b"]) - 1
    steps = [*(step for step in (0, 3, 30, 300) if step < last), last]
    grays = np.linspace(0.85, 0, len(steps))
    return [(step, f"{gray:.2f}") for step, gray in zip(steps, grays, strict=True)]


def draw_flowers(axes: Axes, petals: data.Split, first: int) -> None:
    """The petals of the species from the index `first` on."""
    for index, (title, color) in list(enumerate(SPECIES))[first:]:
        for x, y, face in ((petals.x, petals.y, color), (petals.test_x, petals.test_y, "none")):
            label = title if face == color else f"{title}, test"
            axes.scatter(*x[y == index].T, s=28, color=face, edgecolor=color, label=label)
    axes.set(xlabel="petal length (cm)", ylabel="petal width (cm)")


def draw_line(axes: Axes, petals: data.Split, path: Path) -> None:
    """The petals, and the line after several steps."""
    draw_flowers(axes, petals, 0)
    length = np.array([0.5, 7.2])
    for step, gray in shown_steps(path):
        w, b = float(path["w"][step, 0]), float(path["b"][step])
        axes.plot(length, w * length + b, color=gray, lw=2, label=f"after {step} steps")
    axes.set(title="The line it learns", xlim=length, ylim=(-0.9, 2.7))
    axes.legend(fontsize=8, ncols=2, loc="lower right")


def draw_boundary(
    axes: Axes, petals: data.Split, path: Path, mean: np.ndarray, deviation: np.ndarray
) -> None:
    """The petals, the output at the end, and the boundary after several steps."""
    sides = np.linspace(2.8, 7.2, 120), np.linspace(0.2, 2.7, 120)
    grid = np.stack(np.meshgrid(*sides), axis=-1).astype(np.float32)
    scaled = jnp.asarray((grid - mean) / deviation)
    output = nn.neuron({name: values[-1] for name, values in path.items()}, scaled, jax.nn.sigmoid)
    shade = axes.contourf(*sides, output, levels=np.linspace(0, 1, 11), cmap="coolwarm", alpha=0.4)
    axes.figure.colorbar(shade, ax=axes, label="output of the neuron: 0 versicolor, 1 virginica")
    draw_flowers(axes, petals, 1)
    for step, gray in shown_steps(path):
        edge = nn.weighted_sum({name: values[step] for name, values in path.items()}, scaled)
        axes.contour(*sides, edge, levels=[0], colors=[gray], linewidths=2)
        axes.plot([], [], color=gray, lw=2, label=f"after {step} steps")
    axes.set(title="The class boundary it learns")
    axes.legend(fontsize=8, ncols=2, loc="lower right")


def draw_surface(
    axes: Axes, path: Path, loss: Callable, batch: tuple, closed_form: Path | None
) -> None:
    """The loss over two params, and the path of the descent.

    Args:
      axes: where to draw.
      path: of a neuron of one input, whose weight and bias are the two params, or of two inputs,
        whose weights are; the bias is then that of the last step.
      loss: (params, batch) -> scalar.
      batch: (x, target).
      closed_form: the params with the lowest loss, if they are known.
    """
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
    label = "mean squared error" + (" (cm²)" if line else "")
    axes.figure.colorbar(hills, ax=axes, format="%.2g").set_label(label)
    axes.plot(*ways, color="white", lw=2, label="path of the descent")
    for step, gray in shown_steps(path):
        where = ways[0][step], ways[1][step]
        axes.plot(*where, "o", color=gray, mec="white", ms=9, label=f"after {step} steps")
    if closed_form is not None:
        where = float(closed_form["w"][0]), float(closed_form["b"])
        axes.plot(*where, "x", color="red", ms=10, mew=2, label="least squares")
    if line:
        axes.set(xlabel="weight (cm of width per cm of length)", ylabel="bias (cm)")
    else:
        axes.set(xlabel="weight of the length (per standard deviation)")
        axes.set(ylabel="weight of the width (per standard deviation)")
    axes.set(title="The path down its loss surface" + ("" if line else ", at its last bias"))
    axes.legend(fontsize=8, loc="best", facecolor="0.6")
