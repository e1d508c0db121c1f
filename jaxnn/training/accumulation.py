"""The gradient of a batch, whole or as the sum of those of its parts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import Tree, at_least_float32, describe, fold_in


def value_and_grad(
    objective: Callable, parts: int, weight: Callable | None, placed: Callable
) -> Callable:
    """(params, state, batch, key, scale) -> ((value, (state, metrics)), gradient).

    With several parts, one after the other is computed, in the memory of one:

        gradient = sum_i w_i gradient_i / sum_i w_i, and so for the value and the metrics,

    where each part sees the state that the one before it left.

    Args:
      objective: (params, state, batch, key) -> (value, (state, metrics)).
      parts: the number of parts.
      weight: (part of the batch) -> how much it counts; None for equally.
      placed: (gradient) -> the gradient where it belongs on the devices.
    """

    def whole(params, state, batch, key, scale):
        def scaled(params):
            value, aux = objective(params, state, batch, key)
            return (value if scale is None else at_least_float32(value) * scale), (value, aux)

        gradient, aux = jax.grad(scaled, has_aux=True)(params)
        if scale is not None:
            gradient = jax.tree.map(lambda leaf: leaf / scale.astype(leaf.dtype), gradient)
        return aux, placed(gradient)

    def apart(params, state, batch, key, scale):
        def body(carry, part):
            state, total = carry
            index, share, batch = part
            (value, (state, metrics)), gradient = whole(
                params, state, batch, fold_in(key, index), scale
            )
            shares = _times(share, (value, metrics))
            return (state, jax.tree.map(jnp.add, total, _times(share, gradient))), shares

        zeros = jax.tree.map(lambda leaf: jnp.zeros_like(at_least_float32(leaf)), params)
        (state, total), shares = jax.lax.scan(body, (state, zeros), _parts(batch, parts, weight))
        value, metrics = jax.tree.map(lambda leaf: leaf.sum(axis=0), shares)
        gradient = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), total, params)
        return (value, (state, metrics)), gradient

    return whole if parts == 1 else apart


def value_of(objective: Callable, parts: int, weight: Callable | None) -> Callable:
    """(params, state, batch, key) -> the value alone, whose gradient takes the memory of a part."""

    def whole(params, state, batch, key):
        return objective(params, state, batch, key)[0]

    def apart(params, state, batch, key):
        def body(state, part):
            index, share, batch = part
            value, (state, _) = jax.checkpoint(objective)(params, state, batch, fold_in(key, index))
            return state, _times(share, value)

        return jax.lax.scan(body, state, _parts(batch, parts, weight))[1].sum()

    return whole if parts == 1 else apart


def _times(share: jax.Array, tree: Tree) -> Tree:
    """Each leaf times the share of its part; that of a part without weight may be NaN."""

    def one(leaf):
        leaf = jnp.asarray(leaf, jnp.result_type(leaf, jnp.float32))
        return jnp.where(share > 0, share.astype(leaf.dtype) * leaf, 0)

    return jax.tree.map(one, tree)


def _parts(batch: Tree, parts: int, weight: Callable | None) -> tuple[jax.Array, Any, Tree]:
    """(index, share, part) of each part, stacked.

    Raises:
      ValueError: if the rows are not a multiple of parts, or a weight is not one number.
    """

    def split(leaf):
        if jnp.ndim(leaf) == 0 or leaf.shape[0] % parts:
            rows = leaf.shape[0] if jnp.ndim(leaf) else 0
            fits = [n for n in (rows // parts * parts, rows // parts * parts + parts) if n]
            raise ValueError(
                f"accumulate={parts} splits a batch into equal parts, got {rows} rows, "
                f"{describe(leaf)}: give {' or '.join(map(str, fits))}."
            )
        # Every device of a batch that is sharded by rows has a share of each part.
        return jnp.swapaxes(leaf.reshape(leaf.shape[0] // parts, parts, *leaf.shape[1:]), 0, 1)

    batch = jax.tree.map(split, batch)
    if weight is None:
        shares = jnp.full(parts, 1 / parts)
    else:
        weights = jax.vmap(weight)(batch)
        if jnp.shape(weights) != (parts,):
            found = describe(jax.ShapeDtypeStruct(jnp.shape(weights)[1:], weights.dtype))
            raise ValueError(f"weight returns one number for a part of a batch, got {found}.")
        weights = at_least_float32(weights * 1.0)
        total = weights.sum()
        shares = jnp.where(total > 0, weights / jnp.where(total > 0, total, 1), 0)
    return jnp.arange(parts), shares, batch
