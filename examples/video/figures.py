"""The figures of the example `video`."""

import numpy as np
from matplotlib.figure import Figure

from examples.video.directions import DIRECTIONS, SIDE, TIME, Clips

STYLES = ("o-", "^--", "s--", "d--")


def draw_frames(
    truth: np.ndarray,
    predicted: dict[str, np.ndarray],
    ratios: dict[str, np.ndarray],
    first: int,
) -> Figure:
    """A frame and its prediction, the errors of all methods, and the ratio of every frame.

    Args:
      truth: the test frames [frames, height, width].
      predicted: the same frames as predicted, by method, that of the network first.
      ratios: [frames], the peak signal-to-noise ratio in dB, by method.
      first: the index of the first test frame in the clip.
    """
    gain = ratios["network"] - ratios["one kernel"]
    i = int(np.argsort(gain)[len(gain) // 2])  # the median: neither the best nor the worst
    figure = Figure(figsize=(13, 10), layout="constrained")
    figure.suptitle(
        f"The next frame of a clip, over the last fifth of a shot: {ratios['network'].mean():.2f} "
        f"dB, {gain.mean():+.2f} dB compared with one kernel for all pixels",
        fontsize=14,
    )
    grid = figure.add_gridspec(3, 4, height_ratios=(1.4, 0.8, 1.2))
    panels = ((f"frame {first + i}", truth[i]), ("as predicted", predicted["network"][i]))
    for n, (title, image) in enumerate(panels):
        axes = figure.add_subplot(grid[0, 2 * n : 2 * n + 2])
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title, fontsize=10)
    for n, (name, prediction) in enumerate(predicted.items()):
        axes = figure.add_subplot(grid[1, n])
        image = axes.imshow(prediction[i] - truth[i], cmap="RdBu", vmin=-0.2, vmax=0.2)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"error of {name}: {ratios[name][i]:.1f} dB", fontsize=9)
    figure.colorbar(image, ax=axes, label="share of white", shrink=0.8)
    axes = figure.add_subplot(grid[2, :])
    for (name, ratio), style in zip(ratios.items(), STYLES, strict=True):
        axes.plot(first + np.arange(len(truth)), ratio, style, label=name)
    axes.set(xlabel="frame of the clip", ylabel="peak signal-to-noise ratio (dB)")
    axes.set_title("Every test frame", fontsize=10)
    axes.margins(y=0.25)
    axes.legend(loc="lower center", ncols=4)
    return figure


def draw_directions(clips: Clips, beliefs: np.ndarray) -> Figure:
    """Clips frame by frame: up to two mistakes, then the first clip of each direction.

    Args:
      clips: the test clips.
      beliefs: [rows, 8], the probability of each direction.
    """
    x, truth = np.asarray(clips.x), np.asarray(clips.direction)
    guesses = beliefs.argmax(axis=1)
    wrong = np.flatnonzero(guesses != truth)
    first = [np.flatnonzero(truth == each)[:1] for each in range(len(DIRECTIONS))]
    shown = np.concatenate([wrong[:2], *first])[: len(DIRECTIONS)].astype(int)
    figure = Figure(figsize=(11, 10), layout="constrained")
    axes = figure.subplots()
    rows = [np.concatenate(x[i, ..., 0], axis=1) for i in shown]
    axes.imshow(np.concatenate(rows), cmap="gray", vmin=-1, vmax=1.5)
    axes.set_title(
        f"Digits that move through noise: {len(truth) - len(wrong)} of {len(truth)} directions "
        "predicted correctly\n(the first two rows are mistakes, if there are any)"
    )
    labels = [
        f"{DIRECTIONS[truth[i]]}, predicted\n{DIRECTIONS[guesses[i]]}\n"
        f"({100 * beliefs[i, guesses[i]]:.0f} %)"
        for i in shown
    ]
    middles = SIDE * np.arange(TIME) + SIDE / 2
    axes.set_xticks(middles, [f"frame {time}" for time in range(TIME)])
    axes.set_yticks(middles[: len(shown)], labels)
    for label, i in zip(axes.get_yticklabels(), shown, strict=True):
        label.set_color("tab:green" if guesses[i] == truth[i] else "tab:red")
    axes.hlines(SIDE * np.arange(1, len(shown)) - 0.5, -0.5, TIME * SIDE - 0.5, "white", lw=1)
    axes.tick_params(length=0)
    return figure
