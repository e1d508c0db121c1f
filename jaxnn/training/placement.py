"""Puts params and batches where a sharding says, in one process or many."""

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxnn.core import Tree, describe
from jaxnn.training.rules import parts_of, undivided
from jaxnn.training.sharding import Sharding, shardings


def agreed(sharding: Sharding | None, step: Any) -> Sharding | None:
    """The sharding that is given, or else that of a step.

    Raises:
      ValueError: if both are given and differ.
    """
    own = getattr(step, "sharding", None)
    if own is not None and sharding not in (None, own):
        raise ValueError(
            f"the step was made with sharding={own!r}, and fit is given {sharding!r}: give the "
            "same, or leave it to the step."
        )
    return own if sharding is None else sharding


def batch_shardings(sharding: Sharding, batch: Tree, what: str = "a batch") -> Tree:
    """How each leaf of a batch lies on the mesh, from shapes alone.

    Raises:
      ValueError: if the mesh does not divide an axis, with the nearest sizes that it does.
    """

    def place(keys, leaf):
        spec = _split(sharding, jnp.ndim(leaf))
        for axis, entry in enumerate(spec):
            here = _parts_here(sharding.mesh, spec, axis) if _is_local(leaf) else None
            parts = parts_of(sharding.mesh, entry) if here is None else here
            size = jnp.shape(leaf)[axis]
            if size % parts:
                count = "the number of rows" if axis == 0 else f"axis {axis}"
                place = f"{what}{jax.tree_util.keystr(keys)} is {describe(leaf)}: {count}"
                raise ValueError(undivided(entry, place, size, parts) + ".")
        return NamedSharding(sharding.mesh, spec)

    return jax.tree_util.tree_map_with_path(place, batch)


def place_batch(sharding: Sharding | None, batch: Tree, what: str = "a batch") -> Tree:
    """A batch on the devices, each of which holds its own part.

    In many processes each gives the rows of its own devices, as the same number of rows each.

    Raises:
      ValueError: if the mesh does not divide an axis.
    """
    if sharding is None:
        return jax.device_put(batch)
    return jax.tree.map(_put, batch, batch_shardings(sharding, batch, what))


def place_rows(
    sharding: Sharding | None, data: Tree, what: str = "data"
) -> tuple[Tree, tuple[int, ...]]:
    """Rows on the devices, with zeros after them up to what the devices divide, and their counts.

    Returns:
      The pytree of arrays, and the number of rows of each of its leaves without the zeros.

    Raises:
      ValueError: if the mesh does not divide another axis; in many processes, which could not put
        the zeros behind all rows, if it does not divide the rows.
    """
    parts = parts_of(sharding.mesh, sharding.batch[0]) if sharding and sharding.batch else 1

    def full(leaf):
        short = -leaf.shape[0] % parts if jnp.ndim(leaf) else 0
        if not short or jax.process_count() > 1:
            return leaf
        if isinstance(leaf, jax.Array):
            return jnp.concatenate([leaf, jnp.zeros((short, *leaf.shape[1:]), leaf.dtype)])
        return np.concatenate([leaf, np.zeros((short, *leaf.shape[1:]), leaf.dtype)])

    placed = place_batch(sharding, jax.tree.map(full, data), what)
    whole = placed if jax.process_count() > 1 else data
    return placed, tuple(leaf.shape[0] if leaf.ndim else 0 for leaf in jax.tree.leaves(whole))


def place_train(sharding: Sharding | None, train: Tree) -> Tree:
    """A copy of a train on the devices that its sharding gives to each leaf."""
    if sharding is None:
        return jax.tree.map(jnp.copy, train)

    def place(leaf, wanted):
        if isinstance(leaf, jax.Array) and leaf.sharding == wanted:
            return jnp.copy(leaf)
        return jax.device_put(leaf, wanted, may_alias=False)

    return jax.tree.map(place, train, shardings(sharding, train))


def constrain_rows(
    sharding: Sharding | None, batch: Tree, counts: tuple[int, ...] | None = None
) -> Tree:
    """A batch inside of a program, each leaf cut to its rows and split, evenly or not."""
    if sharding is None:
        return batch
    leaves, structure = jax.tree.flatten(batch)
    if counts is not None:
        leaves = [leaf[:n] if leaf.ndim else leaf for leaf, n in zip(leaves, counts, strict=True)]
    split = [NamedSharding(sharding.mesh, _split(sharding, jnp.ndim(leaf))) for leaf in leaves]
    return jax.lax.with_sharding_constraint(
        jax.tree.unflatten(structure, leaves), jax.tree.unflatten(structure, split)
    )


def auto_axes(sharding: Sharding | None) -> AbstractContextManager:
    """The sharding's own mesh as the current one, where that has Explicit axes."""
    current = jax.sharding.get_abstract_mesh()
    if sharding is None or AxisType.Explicit not in getattr(current, "axis_types", ()):
        return nullcontext()
    return jax.set_mesh(sharding.mesh)


def fetch(tree: Tree) -> Tree:
    """Arrays as whole NumPy arrays on this host, also what lies on other processes' devices."""
    if all(getattr(leaf, "is_fully_addressable", True) for leaf in jax.tree.leaves(tree)):
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def _split(sharding: Sharding, ndim: int) -> PartitionSpec:
    return PartitionSpec(*tuple(sharding.batch)[:ndim])


def _is_local(leaf: Any) -> bool:
    """Whether a leaf holds the rows of this process alone."""
    if jax.process_count() == 1 or isinstance(leaf, Tracer | jax.ShapeDtypeStruct):
        return False
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


@lru_cache(maxsize=256)
def _parts_here(mesh: Any, spec: PartitionSpec, axis: int) -> int:
    """The number of parts of an axis that lie on the devices of this process."""
    shape = tuple(parts_of(mesh, entry) for entry in spec)
    here: Any = NamedSharding(mesh, spec).addressable_devices_indices_map(shape)
    return len({index[axis].start for index in here.values()})


def _put(leaf: Any, wanted: NamedSharding) -> Any:
    if isinstance(leaf, jax.Array) and leaf.sharding == wanted:
        return leaf
    if _is_local(leaf):
        return jax.make_array_from_process_local_data(wanted, np.asarray(leaf))
    return jax.device_put(leaf, wanted)
