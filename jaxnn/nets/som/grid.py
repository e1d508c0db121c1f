"""The grid of a self-organizing map: the positions of its units, and which units are neighbors."""

from typing import NamedTuple

import numpy as np

from jaxnn import core
from jaxnn.checks import check_choice

MAX_UNITS = 1 << 16  # in one grid


class Grid(NamedTuple):
    """The arrangement of a map's units, numbered row by row.

    rows: the number of rows.
    columns: the number of columns; the grid has rows * columns units.
    hexagonal: whether every other row is shifted by half a column, so that each unit has six
      neighbors at distance 1; otherwise it has eight, at distances 1 and sqrt(2).
    torus: whether opposite edges are joined, left to right and top to bottom.
    """

    rows: int
    columns: int
    hexagonal: bool = False
    torus: bool = False

    @property
    def units(self) -> int:
        """The number of units, rows * columns."""
        return self.rows * self.columns


def check_grid(grid: Grid, title: str) -> Grid:
    """`grid`; raises ValueError if it has no units, too many, or edges that do not join."""
    if not isinstance(grid, Grid):
        raise TypeError(f"{title} takes a grid, such as nn.som.Grid(6, 6), got {grid!r}.")
    for name in ("rows", "columns"):
        core.check_int(getattr(grid, name), f"{title}: {name} of the grid")
    for name in ("hexagonal", "torus"):
        check_choice(getattr(grid, name), f"{title}: {name} of the grid", (False, True))
    if grid.units > MAX_UNITS:
        raise ValueError(
            f"{title}: a grid of {grid.rows} x {grid.columns} has {grid.units} units, whose "
            f"pairwise distances would not fit in memory: use at most {MAX_UNITS} units."
        )
    if grid.hexagonal and grid.torus and grid.rows % 2:
        raise ValueError(
            f"{title}: a hexagonal torus needs an even number of rows, so that its top joins its "
            f"bottom, got {grid.rows}."
        )
    return grid


def unit_positions(grid: Grid) -> np.ndarray:
    """The position of each unit in the plane.

    Args:
      grid: a `Grid`.

    Returns:
      Floats [units, 2], in columns of the grid: x to the right and y upward.

    Raises:
      TypeError: if grid is not a `Grid`.
      ValueError: if grid has no units, has more than 65536, or is a hexagonal torus with an odd
        number of rows.

    >>> import jaxnn as nn
    >>> nn.som.unit_positions(nn.som.Grid(2, 2, hexagonal=True)).round(2).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.5, 0.87], [1.5, 0.87]]
    """
    y, x = np.divmod(np.arange(check_grid(grid, "unit_positions").units), grid.columns)
    if not grid.hexagonal:
        return np.stack([x, y], axis=1).astype(float)
    return np.stack([x + 0.5 * (y % 2), y * np.sqrt(0.75)], axis=1)


def grid_distances(grid: Grid) -> np.ndarray:
    """The Euclidean distance between every two units on the grid, across its edges on a torus.

    Args:
      grid: a `Grid`.

    Returns:
      Floats [units, units], in columns of the grid.

    Raises:
      TypeError: if grid is not a `Grid`.
      ValueError: if grid is not valid; see `unit_positions`.

    >>> import jaxnn as nn
    >>> nn.som.grid_distances(nn.som.Grid(1, 4, torus=True))[0].tolist()
    [0.0, 1.0, 2.0, 1.0]
    """
    positions = unit_positions(grid)
    offsets = np.abs(positions[:, None] - positions[None])
    if grid.torus:
        height = grid.rows * (np.sqrt(0.75) if grid.hexagonal else 1.0)
        offsets = np.minimum(offsets, np.array([grid.columns, height]) - offsets)
    return np.sqrt(np.square(offsets).sum(axis=-1))


def adjacent_units(grid: Grid) -> np.ndarray:
    """Whether two units are neighbors: up to eight around each unit, or six on a hexagonal grid.

    Args:
      grid: a `Grid`.

    Returns:
      Booleans [units, units]; a unit is not its own neighbor.

    Raises:
      TypeError: if grid is not a `Grid`.
      ValueError: if grid is not valid; see `unit_positions`.

    >>> import jaxnn as nn
    >>> nn.som.adjacent_units(nn.som.Grid(3, 3)).sum(axis=1).tolist()
    [3, 5, 3, 5, 8, 5, 3, 5, 3]
    """
    distances = grid_distances(grid)
    return (distances > 0) & (distances < (1.1 if grid.hexagonal else 1.5))
