"""The votes of matrix capsules, for a capsule that sees all positions or a window of them.

Both functions return (votes, activations, share) for `route_by_em`: votes [..., below, above, 16],
activations [..., below], and the function that makes the assignments of each capsule below sum to 1
over all capsules above that see it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.layers.convolution import window

POSE = (4, 4)


def check_matrix_capsules(x: Any, title: str) -> tuple[Any, Any]:
    """(poses, activations); raises TypeError or ValueError if x is anything else."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise TypeError(
            f"{title} takes a pair (poses, activations), got {core.describe(x)}: put "
            "primary_matrix_capsules before it."
        )
    poses, activations = (core.check_features(each, title) for each in x)
    if activations.ndim != 4 or poses.shape != (*activations.shape, *POSE):
        raise ValueError(
            f"{title} takes poses [batch, height, width, types, 4, 4] and activations "
            f"[batch, height, width, types], got {core.describe(x)}."
        )
    return poses, activations


def global_votes(poses: jax.Array, activations: jax.Array, w: jax.Array) -> tuple:
    """Votes M_i w_ij of the capsules at all positions, with their coordinates added."""
    batch, height, width, below = activations.shape
    votes = jnp.einsum("nyxikl,iclm->nyxickm", poses, w)
    sides = ((jnp.arange(n, dtype=jnp.float32) + 0.5) / n for n in (height, width))
    grid = jnp.meshgrid(*sides, indexing="ij")
    coordinates = jnp.stack(grid, axis=-1).astype(w.dtype).reshape(1, height, width, 1, 1, 2)
    votes = votes.at[..., :2, -1].add(jnp.broadcast_to(coordinates, (*votes.shape[:5], 2)))
    count = height * width * below
    votes = votes.reshape(batch, count, w.shape[1], math.prod(POSE))
    return votes, activations.reshape(batch, count), jax.nn.softmax


def window_votes(
    poses: jax.Array, activations: jax.Array, w: jax.Array, at: window.Window
) -> tuple:
    """Votes M_i w_ij of the capsules in each window."""
    below, types, size = activations.shape[-1], w.shape[-3], math.prod(at.size)
    seen = _unfold(poses.reshape(*activations.shape[:3], below * math.prod(POSE)), at)
    seen = seen.reshape(*seen.shape[:4], below, *POSE)
    votes = jnp.einsum("nyxtikl,ticlm->nyxtickm", seen, w.reshape(size, *w.shape[2:]))
    votes = votes.reshape(*seen.shape[:3], size * below, types, math.prod(POSE))
    share = partial(_softmax_over_windows, at=at, space=activations.shape[1:3], below=below)
    return votes, _unfold(activations, at).reshape(votes.shape[:4]), share


def _softmax_over_windows(
    logits: jax.Array, at: window.Window, space: tuple[int, ...], below: int
) -> jax.Array:
    """A softmax, for each capsule below, over the capsules of all windows that see it.

    logits are [batch, *positions, size * below, types], and so is the result.
    """
    logits_of = logits.reshape(*logits.shape[:3], math.prod(at.size), below, logits.shape[-1])
    largest = jnp.max(jax.lax.stop_gradient(logits_of), axis=-1)
    largest = _unfold(_fold(largest, at, space, jnp.maximum, -jnp.inf), at)
    exponentials = jnp.exp(logits_of - largest[..., None])
    total = _unfold(_fold(jnp.sum(exponentials, axis=-1), at, space, jnp.add, 0.0), at)
    return (exponentials / total[..., None]).reshape(logits.shape)


def _unfold(x: jax.Array, at: window.Window) -> jax.Array:
    """What each window sees: [batch, rows, columns, n] to [batch, *positions, size, n]."""
    return jnp.stack(list(window.taps(x, at)), axis=3)


def _fold(
    x: jax.Array, at: window.Window, space: tuple[int, ...], merge: Callable, initial: float
) -> jax.Array:
    """Merge what overlapping windows hold: [batch, *positions, size, n] to [batch, *space, n]."""
    merged = jnp.full((x.shape[0], *space, x.shape[-1]), initial, x.dtype)
    for k in range(math.prod(at.size)):
        # Entry k of each window, put back to where the window saw it.
        offsets = divmod(k, at.size[1])
        pads = []
        for offset, n, count, stride in zip(offsets, space, x.shape[1:3], at.stride, strict=True):
            reach = (count - 1) * stride + 1
            pads.append((offset, n - offset - reach, stride - 1))
        value = jnp.array(initial, x.dtype)
        here = jax.lax.pad(x[:, :, :, k], value, [(0, 0, 0), *pads, (0, 0, 0)])
        merged = merge(merged, here)
    return merged
