"""The pictures of `examples.translation`."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLOURS = {"German": "tab:gray", "translated": "tab:blue", "reference": "black"}


def translations(shown: list[tuple[str, str, str]]) -> Figure:
    """Sentences as (German, reference, translated), one under the other."""
    figure = Figure(figsize=(13, 1.2 + 0.8 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.set(
        title=f"The first {len(shown)} test sentences, how they were translated, and how by people",
        xlim=(0, 1),
        ylim=(len(shown), 0),
    )
    axes.axis("off")
    for row, (german, english, made) in enumerate(shown):
        for line, (text, kind) in enumerate(zip((german, made, english), COLOURS, strict=True)):
            text = text if len(text) <= 150 else text[:149] + "…"
            place = {"x": 0, "y": row + 0.2 + 0.27 * line}
            axes.text(**place, s=text, color=COLOURS[kind], fontsize=10, parse_math=False)
    lines = [Line2D([], [], color=colour, lw=4, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return figure


def attention(looks: np.ndarray, source: list[str], target: list[str]) -> Figure:
    """Shares [time, keys] of attention between the named tokens of a target and its source."""
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(looks, cmap="Blues", vmin=0, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(
        title="Where the last block looks in the source, mean of its heads",
        xlabel="German, as read (parts of words)",
        ylabel="English, as written (parts of words)",
    )
    figure.colorbar(image, label="share of attention", shrink=0.8)
    return figure


def history(rows: list[dict[str, float]]) -> Figure:
    """The loss in training and in validation, over steps."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["cross_entropy"] for row in rows], ".-", label="training, with dropout")
    axes.plot(steps, [row["validation_loss"] for row in rows], ".-", label="validation")
    axes.set(title="Loss of a part of a word", xlabel="step", ylabel="cross entropy (nats)")
    axes.legend()
    return figure
