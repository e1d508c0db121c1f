"""The figures of the example `som`."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import RegularPolygon

import jaxnn as nn

SPECIES = ("setosa", "versicolor", "virginica")
MEASURES = ("sepal length", "sepal width", "petal length", "petal width")


def draw_iris(grid: nn.som.Grid, weights: jax.Array, x: np.ndarray, species: np.ndarray) -> Figure:
    """The borders of the map of irises with the species on it, and a plane for each measure."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    figure.suptitle("150 irises on a map of 10 x 10 units", fontsize=15)
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    axes = left.subplots()
    image = axes.imshow(nn.som.u_matrix(grid, weights), cmap="gray_r", origin="lower")
    left.colorbar(image, ax=axes, label="mean distance to neighbors (deviations)", shrink=0.8)
    index = np.asarray(nn.som.best_matching_units(weights, jnp.asarray(x)).index)
    row, column = np.divmod(index, grid.columns)
    # Flowers of one unit would hide each other.
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, (2, len(x)))
    for label, name in enumerate(SPECIES):
        of = species == label
        axes.scatter(column[of] + spread[1][of], row[of] + spread[0][of], s=12, label=name)
    axes.set(title="U-matrix: dark is a border", xlabel="column of units", ylabel="row of units")
    axes.legend(loc="upper right")
    planes = np.asarray(nn.som.component_planes(grid, weights))
    for axes, plane, title in zip(right.subplots(2, 2).flat, planes, MEASURES, strict=True):
        image = axes.imshow(plane, cmap="viridis", origin="lower")
        axes.set(title=title, xlabel="column of units", ylabel="row of units")
        right.colorbar(image, ax=axes, label="standard deviations", shrink=0.8)
    return figure


def draw_digits(
    grid: nn.som.Grid,
    weights: jax.Array,
    clusters: np.ndarray,
    index: jax.Array,
    labels: np.ndarray,
) -> Figure:
    """The hexagonal map of digits: its units, its borders with labels, and its clusters.

    Args:
      grid: of the map.
      weights: [units, 64].
      clusters: int [units], the cluster of each unit.
      index: int [rows], the unit of each digit.
      labels: int [rows], the digits.
    """
    figure = Figure(figsize=(15, 5.6), layout="constrained")
    figure.suptitle("1797 digits on a hexagonal map of 14 x 14 units", fontsize=15)
    units, borders, found = figure.subplots(1, 3)
    positions = nn.som.unit_positions(grid)
    for unit, (x, y) in enumerate(positions):
        image = np.asarray(weights[unit]).reshape(8, 8)
        extent = (x - 0.42, x + 0.42, y - 0.42, y + 0.42)
        units.imshow(image, cmap="gray_r", extent=extent, vmin=0, vmax=1)
    units.set_title("The digit that each unit represents")
    heights = np.asarray(nn.som.u_matrix(grid, weights)).ravel()
    shades = (heights - heights.min()) / (heights.max() - heights.min())
    _cells(borders, positions, [str(1 - 0.8 * shade) for shade in shades])
    borders.set_title("Borders (dark), and the most frequent digit of each unit")
    _cells(found, positions, [f"C{cluster}" for cluster in clusters])
    found.set_title("Clusters of units by k-means (colors)")
    frequent = np.asarray(nn.som.unit_labels(grid, index, jnp.asarray(labels), 10))
    hits = np.asarray(nn.som.hit_map(grid, index)).ravel()
    for axes in (borders, found):
        for unit, (x, y) in enumerate(positions):
            if hits[unit]:
                axes.text(x, y, str(frequent[unit]), ha="center", va="center", fontsize=8)
    for axes in (units, borders, found):
        axes.set(xlim=(-1, 15), ylim=(-1, 12.3), aspect="equal")
        axes.set(xlabel="along the rows of units", ylabel="across the rows")
    return figure


def _cells(axes: Axes, positions: np.ndarray, colors: list[str]) -> None:
    """Draw a hexagon for each unit."""
    for (x, y), color in zip(positions, colors, strict=True):
        axes.add_patch(RegularPolygon((x, y), 6, radius=0.577, facecolor=color, edgecolor="white"))
