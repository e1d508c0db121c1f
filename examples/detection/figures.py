"""The figure of the example `detection`."""

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import jaxnn as nn

Objects = nn.detection.Objects
SCORE = 0.3  # the lowest score of a box that is drawn
OVERLAP = 0.5  # of a box that counts as found


def draw_scenes(x: np.ndarray, found: Objects, truth: Objects) -> Figure:
    """The scenes with the most mistakes, and others: boxes that are right, wrong and missed."""
    verdicts = [judged(scene(found, i), scene(truth, i)) for i in range(len(x))]
    mistakes = np.array([(~right).sum() + missed.sum() for right, missed in verdicts])
    worst = np.argsort(-mistakes, kind="stable")[:4]
    rest = np.setdiff1d(np.arange(len(x)), worst)[:8]
    hits = sum(int(right.sum()) for right, _ in verdicts)
    figure = Figure(figsize=(12, 10.2), layout="constrained")
    figure.suptitle(
        f"Digits in {len(x)} test scenes: {hits} of {int(truth.mask.sum())} found and classified "
        f"(green), {sum(int((~right).sum()) for right, _ in verdicts)} boxes wrong (red), "
        f"{sum(int(missed.sum()) for _, missed in verdicts)} digits missed (orange)\n"
        f"Above the four scenes with the most mistakes, below the first eight others",
        fontsize=13,
    )
    for axes, i in zip(figure.subplots(3, 4).flat, [*worst, *rest], strict=False):
        axes.imshow(x[i], cmap="gray", vmin=0, vmax=255)
        right, missed = verdicts[i]
        for n, good in zip(np.flatnonzero(found.mask[i] >= SCORE), right, strict=True):
            text = f"{found.labels[i, n]}  {100 * found.mask[i, n]:.0f} %"
            mark(axes, found.boxes[i, n], "limegreen" if good else "red", text)
        for n in np.flatnonzero(missed):
            mark(axes, truth.boxes[i, n], "darkorange", str(truth.labels[i, n]), "--")
        axes.set(xticks=[0, 48, 95], yticks=[0, 48, 95], xlabel="pixels")
    return figure


def scene(objects: Objects, index: int) -> Objects:
    """The objects of one scene."""
    return Objects(*(part[index] for part in objects))


def judged(found: Objects, truth: Objects) -> tuple[np.ndarray, np.ndarray]:
    """(which of the drawn boxes of a scene are right, which of its objects were missed)."""
    missed = truth.mask.astype(bool).copy()
    right = []
    drawn = found.mask >= SCORE
    overlaps = np.asarray(
        nn.detection.pairwise_iou(jnp.asarray(found.boxes[drawn]), jnp.asarray(truth.boxes))
    )
    for label, overlap in zip(found.labels[drawn], overlaps, strict=True):
        fits = np.where(missed & (truth.labels == label), overlap, 0)
        right.append(fits.max() >= OVERLAP)
        missed[fits.argmax()] &= not right[-1]
    return np.array(right, bool), missed


def mark(axes: Axes, box: np.ndarray, color: str, text: str, style: str = "-") -> None:
    """Draw a box with a text above it."""
    left, top, right, bottom = box
    corner = (left - 0.5, top - 0.5)
    width, height = right - left, bottom - top
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec=color, ls=style, lw=1.5))
    axes.text(left, top - 1.5, text, color=color, fontsize=9)
