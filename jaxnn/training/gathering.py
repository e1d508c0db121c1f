"""Gathers each param of a fully sharded net at the operation that uses it, and nowhere else.

The compiler is free to gather the activations in place of the params, or a whole stack of layers
before its loop. So the program of the loss is read, and each param that is spread over devices is
made whole where an operation first takes it, in the loop over layers too. The backward pass makes
it whole again, so that no copy is kept, and scatters the sum of its gradient.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import jax
from jax.custom_derivatives import linear_call
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jax.sharding import NamedSharding, PartitionSpec

from jaxnn.core import Tree
from jaxnn.training.rules import Largest, names_of
from jaxnn.training.sharding import Sharding, shardings

Mark = PartitionSpec | None  # how a value that is still a param lies, None for all other values


def gathering(function: Callable, params: Tree, sharding: Sharding) -> Callable:
    """The function of params, which gathers them over the axes of `fully_sharded` where used.

    Args:
      function: (params) -> a pytree of arrays.
      params: the params, or their shapes.
      sharding: how they lie.
    """
    axes = {
        group.axis
        for group in sharding.rules
        if any(isinstance(way, Largest) for _, way in group.pairs)
    }
    if not axes:
        return function
    jaxpr, shapes = jax.make_jaxpr(function, return_shape=True)(params)
    specs = [each.spec for each in jax.tree.leaves(shardings(sharding, params))]
    marks = [spec if _whole(spec, axes) != spec else None for spec in specs]
    structure = jax.tree.structure(shapes)
    run = partial(_run, sharding.mesh, frozenset(axes))

    def gathered(params):
        return jax.tree.unflatten(structure, run(jaxpr, marks, jax.tree.leaves(params)))

    return gathered


def _whole(spec: PartitionSpec, axes: Any) -> PartitionSpec:
    kept = (tuple(name for name in names_of(entry) if name not in axes) for entry in spec)
    return PartitionSpec(*(names or None for names in kept))


def _run(mesh: Any, axes: frozenset, closed: Any, marks: Sequence[Mark], values: Sequence) -> list:
    """The outputs of a program for inputs some of which are marked as params."""
    jaxpr: Jaxpr = closed.jaxpr
    known: dict[Any, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    known |= dict(zip(jaxpr.invars, values, strict=True))
    marked = {var: mark for var, mark in zip(jaxpr.invars, marks, strict=True) if mark is not None}
    whole: dict[Any, Any] = {}

    def read(var):
        return var.val if isinstance(var, Literal) else known[var]

    def mark_of(var):
        return None if isinstance(var, Literal) else marked.get(var)

    def make_whole(var):
        if var not in whole:
            whole[var] = _gather(known[var], mesh, marked[var], axes)
        return whole[var]

    for eqn in jaxpr.eqns:
        given = [mark_of(var) for var in eqn.invars]
        inputs = [read(var) for var in eqn.invars]
        with eqn.ctx.manager:
            if not any(mark is not None for mark in given) or eqn.primitive.name == "shard_map":
                made = _bind(eqn, inputs)
            elif (moved := _moved(eqn, given[0])) is not None:
                made = _bind(eqn, inputs)
                marked[eqn.outvars[0]] = moved
            elif eqn.primitive.name in INSIDE:
                made = INSIDE[eqn.primitive.name](partial(_run, mesh, axes), eqn, given, inputs)
            else:
                # Only the part that each device holds is kept for the backward pass.
                made = _use(eqn, mesh, axes, given, inputs)
        made = made if eqn.primitive.multiple_results else [made]
        known |= dict(zip(eqn.outvars, made, strict=True))
    return [make_whole(var) if mark_of(var) is not None else read(var) for var in jaxpr.outvars]


def _moved(eqn: Any, mark: Mark) -> Mark:
    """How the output of an operation lies that only rearranges a param, None for others."""
    name, old = eqn.primitive.name, eqn.invars[0].aval.shape
    if mark is None or name not in REARRANGING:
        return None
    new = eqn.outvars[0].aval.shape
    spec = [*mark, *(None,) * (len(old) - len(mark))]
    if name in ("convert_element_type", "copy"):
        return mark
    if name == "transpose":
        return PartitionSpec(*(spec[i] for i in eqn.params["permutation"]))
    moved: list[Any] = [None] * len(new)
    for i, entry in enumerate(spec):
        if entry is None:
            continue
        if name == "reshape":  # the axis is still there, after as many entries as before
            places = [j for j, n in enumerate(new) if prod(new[:j]) == prod(old[:i])]
            places = [j for j in places if new[j] == old[i]]
        else:
            places = [i] if new[i] == old[i] else []
        if not places:
            return None
        moved[places[0]] = entry
    return PartitionSpec(*moved)


def _bind(eqn: Any, inputs: Sequence) -> Any:
    return eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))


def _use(eqn: Any, mesh: Any, axes: frozenset, marks: Sequence[Mark], inputs: Sequence) -> Any:
    def use(*inputs):
        pairs = zip(inputs, marks, strict=True)
        return _bind(eqn, [x if m is None else _gather(x, mesh, m, axes) for x, m in pairs])

    return jax.checkpoint(use)(*inputs)


def _gather(value: Any, mesh: Any, spec: PartitionSpec, axes: frozenset) -> Any:
    spread, whole = NamedSharding(mesh, spec), NamedSharding(mesh, _whole(spec, axes))
    constrain = jax.lax.with_sharding_constraint
    return linear_call(
        lambda _, value: constrain(value, whole), lambda _, sum_: constrain(sum_, spread), (), value
    )


def _call(run: Callable, eqn: Any, marks: Sequence[Mark], inputs: Sequence) -> list:
    return run(_closed(eqn.params), marks, inputs)


def _closed(params: Any) -> ClosedJaxpr:
    jaxpr = params.get("jaxpr") or params["call_jaxpr"]
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def _checkpoint(run: Callable, eqn: Any, marks: Sequence[Mark], inputs: Sequence) -> list:
    options = {name: eqn.params[name] for name in ("prevent_cse", "policy")}
    return jax.checkpoint(partial(run, _closed(eqn.params), marks), **options)(inputs)


def _scan(run: Callable, eqn: Any, marks: Sequence[Mark], inputs: Sequence) -> list:
    consts, carries = eqn.params["num_consts"], eqn.params["num_carry"]
    first = consts + carries

    def inside(i, mark):
        if mark is None or i < consts:
            return mark
        return PartitionSpec(*tuple(mark)[1:])

    held = [inside(i, mark) for i, mark in enumerate(marks)]

    def body(carry, slices):
        made = run(eqn.params["jaxpr"], held, [*inputs[:consts], *carry, *slices])
        return made[:carries], made[carries:]

    carry, stacked = jax.lax.scan(
        body,
        list(inputs[consts:first]),
        list(inputs[first:]),
        length=eqn.params["length"],
        reverse=eqn.params["reverse"],
        unroll=eqn.params["unroll"],
    )
    return [*carry, *stacked]


def _cond(run: Callable, eqn: Any, marks: Sequence[Mark], inputs: Sequence) -> list:
    branches = [
        lambda *given, branch=branch: run(branch, marks[1:], given)
        for branch in eqn.params["branches"]
    ]
    return jax.lax.switch(inputs[0], branches, *inputs[1:])


REARRANGING = ("convert_element_type", "copy", "transpose", "reshape", "slice")

# The operations with programs of their own in which params are used.
INSIDE = {
    "jit": _call,
    "pjit": _call,
    "closed_call": _call,
    "core_call": _call,
    "checkpoint": _checkpoint,
    "remat2": _checkpoint,
    "scan": _scan,
    "cond": _cond,
}
