"""Distances of rows of data from the units of a self-organizing map, and the nearest unit."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.checks import check_choice
from jaxnn.layers.distance import nearest_known, power_of_two, root

DISTANCES = ("euclidean", "cosine", "manhattan")


class Mapped(NamedTuple):
    """The best-matching unit of each row of x.

    index: int32 [rows]; -1 for a row whose features are all missing, or if weights are NaN.
    distance: floats [rows], the distance from the weights of that unit; NaN where index is -1.
    """

    index: Any
    distance: Any


export.register_namedtuple_serialization(Mapped, serialized_name="jaxnn.som.Mapped")


def best_matching_units(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> Mapped:
    """The unit nearest to each row: b_i = argmin_j distance(x_i, w_j).

    Args:
      weights: floats [units, features].
      x: floats [rows, features]; NaN is missing.
      distance: "euclidean", "cosine" or "manhattan"; see `unit_distances`.

    Returns:
      `Mapped`: index int32 [rows] and distance [rows] of x's dtype.

    Raises:
      TypeError: if weights or x are not floating point.
      ValueError: if distance is none of the three, or weights and x differ in features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> weights, x = jnp.array([[0.0, 0.0], [5.0, 5.0]]), jnp.array([[4.0, jnp.nan]])
    >>> nn.som.best_matching_units(weights, x).index.tolist()
    [1]
    """
    if distance == "euclidean":
        _check_map(weights, x)
        weights, x = jnp.asarray(weights), jnp.asarray(x)
        chosen = nearest_known(x, weights)
        smallest = _euclidean(x, weights.at[chosen].get(mode="clip"))
    else:
        distances = unit_distances(weights, x, distance)
        chosen, smallest = jnp.argmin(distances, axis=1), distances.min(axis=1)
    unmatched = jnp.isnan(x).all(axis=1) | jnp.isnan(smallest)
    index = jnp.where(unmatched, -1, chosen).astype(jnp.int32)
    return Mapped(index, jnp.where(unmatched, jnp.nan, smallest).astype(x.dtype))


def unit_distances(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> jax.Array:
    """The distance of each row of x from each unit, over the features that are not missing.

    euclidean: sqrt(sum (x - w)^2)
    manhattan: sum |x - w|
    cosine: 1 - x . w / (|x| |w|), computed as | x / |x| - w / |w| |^2 / 2

    Args:
      weights: floats [units, features].
      x: floats [rows, features]; NaN is missing.
      distance: "euclidean", "cosine" or "manhattan".

    Returns:
      [rows, units], in float32 at least.

    Raises:
      TypeError: if weights or x are not floating point.
      ValueError: if distance is none of the three, or weights and x differ in features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> weights, x = jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.array([[3.0, 0.0]])
    >>> nn.som.unit_distances(weights, x).tolist()
    [[3.0, 4.0]]
    """
    check_choice(distance, "distance", DISTANCES)
    _check_map(weights, x)
    return _unit_distances(weights, x, distance)


@partial(jax.jit, static_argnums=2)  # outside jit, [rows, units, features] would be materialized
def _unit_distances(weights, x, distance):
    x, weights = x[:, None], weights[None]
    if distance == "euclidean":
        return _euclidean(x, weights)
    present = ~jnp.isnan(x)
    weights, x = core.at_least_float32((weights, x))
    if distance == "manhattan":
        return jnp.abs(jnp.where(present, x - weights, 0)).sum(axis=-1)
    return _cosine(x, weights, present)


def _cosine(x, weights, present):
    """The cosine distance over the last axis, of the features of x that are present."""
    x, weights = _scaled(x, present), _scaled(weights, True)
    x_norm = _norm(x, present)
    weights_norm = _norm(jnp.broadcast_to(weights, (x.shape[0], *weights.shape[1:])), present)
    undefined = (x_norm == 0) | (weights_norm == 0)
    difference = x / jnp.where(x_norm == 0, 1, x_norm)
    difference -= weights / jnp.where(weights_norm == 0, 1, weights_norm)
    distance = jnp.where(present, jnp.square(difference), 0).sum(axis=-1) / 2
    return jnp.where(undefined[..., 0], 1, distance)


def _scaled(vectors, present):
    """Each vector divided by its own power of two, so that squares do not over- or underflow."""
    rows = jnp.where(present, vectors, 0).reshape(-1, vectors.shape[-1])
    return vectors / jax.vmap(power_of_two)(rows).reshape(*vectors.shape[:2], 1)


def _norm(vectors, present):
    """The length over the last axis, of the features that are present."""
    return root(jnp.where(present, jnp.square(vectors), 0).sum(axis=-1, keepdims=True))


def _euclidean(x, weights):
    """The Euclidean distance over the last axis, of the features of x that are not NaN."""
    present = ~jnp.isnan(x)
    x, weights = core.at_least_float32((x, weights))
    unit = power_of_two(x, weights)
    squares = jnp.square(jnp.where(present, (x - weights) / unit, 0))
    return root(squares.sum(axis=-1)) * unit


def _check_map(weights, x) -> None:
    """Raises unless weights are [units, features] and x is [rows, features]."""
    for each, what in ((weights, "weights"), (x, "x")):
        if (
            core.check_features(each, f"a map's {what}").ndim != 2
            or each.shape[1] != weights.shape[-1]
        ):
            raise ValueError(
                f"a map takes weights [units, features] and x [rows, features], got "
                f"{core.describe(weights)} and {core.describe(x)}."
            )
    if not weights.shape[0]:
        raise ValueError(f"a map needs weights of at least one unit, got {core.describe(weights)}.")
