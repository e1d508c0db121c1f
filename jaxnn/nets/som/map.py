"""The self-organizing map as a layer, and its training.

`self_organizing_map` is a layer that learns in its state, without a gradient. The two parts of a
batch step, for data that arrive in chunks, are in `jaxnn.nets.som.batch`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer
from jaxnn.nets.som.batch import som_sums, som_update
from jaxnn.nets.som.decays import asymptotic_decay
from jaxnn.nets.som.grid import Grid, check_grid, grid_distances
from jaxnn.nets.som.matching import DISTANCES, best_matching_units
from jaxnn.nets.som.neighbourhoods import gaussian_neighbourhood
from jaxnn.printing import factory


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
    """A self-organizing map, whose units and their neighbors on the grid move toward the data.

    With b_i the best-matching unit of row i, the unit whose weights are nearest to x_i, and h(d)
    the neighborhood function of two units at distance d on the grid, a call with train=True does

      online:  for each row in turn, w_j <- w_j + rate_t h(d(j, b_i)) (x_i - w_j)
      batch:   w_j <- w_j + rate_t (sum_i h(d(j, b_i)) x_i / sum_i h(d(j, b_i)) - w_j)

    A feature that is NaN is missing: it adds nothing to the distance and changes no weight.

    The state is "weights" [units, features], initially standard normal, and "step", which counts
    rows if online and calls otherwise. For better initial weights, `map_of_pca` or `map_of_rows`,
    use `state | {"weights": w}`. There are no params.

    Args:
      grid: a `Grid`, such as Grid(10, 10, hexagonal=True).
      steps: the number of steps over which the rate and the radius decay: rows if online, calls
        otherwise.
      online: whether the rows of a call are learned one by one.
      rate: the initial learning rate, positive; by default 0.5 if online, else 1.
      radius: the initial radius of the neighborhood, positive, in columns of the grid.
      neighbourhood: a function (distance, radius) -> h.
      distance: "euclidean", "cosine" or "manhattan".
      rate_decay: a function (initial value, step, steps) -> value.
      radius_decay: a function (initial value, step, steps) -> value.

    Returns:
      A layer from x [rows, features] to `Mapped`: the index of the best-matching unit of each row,
      int32 [rows], and its distance, [rows] of x's dtype, both before the update.

    Raises:
      TypeError: if grid is not a `Grid`, or x is not floating point.
      ValueError: if grid has no units, steps is less than 1, rate or radius is not positive,
        distance is none of the three, or x does not have the features of the weights.

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
    title = "self_organizing_map"
    grid = check_grid(grid, title)
    steps = core.check_int(steps, f"{title}: steps")
    rate = (0.5 if online else 1.0) if rate is None else rate
    rate = float(check_number(rate, f"{title}: rate", above=0))
    radius = float(check_number(radius, f"{title}: radius", above=0))
    check_choice(distance, f"{title}: distance", DISTANCES)
    check_choice(online, f"{title}: online", (False, True))
    check_function(neighbourhood, f"{title}: neighbourhood")
    check_function(rate_decay, f"{title}: rate_decay")
    check_function(radius_decay, f"{title}: radius_decay")

    def init(key, x):
        if core.check_features(x, title).ndim != 2 or not x.shape[-1]:
            raise ValueError(f"{title} takes x [rows, features], got {core.describe(x)}.")
        weights = jax.random.normal(key, (grid.units, x.shape[-1]), core.param_dtype(x))
        return (), {"weights": weights, "step": jnp.int32(0)}

    def apply(params, state, x, *, key=None, train=False):
        weights = _checked_weights(state, x, grid, title)
        mapped = best_matching_units(weights.astype(x.dtype), x, distance)
        if core.check_train(train):
            learn = online_step if online else batch_step
            state = learn(state, jax.lax.stop_gradient(x))
        return mapped, state

    def schedule(state):
        t = state["step"].astype(state["weights"].dtype)
        return rate_decay(rate, t, steps), radius_decay(radius, t, steps)

    def batch_step(state, x):
        weights = state["weights"]
        sums = som_sums(weights, x.astype(weights.dtype), distance)
        weights = som_update(grid, weights, sums, *schedule(state), neighbourhood)
        return {"weights": weights, "step": state["step"] + 1}

    def online_step(state, x):
        distances = jnp.asarray(grid_distances(grid), state["weights"].dtype)

        def learn_row(state, row):
            weights, (rate_now, radius_now) = state["weights"], schedule(state)
            row = row.astype(weights.dtype)
            index = best_matching_units(weights, row[None], distance).index[0]
            gain = rate_now * neighbourhood(distances[index], radius_now)
            gain = jnp.where(index < 0, 0, gain).astype(weights.dtype)
            present = ~jnp.isnan(row)
            offset = jnp.where(present, row, 0)[None] - weights
            offset = jnp.where(jnp.broadcast_to(present, offset.shape), offset, 0)
            return {"weights": weights + gain[:, None] * offset, "step": state["step"] + 1}, None

        return jax.lax.scan(learn_row, state, x)[0]

    return Layer(init, apply)


def _checked_weights(state: Any, x: Any, grid: Grid, title: str) -> jax.Array:
    """The weights in the state; raises ValueError unless they fit the grid and x."""
    state = core.require_state(state, title)
    if not isinstance(state, dict) or set(state) != {"weights", "step"}:
        raise ValueError(
            f"{title} takes its state, a dict of weights and step, got {core.describe(state)}."
        )
    weights = state["weights"]
    if weights.shape[:1] != (grid.units,):
        raise ValueError(
            f"{title} with {grid.units} units got weights {core.describe(weights)}: they belong to "
            "another grid."
        )
    if core.check_features(x, title).ndim != 2 or x.shape[-1] != weights.shape[-1]:
        raise ValueError(f"{title} takes x [rows, {weights.shape[-1]}], got {core.describe(x)}.")
    return weights


def train_som(net: Layer, state: Any, x: jax.Array, passes: int) -> Any:
    """Train a self-organizing map for several passes over the data, in one compiled program.

    Args:
      net: a layer made by `self_organizing_map`.
      state: its state; "step" goes on from there.
      x: floats [rows, features]; NaN is missing.
      passes: the number of passes over x, at least 1; a pass is one step in batch training, and one
        step a row online.

    Returns:
      The state after training, of the same structure.

    Raises:
      TypeError: if net is not a layer, or x is not floating point.
      ValueError: if passes is less than 1, or state or x does not fit the net.

    (Kohonen, Essentials of the self-organizing map, 2013.)

    >>> import jax, jaxnn as nn
    >>> x = jax.random.normal(jax.random.key(0), (16, 2))
    >>> net = nn.som.self_organizing_map(nn.som.Grid(3, 3), 20)
    >>> _, state = net.init(jax.random.key(0), x)
    >>> int(nn.som.train_som(net, state, x, 20)["step"])
    20
    """
    if not isinstance(net, Layer):
        raise TypeError(f"train_som takes a net made by nn.som.self_organizing_map, got {net!r}.")
    passes = core.check_int(passes, "train_som: passes")
    if not isinstance(state, dict):
        raise ValueError(f"train_som takes the state of its net, got {core.describe(state)}.")
    core.check_features(x, "train_som")
    return _train_som(net, state, jnp.asarray(x), passes)


@partial(jax.jit, static_argnums=(0, 3))
def _train_som(net, state, x, passes):
    return jax.lax.fori_loop(
        0, passes, lambda _, state: net.apply((), state, x, train=True)[1], state
    )
