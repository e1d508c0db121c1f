"""The figures of the example."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLORS = {"German": "tab:gray", "translated": "tab:blue", "reference": "black"}
MAX_CHARACTERS = 150  # of a line


def draw_translations(shown: list[tuple[str, str, str]]) -> Figure:
    """Draw sentences as (German, reference, translated), one below the other."""
    figure = Figure(figsize=(13, 1.2 + 0.8 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.set(
        title=f"The first {len(shown)} test sentences, their translations, and the references",
        xlim=(0, 1),
        ylim=(len(shown), 0),
    )
    axes.axis("off")
    for row, (german, english, translated) in enumerate(shown):
        texts = {"German": german, "translated": translated, "reference": english}
        for line, (kind, text) in enumerate(texts.items()):
            axes.text(
                x=0,
                y=row + 0.2 + 0.27 * line,
                s=text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…",
                color=COLORS[kind],
                fontsize=10,
                parse_math=False,
            )
    lines = [Line2D([], [], color=color, lw=4, label=kind) for kind, color in COLORS.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return figure


def draw_attention(attention: np.ndarray, source: list[str], target: list[str]) -> Figure:
    """Draw the attention [time, keys] between the named tokens of a target and its source."""
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(attention, cmap="Blues", vmin=0, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(
        title="Cross attention of the last block, mean over its heads",
        xlabel="German, as encoded (subword tokens)",
        ylabel="English, as decoded (subword tokens)",
    )
    figure.colorbar(image, label="share of attention", shrink=0.8)
    return figure


def draw_history(rows: list[dict[str, float]]) -> Figure:
    """Draw the training and validation loss over steps."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in rows]
    axes.plot(steps, [row["cross_entropy"] for row in rows], ".-", label="training, with dropout")
    axes.plot(steps, [row["validation_loss"] for row in rows], ".-", label="validation")
    axes.set(title="Loss per token", xlabel="step", ylabel="cross entropy (nats)")
    axes.legend()
    return figure
