"""Checkpoints of a run through Orbax: the whole `Train`, the place in the data, the history."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import Tree

INSTALL = "pip install 'jaxnn[train]'"


@contextmanager
def manager(directory: Any, keep: int = 3) -> Iterator[Any]:
    """An Orbax `CheckpointManager` of a directory, which is made if need be.

    Raises:
      ImportError: where Orbax is not installed, with the command that installs it.
    """
    try:
        import orbax.checkpoint as ocp
    except ImportError as error:
        raise ImportError(f"checkpoints need orbax-checkpoint: {INSTALL}") from error
    options = ocp.CheckpointManagerOptions(max_to_keep=keep)
    with ocp.CheckpointManager(Path(directory).absolute(), options=options) as opened:
        yield opened
        opened.wait_until_finished()


def save(manager: Any, step: int, trees: dict[str, Tree], notes: dict) -> None:
    """Saves pytrees by name and JSON notes under a step, in the background."""
    import orbax.checkpoint as ocp

    items = {title: ocp.args.StandardSave(_plain(tree)) for title, tree in trees.items()}
    manager.save(step, args=ocp.args.Composite(notes=ocp.args.JsonSave(notes), **items))


def restore(manager: Any, trees: dict[str, Tree]) -> tuple[dict[str, Tree], dict] | None:
    """The newest save as (trees, notes), shaped and placed as `trees`; None where there is none.

    Raises:
      ValueError: where what was saved is another net's.
    """
    import orbax.checkpoint as ocp

    step = manager.latest_step()
    if step is None:
        return None
    notes = manager.restore(step, args=ocp.args.Composite(notes=ocp.args.JsonRestore())).notes
    held = {title: trees[title] for title in notes["trees"]}
    items = {title: ocp.args.StandardRestore(_plain(tree)) for title, tree in held.items()}
    try:
        found = manager.restore(step, args=ocp.args.Composite(**items))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the checkpoint of step {step} in {manager.directory} does not fit this net and "
            "optimizer: give the ones it was saved with, or another directory."
        ) from error
    restored = {title: jax.tree.map(_typed, tree, found[title]) for title, tree in held.items()}
    return restored, notes


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _typed(like: Any, leaf: Any) -> Any:
    if _is_key(like):
        return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(like))
    return leaf
