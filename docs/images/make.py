"""Draws the images of the README: `PYTHONPATH=. python docs/images/make.py [RUNS]`.

RUNS is the folder with the results of `python -m examples NAME`, `runs` by default, for
classification and for every example in `GALLERY`.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.image import imread

import jaxnn as nn
from examples import data

HERE = Path(__file__).parent
# By example: a figure, and the part of it to show as left, top, right and bottom in fractions.
GALLERY = {
    "neuron": ("descent", (0.0, 0.52, 0.40, 1.0)),
}


def net() -> Figure:
    """What each layer of a trained LeNet makes of one digit, with the lines of `nn.summary`."""
    digits = data.digits()
    x, lenet = jnp.asarray(digits.x).reshape(-1, 28, 28, 1), nn.lenet(10)
    optimizer = optax.adam(1e-3)
    loss = nn.training.supervised(lenet, optax.softmax_cross_entropy_with_integer_labels)
    step = nn.training.step(loss, optimizer)
    train = nn.training.init_train(lenet, optimizer, jax.random.key(0), x[:32])
    end = nn.training.fit(step, train, (x, digits.y), steps=600, batch_size=64)

    digit = jnp.asarray(digits.test_x[digits.test_y == 4][:1]).reshape(1, 28, 28, 1)
    outputs = nn.taps(lenet, end.train.params, (), digit)
    rows = {row.path: row for row in nn.summary_rows(lenet, digit)}
    columns = [("input", digit, 0)]
    for path, y in outputs.items():
        kind, params = rows[path].kind, rows[path].params
        if kind == "tanh":  # shown with the layer before it
            (before, _, params), kind = columns.pop(), "tanh"
            kind = f"{before}, {kind}"
        if kind != "flatten":
            columns.append((kind, y, params))
    title, logits, params = columns[-1]
    columns[-1] = (f"{title}, softmax", jax.nn.softmax(logits), params)

    # Panels at one scale, in pixels of the input; single values are drawn larger.
    height, gap, top, bottom = 100, 26, 36, 34
    tiles = [mosaic(np.asarray(y[0])) for _, y, _ in columns]
    scales = [2 if i == 0 else 1 if y.ndim == 4 else 7 for i, (_, y, _) in enumerate(columns)]
    widths = [max(scale * tile.shape[1], 36) for scale, tile in zip(scales, tiles, strict=True)]
    total, tall = sum(widths) + gap * len(widths), height + top + bottom
    figure = Figure(figsize=(total / 46, tall / 46))
    left = gap / 2
    for (title, y, params), tile, scale, width in zip(columns, tiles, scales, widths, strict=True):
        rows_, columns_ = (scale * side for side in tile.shape)
        ax = figure.add_axes(
            (
                (left + (width - columns_) / 2) / total,
                (bottom + (height - rows_) / 2) / tall,
                columns_ / total,
                rows_ / tall,
            )
        )
        ax.imshow(tile, cmap="gray_r" if title == "input" else "viridis", aspect="auto")
        ax.set(xticks=[], yticks=range(10) if y.size == 10 else [])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        center = (left + width / 2) / total
        shape = " x ".join(map(str, y.shape[1:]))
        lines = f"{shape}\n{params:,} params" if params else shape
        figure.text(center, (tall - top + 5) / tall, title, ha="center", fontsize=11)
        figure.text(center, (bottom - 5) / tall, lines, ha="center", va="top", fontsize=10)
        if title != "input":
            where = (left - gap / 2) / total, (bottom + height / 2) / tall
            figure.text(*where, "\N{RIGHTWARDS ARROW}", ha="center", va="center", fontsize=18)
        left += width + gap
    text = f"nn.lenet(10), {rows[''].params:,} params, reads a digit"
    figure.text(0.5, 1 - 3 / tall, text, ha="center", va="top", fontsize=13)
    return figure


def mosaic(y: np.ndarray) -> np.ndarray:
    """Maps [height, width, channels] side by side with gaps, or a vector as rows of pixels."""
    if y.ndim == 1:
        return y.reshape(next(rows for rows in (12, 10) if len(y) % rows == 0), -1)
    height, width, channels = y.shape
    columns = int(np.sqrt(channels))
    gap = 2
    tiles = np.full((-(-channels // columns) * (height + gap), columns * (width + gap)), np.nan)
    for i in range(channels):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        tiles[top : top + height, left : left + width] = y[..., i]
    return tiles[:-gap, :-gap]


def training(runs: Path) -> Figure:
    """The history that `python -m examples classification` wrote."""
    folder = runs / "classification"
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    steps = [row["step"] for row in history]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, [row["loss"] for row in history], color="tab:blue")
    left.set(xlabel="step", ylabel="cross entropy (nats)", title="Training loss")
    right.plot(steps, [row["accuracy"] for row in history], label="training batches")
    for value, label, style in (
        (result["value"], "1000 test digits, at the end", "--"),
        (result["baseline_value"], "support vector machine", ":"),
    ):
        right.axhline(value, color="black", ls=style, lw=1.2, label=f"{label}: {value:.3f}")
    right.set(xlabel="step", ylabel="accuracy", title="Accuracy", ylim=(0.5, 1.0))
    right.legend(loc="lower right", fontsize=9)
    for ax in (left, right):
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def gallery(runs: Path) -> Figure:
    """Parts of the figures of several examples, side by side."""
    parts = {}
    for example, (title, (left, top, right, bottom)) in GALLERY.items():
        pixels = imread(runs / example / f"{title}.png")
        height, width = pixels.shape[:2]
        parts[example] = pixels[
            round(top * height) : round(bottom * height), round(left * width) : round(right * width)
        ]
    ratios = [part.shape[1] / part.shape[0] for part in parts.values()]
    figure = Figure(figsize=(sum(ratios) * 2.6, 3), layout="constrained")
    for ax, (example, part) in zip(
        figure.subplots(1, len(parts), width_ratios=ratios, squeeze=False)[0],
        parts.items(),
        strict=True,
    ):
        ax.imshow(part, interpolation="lanczos")
        ax.set_title(example, fontsize=12)
        ax.axis("off")
    return figure


def main(runs: Path) -> None:
    """Writes every image beside this file."""
    mpl.use("agg")
    for name, figure in (("net", net()), ("training", training(runs)), ("gallery", gallery(runs))):
        figure.savefig(HERE / f"{name}.png", dpi=110)
        print(f"{name}.png: {(HERE / f'{name}.png').stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
