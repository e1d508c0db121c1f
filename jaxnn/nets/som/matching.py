"""Which unit of a self-organizing map is nearest to a row, and how far every unit is from it."""

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
    """Where the rows of x lie on a map.

    index: the winner of each, int32 [rows]; -1 for a row whose every feature is missing, and where
      weights are NaN.
    distance: from its weights, [rows]; NaN for such a row.
    """

    index: Any
    distance: Any


export.register_namedtuple_serialization(Mapped, serialized_name="jaxnn.som.Mapped")


def best_matching_units(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> Mapped:
    """The unit nearest to each row, of weights [units, features] and x [rows, features].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.best_matching_units(jnp.array([[0.0, 0.0], [5.0, 5.0]]), jnp.array([[4.0,
    ...     jnp.nan]])).index.tolist()
    [1]
    """
    if distance == "euclidean":
        _checked_map(weights, x)
        weights, x = jnp.asarray(weights), jnp.asarray(x)
        chosen = nearest_known(x, weights)
        least = _euclidean(x, weights.at[chosen].get(mode="clip"))
    else:
        apart = unit_distances(weights, x, distance)
        chosen, least = jnp.argmin(apart, axis=1), apart.min(axis=1)
    none = jnp.isnan(x).all(axis=1) | jnp.isnan(least)
    index = jnp.where(none, -1, chosen).astype(jnp.int32)
    return Mapped(index, jnp.where(none, jnp.nan, least).astype(x.dtype))


def unit_distances(weights: jax.Array, x: jax.Array, distance: str = "euclidean") -> jax.Array:
    """How far each row of x is from each unit, over the features that are there.

    euclidean: sqrt(sum (x - w)^2);  manhattan: sum |x - w|;  cosine: 1 - x w / (|x| |w|), which is
    half the squared distance of x / |x| from w / |w|, and is computed so

    Args:
      weights: floats [units, features].
      x: floats [rows, features]; NaN is missing.
      distance: one of the three.

    Returns:
      [rows, units], in float32 at least.

    Raises:
      TypeError: where weights or x are not floating point.
      ValueError: for another distance, or other shapes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.som.unit_distances(jnp.array([[0.0, 0.0], [3.0, 4.0]]), jnp.array([[3.0, 0.0]])).tolist()
    [[3.0, 4.0]]
    """
    check_choice(distance, "distance", DISTANCES)
    _checked_map(weights, x)
    return _unit_distances(weights, x, distance)


@partial(jax.jit, static_argnums=2)  # for a call outside of jit too makes no [rows, units, ...]
def _unit_distances(weights, x, distance):
    x, weights = x[:, None], weights[None]
    if distance == "euclidean":
        return _euclidean(x, weights)
    there = ~jnp.isnan(x)
    weights, x = core.at_least_float32((weights, x))
    if distance == "manhattan":
        return jnp.abs(jnp.where(there, x - weights, 0)).sum(axis=-1)
    # Each vector over its own power of two, lest squares overflow or vanish.
    x, weights = (
        each
        / jax.vmap(power_of_two)(jnp.where(at, each, 0).reshape(-1, each.shape[-1])).reshape(
            *each.shape[:2], 1
        )
        for each, at in ((x, there), (weights, True))
    )
    own, sizes = (
        root(jnp.where(there, jnp.square(each), 0).sum(axis=-1, keepdims=True))
        for each in (x, jnp.broadcast_to(weights, (x.shape[0], *weights.shape[1:])))
    )
    none = (own == 0) | (sizes == 0)
    off = x / jnp.where(own == 0, 1, own) - weights / jnp.where(sizes == 0, 1, sizes)
    half = jnp.where(there, jnp.square(off), 0).sum(axis=-1) / 2
    return jnp.where(none[..., 0], 1, half)


def _euclidean(x, weights):
    """The distance over the last axis, of the features of x that are not NaN."""
    there = ~jnp.isnan(x)
    x, weights = core.at_least_float32((x, weights))
    unit = power_of_two(x, weights)
    squares = jnp.square(jnp.where(there, (x - weights) / unit, 0))
    return root(squares.sum(axis=-1)) * unit


def _checked_map(weights, x) -> None:
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
        raise ValueError(f"a map's weights are of one unit or more, got {core.describe(weights)}.")
