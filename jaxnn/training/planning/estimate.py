"""What a step needs on each device, by arithmetic: where its compiler is not installed."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding

from jaxnn.training.placement import batch_shardings
from jaxnn.training.planning.liveness import temporaries
from jaxnn.training.planning.programs import traced
from jaxnn.training.planning.traffic import Collective
from jaxnn.training.planning.work import Work, size, work_of
from jaxnn.training.rules import parts_of
from jaxnn.training.sharding import Sharding, shardings


def held(laid: Any, tree: Any) -> int:
    """Bytes of a pytree on each device, for the `NamedSharding` of each leaf."""
    leaves = zip(jax.tree.leaves(tree), jax.tree.leaves(laid), strict=True)
    return sum(
        math.prod(each.shard_shape(tuple(leaf.shape))) * leaf.dtype.itemsize
        for leaf, each in leaves
    )


def one_device(
    step: Callable, platform: str, sharding: Sharding, train: Any, batch: Any
) -> tuple[Work, int]:
    """The work of a step on one device, and the bytes of its temporaries.

    The step is traced on the rows of one device. Other ways to split than by rows divide its work
    evenly; temporaries of the shape of a param are divided as the param is.
    """
    rows = parts_of(sharding.mesh, sharding.batch[0]) if sharding.batch else 1
    split = batch_shardings(sharding, batch, "batch")
    local = jax.tree.map(_first_axis, batch, split)
    jaxpr = traced(step, platform, train, local)
    others = sharding.mesh.size / rows
    laid = shardings(sharding, train)
    parts: dict[tuple, int] = {}
    for leaf, each in zip(jax.tree.leaves(train), jax.tree.leaves(laid), strict=True):
        shape = tuple(leaf.shape)
        ways = math.prod(shape) // max(math.prod(each.shard_shape(shape)), 1)
        parts[shape] = min(parts.get(shape, ways), ways)

    def on_one(var):
        return size(var) // parts.get(tuple(getattr(var.aval, "shape", ())), 1)

    work = work_of(jaxpr)
    macs = {dtype: int(count / others) for dtype, count in work.macs.items()}
    return Work(macs, int(work.moved / others), work.unknown), temporaries(jaxpr, on_one)


def _first_axis(leaf: Any, laid: NamedSharding) -> jax.ShapeDtypeStruct:
    shape = tuple(leaf.shape)
    return jax.ShapeDtypeStruct((laid.shard_shape(shape)[:1] + shape[1:]), leaf.dtype)


def expected_traffic(
    sharding: Sharding, params: Any, place: Callable[[int], int]
) -> tuple[Collective, ...]:
    """The collectives of params and their gradients, one gather for each pass.

    A param that is split along axes that split the batch is gathered twice, and its gradient
    scattered; the gradient of another is summed. What other ways to split send is not known.
    """
    rows = {axis for entry in sharding.batch for axis in axes_in(entry)}
    laid = shardings(sharding, params)
    sums: dict[tuple, list[int]] = {}

    def add(kind, times, whole, n, crosses):
        entry = sums.setdefault((kind, crosses), [0, 0, 0])
        steps = 2 * (n - 1) / n if kind == "all-reduce" else (n - 1) / n
        for i, value in enumerate((times, times * whole, times * math.ceil(whole * steps))):
            entry[i] += value

    for leaf, each in zip(jax.tree.leaves(params), jax.tree.leaves(laid), strict=True):
        own = {axis for entry in each.spec for axis in axes_in(entry)}
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        whole = math.prod(each.shard_shape(tuple(leaf.shape))) * leaf.dtype.itemsize
        both, rest = sorted(own & rows), sorted(rows - own)
        if both:
            n = math.prod(each.mesh.shape[axis] for axis in both)
            crosses = _crosses(each.mesh, both, place)
            if n > 1:
                add("all-gather", 2, whole * n, n, crosses)
                add("reduce-scatter", 1, whole * n, n, crosses)
        n = math.prod(each.mesh.shape[axis] for axis in rest)
        if n > 1:
            add("all-reduce", 1, whole, n, _crosses(each.mesh, rest, place))
    return tuple(
        Collective(kind, times, whole, sent, crosses, False)
        for (kind, crosses), (times, whole, sent) in sorted(sums.items())
    )


def axes_in(entry: Any) -> tuple[str, ...]:
    """The axes of a mesh that an entry of a `PartitionSpec` names."""
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


def _crosses(mesh: Any, axes: list[str], place: Callable[[int], int]) -> bool:
    """Whether devices along these axes of a mesh lie in several places."""
    import numpy as np

    positions = np.arange(mesh.size).reshape(mesh.devices.shape)
    names = list(mesh.axis_names)
    order = [i for i, name in enumerate(names) if name not in axes]
    order += [i for i, name in enumerate(names) if name in axes]
    count = math.prod(mesh.shape[axis] for axis in axes)
    groups = positions.transpose(order).reshape(-1, count)
    return any(len({place(int(i)) for i in group}) > 1 for group in groups)
