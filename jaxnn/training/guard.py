"""The guard against numbers that are not finite: in a step's loss, and in what is kept of a run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.core import Tree
from jaxnn.training.step import TrainState


@jax.jit
def finite(train: Tree) -> Tree:
    """Whether each leaf of params and state holds finite numbers alone, by path; jitted."""
    learned = jax.tree.map(_learned, train, is_leaf=lambda node: isinstance(node, TrainState))

    def one(leaf):
        inexact = jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
        return jnp.isfinite(leaf).all() if inexact else jnp.array(True)

    return jax.tree.map(one, learned)


def _learned(node: Any) -> Any:
    return (node.params, node.state) if isinstance(node, TrainState) else ()


def spoiled(before: Tree, train: Tree) -> str | None:
    """The path of the first leaf that was `finite` before and is not any more, None if none is."""
    after = jax.tree.leaves(jax.device_get(finite(train)))
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(before))
    for (path, was), now in zip(leaves, after, strict=True):
        if was and not now:
            return jax.tree_util.keystr(path)
    return None


def check_losses(losses: np.ndarray, end: int, in_a_row: int, tolerate: int, saved: str) -> int:
    """How many steps in a row, up to the last, had a loss that is not finite.

    Args:
      losses: one a step, the last that of step `end`.
      in_a_row: such steps right before the first.
      tolerate: how many in a row are let through.

    Raises:
      FloatingPointError: if there are more of them, with the step.
    """
    for i, loss in enumerate(losses):
        in_a_row = 0 if np.isfinite(loss) else in_a_row + 1
        if in_a_row > tolerate:
            many = f", the {in_a_row}. in a row" if tolerate else ""
            raise FloatingPointError(
                f"the loss is {loss} at step {end - len(losses) + i + 1}{many}: lower the learning "
                f"rate, clip the gradient (optax.clip_by_global_norm) or look at the data{saved}."
            )
    return in_a_row
