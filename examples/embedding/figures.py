"""The figures of the example `embedding`, and its printed texts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

TOPICS = ("music", "animals", "money", "cooking", "space", "health")
OF_TOPIC = 3  # sentences of each topic, one topic after the other


class Embedded(NamedTuple):
    """Texts and their embeddings [rows, width]."""

    texts: Sequence[str]
    x: np.ndarray


class Tested(NamedTuple):
    """The embeddings [rows, width] of the test snippets, and the accuracy of a classifier."""

    x: np.ndarray
    accuracy: float


def print_nearest(title: str, queries: Embedded, others: Embedded, count: int) -> None:
    """Print the first texts, each with the nearest of the others and the cosine between them."""
    print(f"{title}:")
    for text, vector in zip(queries.texts[:count], queries.x, strict=False):
        cosine = others.x @ vector
        nearest = next(i for i in np.argsort(-cosine) if others.texts[i] != text)
        print(f"  {text}\n    {cosine[nearest]:.2f}  {others.texts[nearest]}")


def draw_sentences(sentences: Embedded) -> Figure:
    """The cosines between sentences, and the sentences in a plane."""
    count = OF_TOPIC * len(TOPICS)
    texts, x = sentences.texts[:count], sentences.x[:count]
    figure = Figure(figsize=(16.5, 6.6), layout="constrained")
    figure.suptitle("Sentences in the embedding of a pretrained encoder", fontsize=15)
    matrix, plane = figure.subplots(1, 2, width_ratios=(1.25, 1))
    image = matrix.imshow(x @ x.T, cmap="viridis", vmin=0, vmax=1)
    labels = [f"{text} {number}" for number, text in enumerate(texts, 1)]
    matrix.set_yticks(range(count), labels, fontsize=7)
    matrix.set_anchor("E")  # the labels need the room on the left
    matrix.set_xticks(range(count), [str(i + 1) for i in range(count)], fontsize=8)
    matrix.set(title="Cosine between embeddings", xlabel="sentence (number)")
    figure.colorbar(image, ax=matrix, label="cosine")
    flat = PCA(2).fit_transform(x)
    for i, topic in enumerate(TOPICS):
        rows = range(OF_TOPIC * i, OF_TOPIC * (i + 1))
        plane.scatter(*flat[rows].T, s=60, label=topic)
        for row in rows:
            plane.annotate(str(row + 1), flat[row], (5, 5), textcoords="offset points", fontsize=9)
    plane.set(title="The two directions of most variance", xlabel="first (cosine)", ylabel="second")
    plane.legend(title="topic")
    return figure


def draw_snippets(
    y: np.ndarray, before: Tested, after: Tested, history: list, threshold: float
) -> Figure:
    """The test snippets before and after fine-tuning, and the validation accuracy on the way."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    figure.suptitle("What critics wrote about movies", fontsize=15)
    left, middle, curve = figure.subplots(1, 3)
    _plane(left, "pretrained", y, before)
    _plane(middle, "fine-tuned", y, after)
    steps = [row["step"] for row in history]
    accuracies = [row["validation_accuracy"] for row in history]
    curve.plot(steps, accuracies, "o-", label="validation rows")
    curve.axhline(before.accuracy, color="gray", ls="--", label="logistic regression (test)")
    curve.axhline(threshold, color="black", ls=":", label="threshold (test)")
    curve.set(title="Fine-tuning", xlabel="step", ylabel="accuracy (share)")
    curve.legend(loc="center right", bbox_to_anchor=(1, 0.2))
    return figure


def _plane(axes: Axes, title: str, y: np.ndarray, tested: Tested) -> None:
    """The embeddings of the test snippets in the plane of most variance."""
    flat = PCA(2).fit_transform(tested.x)
    for label, word, color in ((0, "negative", "tab:red"), (1, "positive", "tab:blue")):
        axes.scatter(*flat[y == label].T, s=5, alpha=0.5, color=color, label=word)
    axes.set(
        title=f"The {title} encoder: {100 * tested.accuracy:.1f} % classified correctly",
        xlabel="direction of most variance (unit length: 1)",
        ylabel="direction of second most",
    )
    axes.legend(markerscale=3)
