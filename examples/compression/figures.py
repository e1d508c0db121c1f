"""The figures of the example `compression`."""

import numpy as np
from matplotlib.figure import Figure

from examples.compression.training import Compressed


def draw_errors(found: dict[str, dict[int, Compressed]]) -> Figure:
    """The error over the size of the code, for each kind of images."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle("Error over the size of the code, on test images", fontsize=15)
    for axes, (title, by_code) in zip(figure.subplots(1, 2), found.items(), strict=True):
        codes = sorted(by_code)
        errors = [by_code[code].error for code in codes]
        axes.plot(codes, errors, "o-", label="autoencoder")
        errors = [by_code[code].components_error for code in codes]
        axes.plot(codes, errors, "s--", label="principal components")
        axes.set(xscale="log", yscale="log", title=f"Test {title}")
        axes.set(xlabel="numbers in the code", ylabel="mean squared error (white is 1)")
        axes.set_xticks(codes, [str(code) for code in codes])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def draw_images(found: Compressed, shape: tuple[int, int], title: str, code: int) -> Figure:
    """Ten test images, and both restorations from their code."""
    some = np.linspace(0, len(found.images) - 1, 10).astype(int)
    versions = (found.images, found.by_components, found.by_network)
    rows = [np.concatenate([x[i].reshape(shape) for i in some], axis=1) for x in versions]
    figure = Figure(figsize=(12, 0.8 + 3.2 * shape[0] / shape[1]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.concatenate(rows), cmap="gray", vmin=0, vmax=1)
    axes.set_title(f"Test {title}, and their restorations from {code} numbers", fontsize=15)
    names = ("original", f"{code} principal\ncomponents", f"autoencoder\nof {code}")
    axes.set_yticks([(row + 0.5) * shape[0] for row in range(3)], names, fontsize=11)
    axes.set_xticks([])
    return figure
