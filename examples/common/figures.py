"""Figures that several examples draw."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes


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
    axes.set_xticks(classes, names, rotation=45 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(classes, names)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
