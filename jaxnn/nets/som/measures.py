"""Measures of a trained self-organizing map: its errors, its borders, and labels for its units."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.nets.som.grid import Grid, adjacent_units, check_grid, grid_distances
from jaxnn.nets.som.matching import best_matching_units, unit_distances


def quantization_error(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> jax.Array:
    """The mean distance of the rows from their best-matching units: mean_i |x_i - w_{b_i}|.

    Args:
      weights: floats [units, features].
      x: floats [rows, features]; NaN is missing, and rows without any feature are left out.
      distance: "euclidean", "cosine" or "manhattan".

    Returns:
      A float []; NaN if weights are NaN, or if no row is left.

    Raises:
      TypeError: if weights or x are not floating point.
      ValueError: if distance is none of the three, or weights and x differ in features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.quantization_error(jnp.array([[0.0], [4.0]]), jnp.array([[1.0], [4.0]])).tolist()
    0.5
    """
    distances = best_matching_units(weights, x, distance).distance
    present = ~jnp.isnan(x).all(axis=1)  # a NaN of another row comes from the weights, and stays
    rows = present.sum()
    mean = jnp.where(present, distances, 0).sum() / jnp.maximum(rows, 1)
    return jnp.where(rows > 0, mean, jnp.nan)


def topographic_error(
    grid: Grid, weights: jax.Array, x: jax.Array, distance: str = "euclidean"
) -> jax.Array:
    """The share of rows whose two nearest units are not neighbors on the grid.

    Args:
      grid: a `Grid` of at least two units.
      weights: floats [units, features].
      x: floats [rows, features]; NaN is missing, and rows without any feature are left out.
      distance: "euclidean", "cosine" or "manhattan".

    Returns:
      A float [], from 0 to 1; NaN if weights are NaN, or if no row is left.

    Raises:
      TypeError: if grid is not a `Grid`, or weights or x are not floating point.
      ValueError: if the map has a single unit, weights do not fit the grid or x, or distance is
        none of the three.

    (Kiviluoto, Topology preservation in self-organizing maps, 1996.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> weights, x = jnp.array([[0.0], [9.0], [1.0]]), jnp.array([[0.4], [8.0]])
    >>> nn.som.topographic_error(nn.som.Grid(1, 3), weights, x).tolist()
    0.5
    """
    _check_weights(grid, weights, "topographic_error")
    if grid.units < 2:
        raise ValueError(
            "topographic_error: a map of one unit has no second nearest unit; use a larger grid."
        )
    distances = unit_distances(weights, x, distance)
    nearest = jax.lax.top_k(-distances, 2)[1]
    adjacent = jnp.asarray(adjacent_units(grid))[nearest[:, 0], nearest[:, 1]]
    present = ~jnp.isnan(x).all(axis=1)
    rows = present.sum()
    share = (present & ~adjacent).sum() / jnp.maximum(rows, 1)
    known = (rows > 0) & ~jnp.isnan(jnp.where(present[:, None], distances, 0)).any()
    return jnp.where(known, share, jnp.nan)


def u_matrix(grid: Grid, weights: jax.Array, distance: str = "euclidean") -> jax.Array:
    """The mean distance of each unit's weights from those of its neighbors on the grid.

    u_j = mean of |w_j - w_k| over the neighbors k of j. High values are borders between clusters.

    Args:
      grid: a `Grid`.
      weights: floats [units, features].
      distance: "euclidean", "cosine" or "manhattan".

    Returns:
      Floats [rows, columns]; 0 for a map of one unit.

    Raises:
      TypeError: if grid is not a `Grid`, or weights are not floating point.
      ValueError: if weights do not fit the grid or are NaN, or distance is none of the three.

    (Ultsch and Siemon, Kohonen's self organizing feature maps for exploratory data analysis, 1990.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.u_matrix(nn.som.Grid(1, 3), jnp.array([[0.0], [1.0], [5.0]])).tolist()
    [[1.0, 2.5, 4.0]]
    """
    _check_weights(grid, weights, "u_matrix")
    if not core.traced(weights) and bool(jnp.isnan(weights).any()):
        raise ValueError("u_matrix: weights are NaN: the map has not learned.")
    adjacent = jnp.asarray(adjacent_units(grid))
    total = jnp.where(adjacent, unit_distances(weights, weights, distance), 0).sum(axis=1)
    mean = total / jnp.maximum(adjacent.sum(axis=1), 1)
    mean = jnp.where(jnp.isnan(weights).any(axis=1), jnp.nan, mean)
    return mean.reshape(grid.rows, grid.columns)


def hit_map(grid: Grid, index: jax.Array) -> jax.Array:
    """The number of rows that each unit is the best match of.

    Args:
      grid: a `Grid`.
      index: int [rows], the index of `Mapped`; rows of -1 are not counted.

    Returns:
      int32 [rows, columns] of the grid.

    Raises:
      TypeError: if grid is not a `Grid`, or index is not integers.
      ValueError: if an index is not a unit of the grid (checked outside jit only).

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.hit_map(nn.som.Grid(1, 3), jnp.array([0, 2, 2, -1])).tolist()
    [[1, 0, 2]]
    """
    units = check_grid(grid, "hit_map").units
    _check_index(index, units, "hit_map")
    target = jnp.where(index < 0, units, index)  # beyond the last unit, and so dropped
    counts = jnp.zeros(units, jnp.int32).at[target].add(1, mode="drop")
    return counts.reshape(grid.rows, grid.columns)


def component_planes(grid: Grid, weights: jax.Array) -> jax.Array:
    """The weights as one image of the grid for each feature.

    Args:
      grid: a `Grid`.
      weights: floats [units, features].

    Returns:
      [features, rows, columns] of the dtype of weights.

    Raises:
      TypeError: if grid is not a `Grid`, or weights are not floating point.
      ValueError: if weights do not fit the grid.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.component_planes(nn.som.Grid(2, 2), jnp.arange(8.0).reshape(4, 2))[1].tolist()
    [[1.0, 3.0], [5.0, 7.0]]
    """
    _check_weights(grid, weights, "component_planes")
    return weights.T.reshape(-1, grid.rows, grid.columns)


def unit_labels(grid: Grid, index: jax.Array, labels: jax.Array, classes: int) -> jax.Array:
    """A label for each unit: the most frequent label of the rows it is the best match of.

    A unit without rows takes the label of the nearest unit on the grid that has some. New rows are
    classified by `unit_labels(...)[index]`, with the index of those rows.

    Args:
      grid: a `Grid`.
      index: int [rows], the index of `Mapped`; rows of -1 are not counted.
      labels: int [rows], 0 to classes - 1.
      classes: the number of classes, at least 1.

    Returns:
      int32 [units].

    Raises:
      TypeError: if grid is not a `Grid`, or index or labels are not integers.
      ValueError: if index and labels differ in shape, an index or label is out of range, or no row
        has a unit.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> index, labels = jnp.array([0, 0, 3]), jnp.array([1, 1, 0])
    >>> nn.som.unit_labels(nn.som.Grid(1, 4), index, labels, classes=2).tolist()
    [1, 1, 0, 0]
    """
    classes = core.check_int(classes, "unit_labels: classes")
    _check_index(index, check_grid(grid, "unit_labels").units, "unit_labels")
    if index.shape != getattr(labels, "shape", None):
        raise ValueError(
            f"unit_labels takes one label per row, got {core.describe(index)} and "
            f"{core.describe(labels)}."
        )
    check_labels(labels, classes, "unit_labels")
    votes = np.zeros((grid.units, classes), int)
    matched = np.asarray(index) >= 0
    if not matched.any():
        raise ValueError("unit_labels: no row has a best-matching unit: every index is -1.")
    np.add.at(votes, (np.asarray(index)[matched], np.asarray(labels)[matched]), 1)
    labeled = np.flatnonzero(votes.sum(axis=1))
    nearest = labeled[grid_distances(grid)[:, labeled].argmin(axis=1)]
    return jnp.asarray(votes[nearest].argmax(axis=1), jnp.int32)


def _check_weights(grid: Grid, weights: jax.Array, title: str) -> None:
    """Raises unless weights are [units, features] of the grid."""
    units = check_grid(grid, title).units
    if core.check_features(weights, title).ndim != 2 or weights.shape[0] != units:
        raise ValueError(
            f"{title} takes weights [{units}, features] for this grid, got "
            f"{core.describe(weights)}."
        )


def _check_index(index: jax.Array, units: int, title: str) -> None:
    """Raises unless index holds integers below `units`; values are checked outside jit only."""
    dtype = getattr(index, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{title} takes an index of integers, got {core.describe(index)}.")
    if not core.traced(index) and index.size and int(jnp.max(index)) >= units:
        raise ValueError(
            f"{title}: the index {int(jnp.max(index))} is out of range for a grid of {units} units."
        )
