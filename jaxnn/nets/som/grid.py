"""The grid of a self-organizing map: where its units lie, and which are neighbours."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxnn import core
from jaxnn.checks import check_choice

MOST = 1 << 16  # units of a grid


class Grid(NamedTuple):
    """Where the units of a map lie, row by row.

    rows, columns: how many; there are rows x columns units.
    hexagonal: whether every other row is moved by half a column, so that each unit has six
      neighbours at distance 1; else there are eight, at distance 1 and sqrt 2.
    torus: whether the edges meet, left with right and top with bottom.
    """

    rows: int
    columns: int
    hexagonal: bool = False
    torus: bool = False

    @property
    def units(self) -> int:
        """How many there are."""
        return self.rows * self.columns


def checked(grid: Grid, title: str) -> Grid:
    """The grid; raises ValueError where it has no units, or its edges cannot meet."""
    if not isinstance(grid, Grid):
        raise TypeError(f"{title} takes a grid, such as nn.som.Grid(6, 6), got {grid!r}.")
    for name in ("rows", "columns"):
        core.check_int(getattr(grid, name), f"{title}: {name} of the grid")
    for name in ("hexagonal", "torus"):
        check_choice(getattr(grid, name), f"{title}: {name} of the grid", (False, True))
    if grid.units > MOST:
        raise ValueError(
            f"{title}: a grid of {grid.rows} x {grid.columns} has {grid.units} units, whose "
            f"distances from each other fill the memory: {MOST} units at most."
        )
    if grid.hexagonal and grid.torus and grid.rows % 2:
        raise ValueError(
            f"{title}: the top of a hexagonal torus fits its bottom for an even number of rows "
            f"alone, got {grid.rows}."
        )
    return grid


def unit_positions(grid: Grid) -> np.ndarray:
    """The places of the units, float [units, 2]: x to the right and y upwards.

    >>> import jaxnn as nn
    >>> nn.som.unit_positions(nn.som.Grid(2, 2, hexagonal=True)).round(2).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.5, 0.87], [1.5, 0.87]]
    """
    y, x = np.divmod(np.arange(checked(grid, "positions").units), grid.columns)
    if not grid.hexagonal:
        return np.stack([x, y], axis=1).astype(float)
    return np.stack([x + 0.5 * (y % 2), y * np.sqrt(0.75)], axis=1)


def grid_distances(grid: Grid) -> np.ndarray:
    """The distance of every unit from every other along the grid, float [units, units].

    >>> import jaxnn as nn
    >>> nn.som.grid_distances(nn.som.Grid(1, 4, torus=True))[0].tolist()
    [0.0, 1.0, 2.0, 1.0]
    """
    place = unit_positions(grid)
    apart = np.abs(place[:, None] - place[None])
    if grid.torus:
        tall = grid.rows * (np.sqrt(0.75) if grid.hexagonal else 1.0)
        apart = np.minimum(apart, np.array([grid.columns, tall]) - apart)
    return np.sqrt(np.square(apart).sum(axis=-1))


def adjacent_units(grid: Grid) -> np.ndarray:
    """Whether two units touch, bool [units, units]: eight around each, or six if hexagonal.

    >>> import jaxnn as nn
    >>> nn.som.adjacent_units(nn.som.Grid(3, 3)).sum(axis=1).tolist()
    [3, 5, 3, 5, 8, 5, 3, 5, 3]
    """
    apart = grid_distances(grid)
    return (apart > 0) & (apart < (1.1 if grid.hexagonal else 1.5))


# Neighbourhoods: how much a unit learns at distance d from the winner, at a radius


def gaussian_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """exp(-d^2 / (2 radius^2)).

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.som.gaussian_neighbourhood(jnp.array(2.0), 1.0):.4f}"
    '0.1353'
    """
    return jnp.exp(-jnp.square(d / radius) / 2)


def bubble_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """1 within the radius, and 0 outside.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.bubble_neighbourhood(jnp.array([0.0, 1.0, 2.0]), 1.0).tolist()
    [1.0, 1.0, 0.0]
    """
    return (d <= radius).astype(d.dtype)


def mexican_hat_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """(1 - d^2 / radius^2) exp(-d^2 / (2 radius^2)): what is a little further is pushed away.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.som.mexican_hat_neighbourhood(jnp.array(2.0), 1.0):.4f}"
    '-0.4060'
    """
    u = jnp.square(d / radius)
    return (1 - u) * jnp.exp(-u / 2)


def triangle_neighbourhood(d: jax.Array, radius: ArrayLike) -> jax.Array:
    """1 - d / radius, and 0 outside of the radius.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.triangle_neighbourhood(jnp.array([0.0, 1.0, 3.0]), 2.0).tolist()
    [1.0, 0.5, 0.0]
    """
    return jnp.maximum(1 - d / radius, jnp.zeros_like(d))


# Laws of decay: what is left of a rate or a radius at step t of some


def _share(t: jax.Array, steps: int) -> jax.Array:
    """How much of the steps is over."""
    return t / core.check_int(steps, "steps")


def asymptotic_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """value / (1 + 2 t / steps): a third at the end.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.asymptotic_decay(3.0, jnp.array(10), 10))
    1.0
    """
    return value / (1 + 2 * _share(t, steps))


def linear_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """value (1 - t / steps), and a hundredth of it at least: a radius of zero divides nothing.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.linear_decay(3.0, jnp.array(5), 10))
    1.5
    """
    return value * jnp.maximum(1 - _share(t, steps), 0.01)


def inverse_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """value / (1 + 100 t / steps).

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.inverse_decay(3.0, jnp.array(1), 50))
    1.0
    """
    return value / (1 + 100 * _share(t, steps))


def exponential_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """value 100^(-t / steps): a hundredth at the end.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> round(float(nn.som.exponential_decay(3.0, jnp.array(10), 10)), 4)
    0.03
    """
    return value * jnp.exp(-jnp.log(100.0) * _share(t, steps))


def constant_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """The value, at every step: none.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.constant_decay(3.0, jnp.array(10), 10))
    3.0
    """
    return value + 0 * t
