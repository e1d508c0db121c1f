"""What a step can say of itself beside the loss: norms, and hyperparameters such as its rate."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import Tree, at_least_float32
from jaxnn.training.precision import scale_of

NORMS = ("gradient_norm", "update_norm", "param_norm")


def check_names(names: Any) -> tuple[str, ...]:
    """The names to watch as a tuple; raises TypeError if they are not strings."""
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f'watch takes names, such as ("gradient_norm",), got {names!r}.')
    return tuple(names)


def watched(
    names: Sequence[str], gradient: Tree, updates: Tree, params: Tree, opt_state: Tree
) -> dict[str, jax.Array]:
    """The watched numbers of a step by name.

    A hyperparameter that several optimizers have is there once for each, with the labels of
    `optax.partition` or else its path as suffix: "learning_rate_head".

    Raises:
      ValueError: if nothing has a name.
    """
    trees = dict(zip(NORMS, (gradient, updates, params), strict=True))
    found: dict[str, jax.Array] = {}
    for name in names:
        if name in trees:
            found[name] = norm(trees[name])
        elif name == "loss_scale" and scale_of(opt_state) is not None:
            found[name] = jnp.asarray(scale_of(opt_state))
        else:
            found |= _hyperparameters(name, opt_state)
    return found


def norm(tree: Tree) -> jax.Array:
    """The Euclidean norm of all numbers of a pytree, float32 at least: sqrt(sum x^2)."""
    squares = [jnp.square(jnp.abs(at_least_float32(leaf))).sum() for leaf in jax.tree.leaves(tree)]
    return jnp.sqrt(sum(squares, jnp.zeros(())))


def injected(opt_state: Tree) -> list[tuple[Any, Any]]:
    """(path, node) of each state of `optax.inject_hyperparams`."""
    nodes = jax.tree_util.tree_leaves_with_path(opt_state, is_leaf=is_injected)
    return [(path, node) for path, node in nodes if is_injected(node)]


def is_injected(node: Any) -> bool:
    """Whether a node is a state of `optax.inject_hyperparams`."""
    return hasattr(node, "hyperparams") and hasattr(node, "inner_state")


def _hyperparameters(name: str, opt_state: Tree) -> dict[str, jax.Array]:
    nodes = injected(opt_state)
    found = [(path, node.hyperparams[name]) for path, node in nodes if name in node.hyperparams]
    if not found:
        held = sorted({each for _, node in nodes for each in node.hyperparams})
        raise ValueError(
            f"watch: {name!r} is none of {', '.join(NORMS)}, and no hyperparameter of the "
            f"optimizer, which has {held or 'none'}: for a learning rate write "
            "optax.inject_hyperparams(optax.adam)(learning_rate=1e-3), or a schedule for 1e-3."
        )
    if len(found) == 1:
        return {name: jnp.asarray(found[0][1])}
    labels = [
        "_".join(str(key.key) for key in path if isinstance(key, jax.tree_util.DictKey))
        for path, _ in found
    ]
    if len(set(labels)) < len(labels) or "" in labels:
        labels = [jax.tree_util.keystr(path, simple=True, separator="_") for path, _ in found]
    return {
        f"{name}_{label}": jnp.asarray(value)
        for label, (_, value) in zip(labels, found, strict=True)
    }
