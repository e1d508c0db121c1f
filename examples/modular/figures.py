"""The figures of the example."""

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from examples.modular.pieces import CENTERS, EXPERTS, FEATURES, Pieces, surface

SIDE = 200  # points along each side of the plane
HEIGHTS = Normalize(-3, 3)  # of the target, by color
COLORS = "RdBu"
# The other inputs, where the plane is drawn.
OTHER_INPUTS = np.resize([0.5, -0.5], FEATURES - 2)


def draw_pieces(pieces: Pieces) -> Figure:
    """Draw the target, the regions of the experts, and the outputs of both networks."""
    side = np.linspace(-1, 1, SIDE)
    plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    others = np.tile(OTHER_INPUTS, (len(plane), 1))
    points = np.concatenate([plane, others], axis=1).astype(np.float32)
    target, cell = surface(points)
    mixture = pieces.mixture_net(points)
    mixture_title = (
        f"Mixture of {EXPERTS} linear experts\nmean squared error {pieces.errors['mixture']:.3f}"
    )
    single_title = f"Network with {pieces.single_name}\nmean squared error {pieces.single:.3f}"
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    panels = figure.subplots(1, 4)
    _draw_heights(panels[0], target, "The target")
    _draw_heights(panels[2], mixture.output, mixture_title)
    _draw_heights(panels[3], pieces.single_net(points), single_title)
    figure.colorbar(ScalarMappable(HEIGHTS, COLORS), ax=panels[3], label="target")
    _draw_regions(panels[1], side, np.asarray(mixture.log_weights).argmax(axis=1), cell)
    for axes in panels:
        axes.set(xlabel="x, first coordinate", ylabel="x, second coordinate")
    return figure


def _draw_heights(axes: Axes, heights, title: str) -> None:
    axes.imshow(
        np.reshape(heights, (SIDE, SIDE)),
        extent=(-1, 1, -1, 1),
        origin="lower",
        interpolation="nearest",
        norm=HEIGHTS,
        cmap=COLORS,
    )
    axes.set_title(title, fontsize=11)


def _draw_regions(axes: Axes, side: np.ndarray, expert: np.ndarray, cell: np.ndarray) -> None:
    expert = expert.reshape(SIDE, SIDE)
    axes.imshow(
        expert,
        extent=(-1, 1, -1, 1),
        origin="lower",
        interpolation="nearest",
        cmap="tab20",
        vmin=0,
        vmax=19,
    )
    for number in np.unique(expert):
        rows, columns = np.nonzero(expert == number)
        x, y = side[int(np.median(columns))], side[int(np.median(rows))]
        axes.text(x, y, str(number), ha="center", va="center", weight="bold")
    for number in range(len(CENTERS)):
        inside = (cell == number).reshape(SIDE, SIDE).astype(float)
        axes.contour(side, side, inside, levels=[0.5], colors="black", linewidths=0.8)
    axes.set_title("The expert of each point\n(number), and the cells (lines)", fontsize=11)


def draw_text(
    sparse: list[dict[str, float]],
    dense: list[dict[str, float]],
    loss: float,
    dense_loss: float,
    usage: list[jax.Array],
) -> Figure:
    """Draw the losses of both networks of characters, and the usage of each expert.

    Args:
      sparse, dense: the history of each network.
      loss, dense_loss: of each network on the last tenth of the text.
      usage: floats [experts] for each block, the share of characters of each expert.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(
        f"Shakespeare: {loss:.3f} nats per character with experts, {dense_loss:.3f} without",
        fontsize=14,
    )
    left, right = figure.subplots(1, 2)
    for rows, title in ((sparse, "2 of 8 experts"), (dense, "dense, as many multiply-adds")):
        left.plot([row["step"] for row in rows], [row["loss"] for row in rows], "o-", label=title)
    left.set(title="Training text, mean since the last", xlabel="step", ylabel="loss (nats)")
    left.legend()
    for block, share in enumerate(usage):
        positions = [expert + 0.4 * block for expert in range(len(share))]
        right.bar(positions, share, 0.4, label=f"block {block}")
    right.axhline(1 / len(usage[0]), color="gray", linestyle=":", label="equal shares")
    right.set(
        title="Usage of the experts, last step", xlabel="expert", ylabel="share of characters"
    )
    right.set_ylim(top=1.2 * max(float(share.max()) for share in usage))
    right.legend(ncols=3)
    return figure
