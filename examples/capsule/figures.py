"""The figures of the example `capsule`."""

import numpy as np
from matplotlib.figure import Figure

from examples.capsule.robustness import ANGLES, Robustness


def draw_angles(networks: dict[str, Robustness], changed: np.ndarray) -> Figure:
    """The accuracy of each network at each angle, and what the changed test images look like.

    Args:
      networks: the accuracies, by the name of the network.
      changed: [2 angles, 28, 28, 1], an image at each of ANGLES, then as often warped.
    """
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    figure.suptitle("Digits learned upright, classified rotated and warped", fontsize=15)
    top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 1.2))[:, 0]
    axes = top.subplots()
    for color, (name, found) in zip(("tab:blue", "tab:orange"), networks.items(), strict=True):
        axes.plot(ANGLES, 100 * found.rotated, "o-", color=color, label=f"{name}, rotated")
        label = f"{name}, affine-warped (any angle)"
        axes.axhline(100 * found.warped, ls="--", color=color, label=label)
    axes.set(xlabel="angle, counterclockwise (degrees)", ylabel="accuracy (% of test digits)")
    axes.set(xticks=ANGLES)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="lower center")
    for i, axes in enumerate(below.subplots(2, len(ANGLES)).flat):
        axes.imshow(changed[i, ..., 0], cmap="gray_r")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{ANGLES[i]} degrees" if i < len(ANGLES) else "warped", fontsize=8)
    return figure


def draw_dimensions(offsets: np.ndarray, reconstructions: dict[int, np.ndarray]) -> Figure:
    """What each dimension of a digit's capsule represents.

    Args:
      offsets: what was added to a dimension.
      reconstructions: by digit, [dimensions, offsets, 28, 28], the image decoded from its capsule
        after adding each offset to each dimension.
    """
    figure = Figure(figsize=(15, 11.5), layout="constrained")
    figure.suptitle(
        "What each dimension of a capsule represents: reconstructions from one capsule while one "
        "of its 16 numbers changes",
        fontsize=15,
    )
    parts = figure.subfigures(1, len(reconstructions), squeeze=False)[0]
    for part, (digit, images) in zip(parts, reconstructions.items(), strict=True):
        dimensions = len(images)
        sheet = images.transpose(0, 2, 1, 3).reshape(dimensions * 28, len(offsets) * 28)
        axes = part.subplots()
        axes.imshow(sheet, cmap="gray_r")
        for line in np.arange(1, dimensions) * 28 - 0.5:
            axes.axhline(line, color="tab:blue", lw=0.4)
        axes.set(
            title=f"a {digit} of the test digits",
            xlabel="added to the dimension (capsules are shorter than 1)",
            ylabel="dimension of the capsule (index)",
        )
        labels = [f"{offset:.2f}" for offset in offsets[::2]]
        axes.set_xticks(np.arange(0, len(offsets), 2) * 28 + 14, labels)
        axes.set_yticks(np.arange(dimensions) * 28 + 14, [str(i) for i in range(dimensions)])
    return figure
