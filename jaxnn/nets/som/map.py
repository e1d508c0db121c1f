"""Self-organizing maps: units on a grid become like the data, neighbours like each other.

`som` is a layer whose learning lives in its state: there is no gradient. What it is made of, the
sums over rows and the update from them, stands by itself, for data that come in chunks.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_key, check_number
from jaxnn.core import Layer
from jaxnn.nets.som.grid import (
    Grid,
    asymptotic_decay,
    checked,
    gaussian_neighbourhood,
    grid_distances,
)
from jaxnn.nets.som.matching import DISTANCES, best_matching_units
from jaxnn.printing import factory


class Sums(NamedTuple):
    """Of the rows that each unit won: sums of features and how many were there, [units, features].

    Those of chunks are added: `jax.tree.map(jnp.add, first, second)`.
    """

    totals: Any
    counts: Any


@factory
def self_organizing_map(
    grid: Any,
    steps: int,
    *,
    online: bool = False,
    rate: float | None = None,
    radius: float = 1.5,
    neighbourhood: Callable = gaussian_neighbourhood,
    distance: str = "euclidean",
    rate_decay: Callable = asymptotic_decay,
    radius_decay: Callable = asymptotic_decay,
) -> Layer:
    """A self-organizing map: each row of x wins the unit nearest to it, which learns from it.

    In training, with h(d) the neighbourhood of two units at distance d on the grid:

      online:  for one row after the other, w_j <- w_j + rate_t h(d(j, winner)) (x - w_j)
      batch:   w_j <- w_j + rate_t (sum_i h(d(j, winner_i)) x_i / sum_i h(d(j, winner_i)) - w_j)

    A feature that is NaN is missing: it has no part in the distance, and teaches nothing.

    The state is "weights" [units, features], at first standard normal, and "step", the clock of the
    decays: it counts rows online, else chunks. Better starts are `map_of_pca` and `map_of_rows`:
    `state | {"weights": w}`.

    Args:
      grid: such as Grid(10, 10, hexagonal=True).
      steps: after which the decays have come to their end; rows online, else chunks.
      online: whether rows teach one by one.
      rate: at first; 0.5 online, else 1.
      radius: of the neighbourhood at first, in columns of the grid.
      neighbourhood: (distance, radius) -> what is learned of it.
      distance: "euclidean", "cosine" or "manhattan".
      rate_decay, radius_decay: (value at first, step, steps) -> value.

    Returns:
      A layer, x [rows, features] to `Mapped`.

    Raises:
      TypeError: for x that is no floats.
      ValueError: for a grid without units, steps less than 1, a rate or radius that is not
        positive, another distance, or x of another shape.

    (Kohonen, Self-organized formation of topologically correct feature maps, 1982; Essentials of
    the self-organizing map, 2013.)

    >>> import jax, jaxnn as nn
    >>> x = jax.random.normal(jax.random.key(0), (64, 3))
    >>> net = nn.som.self_organizing_map(nn.som.Grid(4, 4), 10)
    >>> _, state = net.init(jax.random.key(1), x)
    >>> state = nn.som.train_som(net, state, x, 10)
    >>> net.apply((), state, x)[0].index.shape, int(state["step"])
    ((64,), 10)
    """
    title, grid = "som", checked(grid, "som")
    steps = core.check_int(steps, f"{title}: steps")
    rate = (0.5 if online else 1.0) if rate is None else rate
    rate, radius = (
        float(check_number(value, f"{title}: {name}", above=0))
        for name, value in (("rate", rate), ("radius", radius))
    )
    check_choice(distance, f"{title}: distance", DISTANCES)
    check_choice(online, f"{title}: online", (False, True))
    functions = {"neighbourhood": neighbourhood, "rate_decay": rate_decay}
    for name, function in {**functions, "radius_decay": radius_decay}.items():
        check_function(function, f"{title}: {name}")

    def init(key, x):
        if core.check_features(x, title).ndim != 2 or not x.shape[-1]:
            raise ValueError(f"{title} takes x [rows, features], got {core.describe(x)}.")
        weights = jax.random.normal(key, (grid.units, x.shape[-1]), core.param_dtype(x))
        return (), {"weights": weights, "step": jnp.int32(0)}

    def apply(params, state, x, *, key=None, train=False):
        held = core.require_state(state, title)
        if not isinstance(held, dict) or set(held) != {"weights", "step"}:
            raise ValueError(
                f"{title} takes its state, a dict of weights and step, got {core.describe(held)}."
            )
        if held["weights"].shape[:1] != (grid.units,):
            raise ValueError(
                f"{title} of {grid.units} units got weights {core.describe(held['weights'])}: "
                "they are of another grid."
            )
        if core.check_features(x, title).ndim != 2 or x.shape[-1] != held["weights"].shape[-1]:
            raise ValueError(
                f"{title} takes x [rows, {held['weights'].shape[-1]}], got {core.describe(x)}."
            )
        found = best_matching_units(held["weights"].astype(x.dtype), x, distance)
        if core.check_train(train):
            state = (one_by_one if online else at_once)(held, jax.lax.stop_gradient(x))
        return found, state

    def now(held):
        t = held["step"].astype(held["weights"].dtype)
        return rate_decay(rate, t, steps), radius_decay(radius, t, steps)

    def at_once(held, x):
        x, weights = x.astype(held["weights"].dtype), held["weights"]
        sums = som_sums(weights, x, distance)
        weights = som_update(grid, weights, sums, *now(held), neighbourhood)
        return {"weights": weights, "step": held["step"] + 1}

    def one_by_one(held, x):
        apart = jnp.asarray(grid_distances(grid), held["weights"].dtype)

        def learn(held, row):
            weights, (pace, wide) = held["weights"], now(held)
            row = row.astype(weights.dtype)
            index = best_matching_units(weights, row[None], distance).index[0]
            pull = pace * neighbourhood(apart[index], wide)
            pull = jnp.where(index < 0, 0, pull).astype(weights.dtype)
            there = ~jnp.isnan(row)
            off = jnp.where(there, row, 0)[None] - weights
            off = jnp.where(jnp.broadcast_to(there, off.shape), off, 0)
            return {"weights": weights + pull[:, None] * off, "step": held["step"] + 1}, None

        return jax.lax.scan(learn, held, x)[0]

    return Layer(init, apply)


def train_som(net: Layer, state: Any, x: jax.Array, passes: int) -> Any:
    """The state after so many passes over x [rows, features], in one program.

    Args:
      net: made by `som`.
      state: of it; its clock runs on.
      passes: over x: one step each in batch training, a step a row online.

    Raises:
      TypeError: for a net that is not a layer.
      ValueError: for passes less than 1; for a state or x of another shape, as `som` does.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.som.self_organizing_map(nn.som.Grid(3, 3),
    ...     20), jax.random.normal(jax.random.key(0), (16, 2))
    >>> _, state = net.init(jax.random.key(0), x)
    >>> int(nn.som.train_som(net, state, x, 20)["step"])
    20
    """
    if not isinstance(net, Layer):
        raise TypeError(f"organize takes a net made by nn.som.self_organizing_map, got {net!r}.")
    passes = core.check_int(passes, "organize: passes")
    if not isinstance(state, dict):
        raise ValueError(f"organize takes the state of its net, got {core.describe(state)}.")
    core.check_features(x, "organize")
    return _organize(net, state, jnp.asarray(x), passes)


@partial(jax.jit, static_argnums=(0, 3))
def _organize(net, state, x, passes):
    return jax.lax.fori_loop(
        0, passes, lambda _, state: net.apply((), state, x, train=True)[1], state
    )


def som_sums(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> Sums:
    """What a chunk of rows x [rows, features] has to teach to the units that they win.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.som_sums(jnp.array([[0.0], [9.0]]), jnp.array([[1.0], [2.0], [8.0]]))[1].tolist()
    [[2.0], [1.0]]
    """
    index = best_matching_units(weights, x, distance).index
    x, there = core.at_least_float32(x), ~jnp.isnan(x)
    taught = [jnp.where(there, x, 0), there]
    # Counts in half precision would stop growing.
    empty = jnp.zeros(weights.shape, core.at_least_float32(weights).dtype)
    place = jnp.where(index < 0, len(weights), index)  # beyond the last: left out
    return Sums(*(empty.at[place].add(each.astype(empty.dtype), mode="drop") for each in taught))


def som_update(
    grid: Grid,
    weights: jax.Array,
    sums: Sums,
    rate: Any = 1.0,
    radius: Any = 1.5,
    neighbourhood: Callable = gaussian_neighbourhood,
) -> jax.Array:
    """The weights after a step of batch training by the `Sums` of all rows.

    A unit and feature that no row is near stays as it is.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> grid, weights = nn.som.Grid(1, 2), jnp.array([[0.0], [9.0]])
    >>> chunks = jnp.array([[1.0], [3.0]]), jnp.array([[8.0]])
    >>> sums = jax.tree.map(jnp.add, *(nn.som.som_sums(weights, each) for each in chunks))
    >>> nn.som.som_update(grid, weights, sums, radius=0.01).ravel().tolist()
    [2.0, 8.0]
    """
    units = checked(grid, "som_update").units
    if not isinstance(sums, Sums):
        raise TypeError(f"som_update takes sums of nn.som.som_sums, got {core.describe(sums)}.")
    check_number(rate, "som_update: rate", least=0)
    check_number(radius, "som_update: radius", above=0)
    check_function(neighbourhood, "som_update: neighbourhood")
    wanted = (units, weights.shape[-1]) if getattr(weights, "ndim", 0) == 2 else None
    for each in (weights, *sums):
        if wanted is None or getattr(each, "shape", None) != wanted:
            raise ValueError(
                f"som_update takes weights and sums [{units}, features], got "
                f"{core.describe((weights, *sums))}."
            )
    near = neighbourhood(jnp.asarray(grid_distances(grid), weights.dtype), radius)
    near = near.astype(sums.totals.dtype)
    totals = jnp.matmul(near, sums.totals, precision="highest")
    counts = jnp.matmul(near, sums.counts, precision="highest")
    held = counts > 0
    wanted = totals / jnp.where(held, counts, jnp.ones_like(counts))
    return weights + jnp.where(held, rate * (wanted - weights), 0).astype(weights.dtype)


# Where a map begins


def map_of_rows(key: jax.Array, x: jax.Array, grid: Grid) -> jax.Array:
    """Weights [units, features] that are rows of x, drawn with replacement.

    >>> import jax, jaxnn as nn
    >>> nn.som.map_of_rows(jax.random.key(0), jax.numpy.ones((3, 2)), nn.som.Grid(2, 2)).shape
    (4, 2)
    """
    check_key(key)
    units = checked(grid, "map_of_rows").units
    if core.check_features(x, "map_of_rows").ndim != 2 or not x.size:
        raise ValueError(f"map_of_rows takes x [rows, features], got {core.describe(x)}.")
    return jnp.asarray(x)[jax.random.choice(key, x.shape[0], (units,))]


def map_of_pca(x: jax.Array, grid: Grid) -> jax.Array:
    """Weights on the plane in which x varies most: x [rows, features] to [units, features].

    From one unit vector below the mean to one above it: along the rows in the direction in which x
    varies most, along the columns in the second.

    Raises:
      ValueError: for fewer than two features or rows; for values that are missing.

    >>> import jax, jaxnn as nn
    >>> x = jax.random.normal(jax.random.key(0), (50, 3)) * jax.numpy.array([[1.0, 9.0, 3.0]])
    >>> abs(nn.som.map_of_pca(x, nn.som.Grid(3, 3))[0] - x.mean(axis=0)).round().tolist()
    [0.0, 1.0, 1.0]
    """
    checked(grid, "map_of_pca")
    if core.check_features(x, "map_of_pca").ndim != 2 or min(x.shape) < 2:
        raise ValueError(
            f"map_of_pca takes two rows and two features at least, got {core.describe(x)}; start "
            "from map_of_rows instead."
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
    one, two = jnp.linspace(-1, 1, grid.rows), jnp.linspace(-1, 1, grid.columns)
    plane = one[:, None, None] * first + two[None, :, None] * second
    return (mean + plane).reshape(grid.units, -1).astype(dtype)
