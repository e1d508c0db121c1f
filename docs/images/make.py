"""Draws the images of the README: `PYTHONPATH=. python docs/images/make.py [RUNS]`.

RUNS is the folder with the results of `python -m examples NAME`, `runs` by default, for
classification and for every example in `GALLERY`.
"""

import io
import json
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image

import jaxnn as nn
from examples import data

HERE = Path(__file__).parent
# By example: a caption, a figure, and the part of it to show: left, top, right and bottom, in
# thousandths of its width and height, without legends, which would be too small to read.
GALLERY = {
    "neuron": ("the boundary of two species", "descent", (57, 544, 398, 846)),
    "som": ("a map of digits", "digits", (703, 200, 997, 852)),
    "classification": ("digits that it reads wrong", "digits", (500, 85, 780, 540)),
    "rbf": ("centers and widths", "series", (640, 568, 862, 872)),
    "anomaly": ("normal and anomalous readings", "anomalies", (40, 345, 326, 899)),
}


class Panel(NamedTuple):
    """The output of a layer for one image, or of a layer and the activation after it."""

    title: str
    y: np.ndarray
    params: int


def panels() -> tuple[list[Panel], int]:
    """What each layer of a LeNet makes of a digit after a short training, and its params."""
    digits = data.digits()
    x, lenet = jnp.asarray(digits.x).reshape(-1, 28, 28, 1), nn.lenet(10)
    optimizer = optax.adam(1e-3)
    loss = nn.training.supervised(lenet, optax.softmax_cross_entropy_with_integer_labels)
    step = nn.training.step(loss, optimizer)
    train = nn.training.init_train(lenet, optimizer, jax.random.key(0), x[:32])
    end = nn.training.fit(step, train, (x, digits.y), steps=600, batch_size=64)

    digit = jnp.asarray(digits.test_x[digits.test_y == 4][:1]).reshape(1, 28, 28, 1)
    rows = {row.path: row for row in nn.summary_rows(lenet, digit)}
    found = [Panel("input", np.asarray(digit[0]), 0)]
    for path, y in nn.taps(lenet, end.train.params, (), digit).items():
        kind, y = rows[path].kind, np.asarray(y[0])
        if kind == "tanh":
            found[-1] = Panel(f"{found[-1].title}, tanh", y, found[-1].params)
        elif kind != "flatten":
            found.append(Panel(kind, y, rows[path].params))
    logits = found[-1]
    chances = np.asarray(jax.nn.softmax(logits.y))
    found[-1] = Panel(f"{logits.title}, softmax", chances, logits.params)
    return found, rows[""].params


def net() -> Figure:
    """The panels of a LeNet in a row, with shapes and numbers of params."""
    shown, params = panels()
    # In pixels of the input, at one scale for all maps; single values are drawn larger.
    height, gap, top, bottom = 100, 26, 34, 28
    scales = [2 if y.shape[-1] == 1 else 1 if y.ndim == 3 else 7 for _, y, _ in shown]
    tiles = [
        np.kron(mosaic(y), np.ones((scale, scale)))
        for (_, y, _), scale in zip(shown, scales, strict=True)
    ]
    widths = [max(tile.shape[1], 36) for tile in tiles]
    across, down = sum(widths) + gap * len(widths), height + top + bottom
    figure = Figure(figsize=(across / 46, down / 46))
    text = partial(figure.text, ha="center")
    heading = f"nn.lenet(10) reads a digit with {params:,} params"
    text(0.5, 1 - 4 / down, heading, va="top", fontsize=13)
    left = gap / 2
    for panel, tile, width in zip(shown, tiles, widths, strict=True):
        center, middle = left + width / 2, bottom + height / 2
        rows, columns = tile.shape
        corner = (center - columns / 2) / across, (middle - rows / 2) / down
        ax = figure.add_axes((*corner, columns / across, rows / down))
        ax.imshow(tile, cmap="gray_r" if panel.title == "input" else "viridis", aspect="auto")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(panel.title == "input")
        ax.spines[:].set_color("0.8")
        if panel.y.shape == (10,):
            ax.set_yticks(7 * np.arange(10) + 3, labels=map(str, range(10)))
            ax.tick_params(length=0)
        lines = " x ".join(map(str, panel.y.shape))
        lines += f"\n{panel.params:,} params" if panel.params else ""
        text(center / across, (down - top + 6) / down, panel.title, fontsize=11)
        text(center / across, (bottom - 5) / down, lines, va="top", fontsize=10)
        if panel.title != "input":
            arrow = "\N{RIGHTWARDS ARROW}"
            text((left - gap / 2) / across, middle / down, arrow, va="center", fontsize=18)
        left += width + gap
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
    left.set(
        xlabel="step", ylabel="cross entropy (nats)", title="Training loss, with smoothed labels"
    )
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
    parts = []
    for example, (_, title, corners) in GALLERY.items():
        pixels = imread(runs / example / f"{title}.png")
        height, width = pixels.shape[:2]
        left, top, right, bottom = (
            round(corner * side / 1000)
            for corner, side in zip(corners, (width, height) * 2, strict=True)
        )
        parts.append(pixels[top:bottom, left:right])
    ratios = [part.shape[1] / part.shape[0] for part in parts]
    figure = Figure(figsize=(sum(ratios) * 2 + 0.5, 2.6), layout="constrained")
    axes = figure.subplots(1, len(parts), width_ratios=ratios)
    for ax, part, (example, (caption, *_)) in zip(axes, parts, GALLERY.items(), strict=True):
        ax.imshow(part, interpolation="antialiased", aspect="auto")
        ax.set_title(example, fontsize=13)
        ax.set_xlabel(caption, fontsize=10)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_color("0.8")
    return figure


def write(figure: Figure, path: Path) -> None:
    """Writes a figure in 256 colors, which takes half the bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110)
    image = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KB")


def main(runs: Path) -> None:
    """Writes every image beside this file."""
    write(net(), HERE / "net.png")
    write(training(runs), HERE / "training.png")
    write(gallery(runs), HERE / "gallery.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
