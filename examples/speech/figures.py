"""The figures of the example."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples.common.figures import confusion_matrix
from examples.data.speech import RATE
from examples.speech.strings import Recordings, Strings

SHOWN = 3  # strings in the figure
LEAST_PROBABILITY = 0.1  # below which a digit is not drawn


class TimeScale(NamedTuple):
    """Seconds between frames, between steps, and at the center of the first of either."""

    frame: float
    step: float
    first: float


def text(labels: np.ndarray) -> str:
    """Labels, which are digits plus one, as text without the zeros after them."""
    return " ".join(str(label - 1) for label in labels if label)


def choose_rows(predictions: np.ndarray, spoken: Strings) -> list[int]:
    """A string of three digits, one of six and a misrecognized one, if there are any, or others."""
    counts = (spoken.labels != 0).sum(1)
    wrong = [text(guess) != text(truth)
             for guess, truth in zip(predictions, spoken.labels, strict=True)]  # fmt: skip
    wanted = (counts == 3, counts == 6, np.array(wrong), counts > 0)
    rows = dict.fromkeys(int(row) for each in wanted for row in np.flatnonzero(each)[:SHOWN])
    first = dict.fromkeys(int(each.argmax()) for each in wanted[:SHOWN] if each.any())
    return list(first | rows)[:SHOWN]


def draw_strings(
    spectrograms: np.ndarray,
    probabilities: np.ndarray,
    paths: np.ndarray,
    predictions: np.ndarray,
    spoken: Strings,
    scale: TimeScale,
) -> Figure:
    """Draw spectrograms of strings with their alignments, above the network's probabilities.

    Args:
      spectrograms: [rows, frames, mels].
      probabilities: [rows, steps, 11], of the blank and ten digits.
      paths: int [rows, steps], the index of the label at each step, or -1.
      predictions: int [rows, labels], in the form of `spoken.labels`.
      spoken: the strings.
      scale: the times of frames and steps.
    """
    rows = choose_rows(predictions, spoken)
    figure = Figure(figsize=(13, 4 * len(rows)), layout="constrained")
    figure.suptitle(
        "Test strings, brighter where louder. White: where the network puts each digit; "
        "orange: where it is",
        fontsize=14,
    )
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, row in zip(parts, rows, strict=True):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        seconds = spoken.lengths[row] / RATE
        _draw_spectrogram(upper, spectrograms[row], paths[row], spoken, row, scale)
        said, recognized = text(spoken.labels[row]), text(predictions[row])
        upper.set_title(f"spoken: {said}, recognized: {recognized}", fontsize=12)
        _draw_probabilities(lower, probabilities[row], seconds, scale)
    return figure


def _draw_probabilities(
    axes: Axes, probabilities: np.ndarray, seconds: float, scale: TimeScale
) -> None:
    time = np.arange(scale.first, seconds, scale.step)[: len(probabilities)]
    for digit in range(10):
        probability = probabilities[: len(time), digit + 1]
        if probability.max() > LEAST_PROBABILITY:
            axes.plot(time, probability, color=f"C{digit}", label=str(digit))
    axes.plot(time, probabilities[: len(time), 0], ":", color="grey", label="blank")
    axes.set(xlabel="time (s)", ylabel="probability", xlim=(0, seconds), ylim=(0, 1.05))
    axes.legend(ncols=2, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def _draw_spectrogram(
    axes: Axes, y: np.ndarray, path: np.ndarray, spoken: Strings, row: int, scale: TimeScale
) -> None:
    y = y[: np.flatnonzero(y.any(axis=1))[-1] + 1]
    begin = scale.first - scale.frame / 2
    extent = (begin, begin + len(y) * scale.frame, 0, y.shape[1])
    axes.imshow(y.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-2, vmax=2)
    axes.set_facecolor("black")
    axes.set_ylabel("frequency (mel band)")
    top = y.shape[1]
    for index, label in enumerate(spoken.labels[row]):
        if not label:
            break
        for edge in (spoken.starts[row, index], spoken.ends[row, index]):
            axes.axvline(edge / RATE, color="tab:orange", linewidth=1, alpha=0.8)
        steps = np.flatnonzero(path == index)
        if len(steps):
            begin = scale.first + (steps[0] - 0.5) * scale.step
            end = scale.first + (steps[-1] + 0.5) * scale.step
            axes.fill_between((begin, end), 0, top, color="white", alpha=0.35, linewidth=0)
            axes.text(
                x=(begin + end) / 2, y=0.97 * top, s=str(label - 1),
                ha="center", va="top", color="white", fontsize=14, fontweight="bold",
            )  # fmt: skip


def draw_errors(
    tests: Recordings, predictions: np.ndarray, others: Mapping[str, tuple[float, float]]
) -> Figure:
    """Draw the confusion matrix of the official test, and the errors by speaker.

    Args:
      tests: recordings, as many by each speaker.
      predictions: int [rows], the digits recognized in them.
      others: for each speaker, the accuracies of a network and of a support vector machine that
        were not trained on this speaker.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    wrong = predictions != tests.digits
    confusion_matrix(
        left,
        tests.digits,
        predictions,
        [str(digit) for digit in range(10)],
        title=f"{len(predictions)} test recordings, {wrong.sum()} of them misclassified",
        xlabel="predicted digit",
        ylabel="spoken digit",
    )
    known = [np.mean(wrong[tests.speakers == speaker]) for speaker in range(len(others))]
    network, svm = (np.array([pair[i] for pair in others.values()]) for i in range(2))
    bars = {
        "speaker in the training data: network": np.array(known),
        "speaker held out: network": 1 - network,
        "speaker held out: support vector machine": 1 - svm,
    }
    for i, (name, heights) in enumerate(bars.items()):
        bar = right.bar(np.arange(len(others)) + 0.27 * (i - 1), 100 * heights, 0.27, label=name)
        right.bar_label(bar, fmt="%.1f", fontsize=8)
    right.set_xticks(range(len(others)), others)
    right.set(xlabel="speaker", ylabel="misclassified digits (%)", title="Errors by speaker")
    right.set_ylim(top=1.3 * max(1, *(100 * heights.max() for heights in bars.values())))
    right.legend(loc="upper right")
    return figure
