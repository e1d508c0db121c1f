"""Batch training of a self-organizing map, in two parts for data that arrive in chunks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_function, check_number
from jaxnn.nets.som.grid import Grid, check_grid, grid_distances
from jaxnn.nets.som.matching import best_matching_units
from jaxnn.nets.som.neighbourhoods import gaussian_neighbourhood


class Sums(NamedTuple):
    """Sums over the rows that each unit is the best match of.

    Sums of chunks are added: `jax.tree.map(jnp.add, first, second)`.

    totals: floats [units, features], the sums of the features that are not NaN.
    counts: floats [units, features], the number of rows in each sum.
    """

    totals: Any
    counts: Any


def som_sums(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> Sums:
    """Sum the rows of a chunk by their best-matching units, the first part of a batch step.

    totals_j = sum of x_i over the rows i whose best-matching unit is j; counts_j = their number.

    Args:
      weights: floats [units, features].
      x: floats [rows, features]; NaN is missing.
      distance: "euclidean", "cosine" or "manhattan".

    Returns:
      `Sums` of [units, features], in float32 at least.

    Raises:
      TypeError: if weights or x are not floating point.
      ValueError: if distance is none of the three, or weights and x differ in features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> weights, x = jnp.array([[0.0], [9.0]]), jnp.array([[1.0], [2.0], [8.0]])
    >>> nn.som.som_sums(weights, x).counts.tolist()
    [[2.0], [1.0]]
    """
    index = best_matching_units(weights, x, distance).index
    x, present = core.at_least_float32(x), ~jnp.isnan(x)
    # Counts in half precision would stop growing.
    zeros = jnp.zeros(weights.shape, core.at_least_float32(weights).dtype)
    target = jnp.where(index < 0, len(weights), index)  # a row without a unit is dropped

    def add_rows(values):
        return zeros.at[target].add(values.astype(zeros.dtype), mode="drop")

    return Sums(add_rows(jnp.where(present, x, 0)), add_rows(present))


def som_update(
    grid: Grid,
    weights: jax.Array,
    sums: Sums,
    rate: Any = 1.0,
    radius: Any = 1.5,
    neighbourhood: Callable = gaussian_neighbourhood,
) -> jax.Array:
    """Update the weights from the `Sums` of all rows, the second part of a batch step.

    w_j <- w_j + rate (sum_k h(d(j, k)) totals_k / sum_k h(d(j, k)) counts_k - w_j)

    A weight without rows in its neighborhood is unchanged.

    Args:
      grid: a `Grid`.
      weights: floats [units, features].
      sums: the `Sums` of the chunks, added.
      rate: the learning rate, a number of at least 0.
      radius: the radius of the neighborhood, a positive number in columns of the grid.
      neighbourhood: h, a function (distance, radius) -> weight of a row.

    Returns:
      [units, features] of the dtype of weights.

    Raises:
      TypeError: if grid is not a `Grid`, sums is not `Sums`, or neighbourhood is not a function.
      ValueError: if rate or radius is out of range, or weights and sums do not fit the grid.

    (Kohonen, Essentials of the self-organizing map, 2013.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> grid, weights = nn.som.Grid(1, 2), jnp.array([[0.0], [9.0]])
    >>> first = nn.som.som_sums(weights, jnp.array([[1.0], [3.0]]))
    >>> second = nn.som.som_sums(weights, jnp.array([[8.0]]))
    >>> sums = jax.tree.map(jnp.add, first, second)
    >>> nn.som.som_update(grid, weights, sums, radius=0.01).ravel().tolist()
    [2.0, 8.0]
    """
    units = check_grid(grid, "som_update").units
    if not isinstance(sums, Sums):
        raise TypeError(f"som_update takes sums of nn.som.som_sums, got {core.describe(sums)}.")
    check_number(rate, "som_update: rate", least=0)
    check_number(radius, "som_update: radius", above=0)
    check_function(neighbourhood, "som_update: neighbourhood")
    shape = (units, weights.shape[-1]) if getattr(weights, "ndim", 0) == 2 else None
    if shape is None or any(getattr(each, "shape", None) != shape for each in (weights, *sums)):
        raise ValueError(
            f"som_update takes weights and sums [{units}, features], got "
            f"{core.describe((weights, *sums))}."
        )
    influence = neighbourhood(jnp.asarray(grid_distances(grid), weights.dtype), radius)
    influence = influence.astype(sums.totals.dtype)
    totals = jnp.matmul(influence, sums.totals, precision="highest")
    counts = jnp.matmul(influence, sums.counts, precision="highest")
    reached = counts > 0
    target = totals / jnp.where(reached, counts, jnp.ones_like(counts))
    return weights + jnp.where(reached, rate * (target - weights), 0).astype(weights.dtype)
