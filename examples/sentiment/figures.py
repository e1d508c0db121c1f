"""The figure of the example."""

import itertools

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples import data
from examples.sentiment.words import words

SHOWN = 7  # sentences in the figure, with what each word adds
LINE = 74  # characters of a line of the figure


def draw(
    snippets: data.Snippets,
    ratings: np.ndarray,
    right: dict[str, np.ndarray],
    effects: list[np.ndarray],
) -> Figure:
    """Draw predicted against true ratings, the accuracies, and what single words add.

    Args:
      snippets: the sentences.
      ratings: floats [sentences], predicted for the test sentences.
      right: by the name of the model, whether it is right on each test sentence.
      effects: for each of the first test sentences, what each word adds to its rating.
    """
    figure = Figure(figsize=(15, 9), layout="constrained")
    left, text = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.35))[0]
    scatter, shares = left.subplots(2, 1)
    _draw_ratings(scatter, snippets.test_ratings, ratings)
    _draw_accuracies(shares, snippets.test_ratings, right)
    _draw_words(text.subplots(), snippets, ratings, effects)
    return figure


def _draw_ratings(axes: Axes, truth: np.ndarray, ratings: np.ndarray) -> None:
    colors = np.where((truth > 0) == (ratings > 0), "tab:blue", "tab:red")
    axes.scatter(truth, ratings, s=4, alpha=0.4, c=colors)
    axes.axhline(0, color="grey", lw=0.5)
    axes.axvline(0, color="grey", lw=0.5)
    axes.set(title=f"{len(truth)} test sentences (red: wrong)")
    axes.set(xlabel="mean rating by people (-4 to 4)", ylabel="rating by the network (-4 to 4)")


def _draw_accuracies(axes: Axes, truth: np.ndarray, right: dict[str, np.ndarray]) -> None:
    edges = np.array([0, 0.5, 1, 1.5, 2, 2.5, 4])
    bins = np.digitize(np.abs(truth), edges[1:-1])
    for title, hits in right.items():
        share = [hits[bins == i].mean() if (bins == i).any() else np.nan for i in range(6)]
        axes.plot(range(6), share, "o-", label=f"{title}: {hits.mean():.3f}")
    axes.set_xticks(range(6), [f"{a:g} to {b:g}" for a, b in itertools.pairwise(edges)])
    axes.set(title="Accuracy is higher on clear sentences", ylabel="accuracy")
    axes.set(xlabel="distance of the mean rating by people from 0")
    axes.legend(loc="lower right")


def _draw_words(
    axes: Axes, snippets: data.Snippets, ratings: np.ndarray, effects: list[np.ndarray]
) -> None:
    axes.set(title="What each word adds to the rating: red lowers it, blue raises it")
    axes.axis("off")
    row = 0
    for text, effect, rating, truth in zip(
        snippets.test_x, effects, ratings, snippets.test_ratings, strict=False
    ):
        axes.text(0, row, f"network {rating:+.1f}, people {truth:+.1f}", weight="bold")
        row, column = row + 1, 0
        for word, adds in zip(words(text), effect, strict=False):
            if column + len(word) > LINE:
                row, column = row + 1, 0
            color = colormaps["RdBu"](0.5 + np.clip(adds / 3, -0.5, 0.5))
            box = {"facecolor": color, "edgecolor": "none", "pad": 1.5}
            axes.text(column, row, word, family="monospace", size=10.5, bbox=box)
            column += len(word) + 1
        row += 2
    axes.set(xlim=(0, LINE), ylim=(row - 1, -1))
