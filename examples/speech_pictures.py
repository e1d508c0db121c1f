"""The pictures of the example `speech`."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples.strings import RATE, Recordings, Strings

SHOWN = 3  # strings in the picture


class Scale(NamedTuple):
    """Seconds of a frame, of a step, and at the middle of the first of either."""

    frame: float
    step: float
    first: float


def text(labels: np.ndarray) -> str:
    """Digits plus one as text, without the zeros after them."""
    return " ".join(str(label - 1) for label in labels if label)


def chosen(guesses: np.ndarray, said: Strings) -> list[int]:
    """A string of three digits, one of six, and one that was misheard, where there are any."""
    counts = (said.labels != 0).sum(1)
    wrong = [text(guess) != text(truth) for guess, truth in zip(guesses, said.labels, strict=True)]
    wanted = (counts == 3, counts == 6, np.array(wrong), counts > 0)
    rows = dict.fromkeys(int(row) for each in wanted for row in np.flatnonzero(each)[:SHOWN])
    first = dict.fromkeys(int(each.argmax()) for each in wanted[:SHOWN] if each.any())
    return list(first | rows)[:SHOWN]


def draw_strings(
    spectra: np.ndarray,
    chances: np.ndarray,
    paths: np.ndarray,
    guesses: np.ndarray,
    said: Strings,
    scale: Scale,
) -> Figure:
    """The spectrograms of strings with their alignments, and what the network believes when.

    Args:
      spectra: [rows, frames, mels].
      chances: [rows, steps, 11], of the blank and ten digits.
      paths: int [rows, steps], the label at each step, or -1.
      guesses: int [rows, labels], as `said.labels` are.
      said: the strings.
      scale: of time.
    """
    rows = chosen(guesses, said)
    figure = Figure(figsize=(13, 4 * len(rows)), layout="constrained")
    figure.suptitle(
        "Strings it never heard, brighter where louder: white, where the network puts each digit; "
        "orange, where it was",
        fontsize=14,
    )
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, row in zip(parts, rows, strict=True):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        seconds = said.lengths[row] / RATE
        _spectrogram(upper, spectra[row], paths[row], said, row, scale)
        upper.set_title(f"said {text(said.labels[row])}, heard {text(guesses[row])}", fontsize=12)
        time = np.arange(scale.first, seconds, scale.step)[: chances.shape[1]]
        for digit in range(10):
            belief = chances[row, : len(time), digit + 1]
            if belief.max() > 0.1:
                lower.plot(time, belief, color=f"C{digit}", label=str(digit))
        lower.plot(time, chances[row, : len(time), 0], ":", color="grey", label="none")
        lower.set(xlabel="time (s)", ylabel="probability", xlim=(0, seconds), ylim=(0, 1.05))
        lower.legend(ncols=2, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _spectrogram(
    axes: Axes, y: np.ndarray, path: np.ndarray, said: Strings, row: int, scale: Scale
) -> None:
    y = y[: np.flatnonzero(y.any(axis=1))[-1] + 1]
    begin = scale.first - scale.frame / 2
    extent = (begin, begin + len(y) * scale.frame, 0, y.shape[1])
    axes.imshow(y.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-2, vmax=2)
    axes.set_facecolor("black")
    axes.set_ylabel("pitch (band)")
    top = y.shape[1]
    for index, label in enumerate(said.labels[row]):
        if not label:
            break
        for edge in (said.starts[row, index], said.ends[row, index]):
            axes.axvline(edge / RATE, color="tab:orange", linewidth=1, alpha=0.8)
        steps = np.flatnonzero(path == index)
        if len(steps):
            begin = scale.first + (steps[0] - 0.5) * scale.step
            end = scale.first + (steps[-1] + 0.5) * scale.step
            axes.fill_between((begin, end), 0, top, color="white", alpha=0.35, linewidth=0)
            axes.text(
                *((begin + end) / 2, 0.97 * top, str(label - 1)),
                ha="center", va="top", color="white", fontsize=14, fontweight="bold",
            )  # fmt: skip


def draw_errors(
    tests: Recordings, guesses: np.ndarray, others: dict[str, tuple[float, float]]
) -> Figure:
    """The confusion matrix of the official test, and the errors by speaker.

    Args:
      tests: recordings, in equal numbers by each speaker of `others` and by more.
      guesses: int [rows], the digits heard in them.
      others: for each speaker the accuracy of a net, and of a machine, that never heard this one.
    """
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (tests.digits, guesses), 1)
    figure = Figure(figsize=(13, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    # Colour counts the mistakes: beside many right answers they would not show.
    mistakes = np.where(np.eye(10, dtype=bool), 0, counts)
    left.imshow(mistakes, cmap="Reds", vmin=0, vmax=1.5 * max(mistakes.max(), 1))
    for row, column in np.argwhere(counts > 0):
        colour = "tab:green" if row == column else "black"
        left.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    left.set(xlabel="heard as (digit)", ylabel="said (digit)", xticks=range(10), yticks=range(10))
    left.set_title(f"{len(guesses)} test recordings, {mistakes.sum()} of them misheard")

    speakers = {name: np.flatnonzero(tests.speakers == who) for who, name in enumerate(others)}
    known = [np.mean(guesses[rows] != tests.digits[rows]) for rows in speakers.values()]
    own, machine = (np.array([pair[i] for pair in others.values()]) for i in range(2))
    bars = {
        "heard in training: network": np.array(known),
        "held out: network": 1 - own,
        "held out: support vector machine": 1 - machine,
    }
    for i, (name, heights) in enumerate(bars.items()):
        drawn = right.bar(np.arange(len(others)) + 0.27 * (i - 1), 100 * heights, 0.27, label=name)
        right.bar_label(drawn, fmt="%.1f", fontsize=8)
    right.set_xticks(range(len(others)), others)
    right.set(xlabel="speaker", ylabel="digits misheard (%)", title="Errors by speaker")
    right.set_ylim(top=1.3 * max(1, *(100 * heights.max() for heights in bars.values())))
    right.legend(loc="upper right")
    return figure
