"""The figures of the example `generation`."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from examples import data
from examples.common.images import tiled


class Drawn(NamedTuple):
    """Images [rows, 28, 28, 1] in [0, 1], and how near they are to real digits."""

    x: np.ndarray
    distance: float
    precision: float
    recall: float


def draw_samples(digits: data.Split, ours: Drawn, simple: Drawn, right: np.ndarray) -> Figure:
    """Digits drawn on request, real ones, and those of the Gaussian.

    Args:
      digits: the real digits.
      ours: the digits of the generator, equally many of each class, in the order of the classes.
      simple: those of the Gaussian.
      right: bool [rows], which of ours are read as the requested digit; the others are framed.
    """
    figure = Figure(figsize=(14, 6.2), layout="constrained")
    figure.suptitle(
        f"Digits drawn on request: {100 * right.mean():.1f} % are read as the requested digit",
        fontsize=15,
    )
    columns = np.arange(10)
    some = (columns[:, None] * (len(ours.x) // 10) + columns).ravel()
    real = [digits.test_x[digits.test_y == digit][:10] for digit in range(10)]
    panels = (
        ("Drawn, a row for each digit (red: misread)", ours.x[some], f"{ours.distance:.1f}"),
        ("Real test digits", np.concatenate(real), ""),
        ("A Gaussian fitted to the pixels", simple.x[:100], f"{simple.distance:.0f}"),
    )
    for axes, (title, x, distance) in zip(figure.subplots(1, 3), panels, strict=True):
        axes.imshow(tiled(x, 10), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=12)
        axes.set(xticks=[], yticks=[], xlabel=distance and f"Frechet distance {distance}")
    first = figure.axes[0]
    first.set(yticks=14 + 28 * columns, yticklabels=columns, ylabel="requested digit")
    for row, column in np.argwhere(~right[some].reshape(10, 10)):
        corner = (28 * column - 0.5, 28 * row - 0.5)
        first.add_patch(Rectangle(corner, 28, 28, fill=False, edgecolor="tab:red", linewidth=1.5))
    return figure


def draw_training(history: list[dict[str, float]], gaussian_distance: float) -> Figure:
    """The Frechet distance and the outputs of the discriminator over the steps."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle("Training: the distance falls while the two networks stay in balance")
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in history]
    left.semilogy(steps, [row["validation_frechet_distance"] for row in history], label="generator")
    left.axhline(gaussian_distance, color="gray", linestyle=":", label="Gaussian of the pixels")
    left.set(xlabel="step", ylabel="Frechet distance to training digits (features squared)")
    left.legend()
    for name in ("real", "fake"):
        right.plot(steps, [row[f"discriminator_{name}"] for row in history], label=name)
    right.set(xlabel="step", ylabel="mean logit of the discriminator")
    right.legend()
    return figure
