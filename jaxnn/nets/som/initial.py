"""Initial weights of a self-organizing map: rows of the data, or the plane of its variance."""

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_key
from jaxnn.nets.som.grid import Grid, check_grid


def map_of_rows(key: jax.Array, x: jax.Array, grid: Grid) -> jax.Array:
    """Initial weights that are rows of x, drawn with replacement.

    Args:
      key: a key of `jax.random.key`.
      x: floats [rows, features], at least one row.
      grid: a `Grid`.

    Returns:
      [units, features] of x's dtype.

    Raises:
      TypeError: if key is not a key, x is not floating point, or grid is not a `Grid`.
      ValueError: if x is not [rows, features] or is empty.

    >>> import jax, jaxnn as nn
    >>> x = jax.random.normal(jax.random.key(0), (10, 2))
    >>> nn.som.map_of_rows(jax.random.key(1), x, nn.som.Grid(2, 2)).shape
    (4, 2)
    """
    check_key(key)
    units = check_grid(grid, "map_of_rows").units
    if core.check_features(x, "map_of_rows").ndim != 2 or not x.size:
        raise ValueError(f"map_of_rows takes x [rows, features], got {core.describe(x)}.")
    return jnp.asarray(x)[jax.random.choice(key, x.shape[0], (units,))]


def map_of_pca(x: jax.Array, grid: Grid) -> jax.Array:
    """Initial weights on the plane of the first two principal components of x.

    w_rc = mean(x) + a_r v_1 + b_c v_2

    v_1 and v_2 are the unit vectors along which x varies most and second most; a_r rises from -1 to
    1 over the rows of the grid, and b_c over its columns.

    Args:
      x: floats [rows, features], finite, at least two of each.
      grid: a `Grid`.

    Returns:
      [units, features] of x's dtype.

    Raises:
      TypeError: if x is not floating point, or grid is not a `Grid`.
      ValueError: if x has fewer than two rows or features, or values that are NaN or infinite.

    >>> import jax, jaxnn as nn
    >>> x = jax.random.normal(jax.random.key(0), (50, 3)) * jax.numpy.array([[1.0, 9.0, 3.0]])
    >>> corner = nn.som.map_of_pca(x, nn.som.Grid(3, 3))[0]
    >>> abs(corner - x.mean(axis=0)).round().tolist()
    [0.0, 1.0, 1.0]
    """
    check_grid(grid, "map_of_pca")
    if core.check_features(x, "map_of_pca").ndim != 2 or min(x.shape) < 2:
        raise ValueError(
            "map_of_pca takes x [rows, features] with at least two rows and two features, got "
            f"{core.describe(x)}; start from map_of_rows instead."
        )
    if not core.traced(x) and not bool(jnp.isfinite(x).all()):
        raise ValueError(
            "map_of_pca: values are missing (NaN) or infinite; start from complete rows."
        )
    dtype, x = x.dtype, core.at_least_float32(jnp.asarray(x))
    mean = x.mean(axis=0)
    with jax.default_matmul_precision("highest"):
        _, directions = jnp.linalg.eigh(jnp.cov(x, rowvar=False))
    first, second = directions[:, -1], directions[:, -2]
    down, across = jnp.linspace(-1, 1, grid.rows), jnp.linspace(-1, 1, grid.columns)
    plane = down[:, None, None] * first + across[None, :, None] * second
    return (mean + plane).reshape(grid.units, -1).astype(dtype)
