"""Figures that several examples draw."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def confusion_matrix(
    axes: Axes,
    truth: np.ndarray,
    guesses: np.ndarray,
    names: Sequence[str],
    *,
    title: str = "Confusion matrix (mistakes in red)",
    xlabel: str = "predicted",
    ylabel: str = "truth",
) -> None:
    """Draw how many rows of each class were predicted to be of each class.

    Args:
      axes: where to draw.
      truth: int [rows], the index of the true class of each row.
      guesses: int [rows], the index of its predicted class.
      names: the name of each class, in the order of their indices.
      title: the title of the axes.
      xlabel: what the columns are: the predicted classes.
      ylabel: what the rows are: the true classes.
    """
    classes = range(len(names))
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (truth, guesses), 1)
    # The color shows mistakes only: beside many right answers they would not be visible.
    mistakes = np.where(np.eye(len(names), dtype=bool), 0, counts)
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=1.5 * max(mistakes.max(), 1))
    for row, column in np.argwhere(counts > 0):
        color = "tab:green" if row == column else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color)
    axes.set_xticks(classes, list(names), rotation=45 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(classes, list(names))
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)


def predictions(
    images: np.ndarray, truth: np.ndarray, beliefs: np.ndarray, names: Sequence[str]
) -> Figure:
    """A figure of the confusion matrix, and of the mistakes that the network was surest of.

    Args:
      images: [rows, 784], each of 28 x 28 pixels.
      truth: int [rows], the index of the true class of each image.
      beliefs: [rows, classes], the probability that the network gives to each class.
      names: the name of each class, in the order of their indices.
    """
    guesses = beliefs.argmax(axis=1)
    wrong = np.flatnonzero(guesses != truth)
    surest = wrong[np.argsort(-beliefs[wrong, guesses[wrong]])]
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    figure.suptitle(f"{len(truth)} test images, {len(wrong)} of them misclassified", fontsize=15)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.05))[0]
    confusion_matrix(left.subplots(), truth, guesses, names)
    right.suptitle("The mistakes that the network was surest of", fontsize=12)
    panels = right.subplots(4, 5).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, row in zip(panels, surest.tolist(), strict=False):
        true, guess = names[int(truth[row])], names[int(guesses[row])]
        percent = 100 * beliefs[row].max()
        axes.imshow(images[row].reshape(28, 28), cmap="gray_r")
        axes.set_title(f"{true}, predicted\n{guess} ({percent:.0f} %)", fontsize=9)
    return figure
