"""What a self-organizing map shows: its errors, its borders, and what its units stand for."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.nets.som.grid import Grid, adjacent_units, checked, grid_distances
from jaxnn.nets.som.matching import best_matching_units, unit_distances


def quantization_error(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> jax.Array:
    """The mean distance of rows from their winners; rows without any feature are left out.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.quantization_error(jnp.array([[0.0], [4.0]]), jnp.array([[1.0], [4.0]])).tolist()
    0.5
    """
    found = best_matching_units(weights, x, distance).distance
    there = ~jnp.isnan(x).all(axis=1)  # NaN of other rows is that of the weights, and stays
    rows = there.sum()
    mean = jnp.where(there, found, 0).sum() / jnp.maximum(rows, 1)
    return jnp.where(rows > 0, mean, jnp.nan)


def topographic_error(
    grid: Grid, weights: jax.Array, x: jax.Array, distance: str = "euclidean"
) -> jax.Array:
    """The share of rows whose two nearest units do not touch on the grid.

    Raises:
      ValueError: for a map of one unit, where there is no second.

    (Kiviluoto, Topology preservation in self-organizing maps, 1996.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> weights, x = jnp.array([[0.0], [9.0], [1.0]]), jnp.array([[0.4], [8.0]])
    >>> nn.som.topographic_error(nn.som.Grid(1, 3), weights, x).tolist()
    0.5
    """
    _fitting(grid, weights, "topographic_error")
    if grid.units < 2:
        raise ValueError("topographic_error: a map of one unit has no second nearest; use 1 x 2.")
    apart = unit_distances(weights, x, distance)
    nearest = jax.lax.top_k(-apart, 2)[1]
    touch = jnp.asarray(adjacent_units(grid))[nearest[:, 0], nearest[:, 1]]
    there = ~jnp.isnan(x).all(axis=1)
    rows = there.sum()
    share = (there & ~touch).sum() / jnp.maximum(rows, 1)
    known = (rows > 0) & ~jnp.isnan(jnp.where(there[:, None], apart, 0)).any()
    return jnp.where(known, share, jnp.nan)


def u_matrix(grid: Grid, weights: jax.Array, distance: str = "euclidean") -> jax.Array:
    """The mean distance of each unit's weights from its neighbours', [rows, columns].

    High values are borders between clusters; a map of one unit has 0.

    (Ultsch and Siemon, Kohonen's self organizing feature maps for exploratory data analysis, 1990.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.u_matrix(nn.som.Grid(1, 3), jnp.array([[0.0], [1.0], [5.0]])).tolist()
    [[1.0, 2.5, 4.0]]
    """
    _fitting(grid, weights, "u_matrix")
    if not core.traced(weights) and bool(jnp.isnan(weights).any()):
        raise ValueError("u_matrix: weights are NaN: the map has not learned.")
    touch = jnp.asarray(adjacent_units(grid))
    apart = jnp.where(touch, unit_distances(weights, weights, distance), 0).sum(axis=1)
    mean = apart / jnp.maximum(touch.sum(axis=1), 1)
    mean = jnp.where(jnp.isnan(weights).any(axis=1), jnp.nan, mean)
    return mean.reshape(grid.rows, grid.columns)


def hit_map(grid: Grid, index: jax.Array) -> jax.Array:
    """How many rows each unit won, int32 [rows, columns], of indices as `som` gives them.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.hit_map(nn.som.Grid(1, 3), jnp.array([0, 2, 2, -1])).tolist()
    [[1, 0, 2]]
    """
    units = checked(grid, "hit_map").units
    _indices(index, units, "hit_map")
    place = jnp.where(index < 0, units, index)
    counts = jnp.zeros(units, jnp.int32).at[place].add(1, mode="drop")
    return counts.reshape(grid.rows, grid.columns)


def component_planes(grid: Grid, weights: jax.Array) -> jax.Array:
    """The weights as one picture a feature, [features, rows, columns].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.component_planes(nn.som.Grid(2, 2), jnp.arange(8.0).reshape(4, 2))[1].tolist()
    [[1.0, 3.0], [5.0, 7.0]]
    """
    _fitting(grid, weights, "component_planes")
    return weights.T.reshape(-1, grid.rows, grid.columns)


def unit_labels(grid: Grid, index: jax.Array, labels: jax.Array, classes: int) -> jax.Array:
    """What each unit stands for, int32 [units]: the label of most of the rows that it won.

    A unit that won none takes the label of the nearest on the grid that won some. To classify:
    `unit_labels(...)[index of new rows]`.

    Args:
      index: int [rows], as `som` gives it.
      labels: int [rows], 0 to classes - 1.
      classes: how many.

    Raises:
      ValueError: where index and labels differ in shape, or no row won a unit.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.unit_labels(nn.som.Grid(1, 4), jnp.array([0, 0, 3]), jnp.array([1, 1, 0]),
    ...     2).tolist()
    [1, 1, 0, 0]
    """
    classes = core.check_int(classes, "unit_labels: classes")
    _indices(index, checked(grid, "unit_labels").units, "unit_labels")
    if index.shape != getattr(labels, "shape", None):
        raise ValueError(
            f"unit_labels takes a label a row, got {core.describe(index)} and "
            f"{core.describe(labels)}."
        )
    check_labels(labels, classes, "unit_labels")
    votes = np.zeros((grid.units, classes), int)
    there = np.asarray(index) >= 0
    if not there.any():
        raise ValueError("unit_labels: no row won a unit, so that none has a label.")
    np.add.at(votes, (np.asarray(index)[there], np.asarray(labels)[there]), 1)
    won = np.flatnonzero(votes.sum(axis=1))
    nearest = won[grid_distances(grid)[:, won].argmin(axis=1)]
    return jnp.asarray(votes[nearest].argmax(axis=1), jnp.int32)


def _fitting(grid: Grid, weights: jax.Array, title: str) -> None:
    """Raises where weights are not [units, features] of the grid."""
    units = checked(grid, title).units
    if core.check_features(weights, title).ndim != 2 or weights.shape[0] != units:
        raise ValueError(
            f"{title} takes weights [{units}, features] for this grid, got "
            f"{core.describe(weights)}."
        )


def _indices(index: jax.Array, units: int, title: str) -> None:
    """Raises where index is not integers below units; values are looked at outside of jit alone."""
    kind = getattr(index, "dtype", None)
    if kind is None or not jnp.issubdtype(kind, jnp.integer):
        raise TypeError(f"{title} takes an index of integers, got {core.describe(index)}.")
    if not core.traced(index) and index.size and int(jnp.max(index)) >= units:
        raise ValueError(f"{title}: an index is {int(jnp.max(index))}, of a grid of {units} units.")
