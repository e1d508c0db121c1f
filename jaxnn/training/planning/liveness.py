"""Estimates the memory that a program needs beside its arguments, from its jaxpr.

It is what a compiler's buffer assignment does, much simplified: elementwise operations are fused
into those that use them, a buffer lives until its last use, and a loop needs its body once and
what it stacks. The compiler of the accelerator knows better where it is installed.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jax.extend import core as jex

from jaxnn.inspection import needed_equations
from jaxnn.training.planning.work import FUSED, size

# Too slow to be computed once more for every use.
_SLOW = "cbrt cos div erf exp exp2 expm1 log log1p logistic pow rsqrt sin sqrt tan tanh"
SLOW = frozenset(_SLOW.split())
CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_jvp_call",
         "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin")  # fmt: skip


class _Op(NamedTuple):
    title: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    inside: int  # bytes that its loop or branch needs while it runs


def temporaries(jaxpr: Any, held: Callable[[Any], int] = size) -> int:
    """Bytes of the largest set of temporary buffers that live at once.

    Args:
      jaxpr: the jaxpr of a step whose results take the place of its arguments.
      held: the bytes of a variable on one device.

    >>> import jax, jax.numpy as jnp
    >>> square = jax.ShapeDtypeStruct((64, 64), jnp.float32)
    >>> temporaries(jax.make_jaxpr(lambda x: (x @ x) @ x)(square)) == 64 * 64 * 4
    True
    """
    return _peak(jaxpr, held)


def _peak(jaxpr: Any, held: Callable[[Any], int]) -> int:
    ops: list[_Op] = []
    names: dict[Any, Any] = {}
    _flatten(jaxpr, names, ops, held)
    results = {names.get(var, var) for var in jaxpr.outvars if not isinstance(var, jex.Literal)}
    given = set(jaxpr.invars) | set(jaxpr.constvars)
    users: dict[Any, list[int]] = {}
    for i, op in enumerate(ops):
        for var in op.inputs:
            users.setdefault(var, []).append(i)

    kept: set[Any] = set()  # what gets a buffer
    for op in ops:
        for var in op.outputs:
            if op.title not in FUSED or var in results or _needs_buffer(op, users, var, ops):
                kept.add(var)
    last: dict[Any, int] = {}
    for i in reversed(range(len(ops))):
        op = ops[i]
        fused = op.title in FUSED
        for var in op.inputs:
            through = [last.get(y, i) for y in op.outputs if y not in kept] if fused else []
            last[var] = max([last.get(var, -1), i, *through])
    born: dict[int, int] = {}
    died: dict[int, int] = {}
    for i, op in enumerate(ops):
        for var in op.outputs:
            if var in kept and var not in results and var not in given:
                first = i if op.inputs else min(users.get(var, [i]))
                born[first] = born.get(first, 0) + held(var[1])
                end = max(last.get(var, first), first)
                died[end] = died.get(end, 0) + held(var[1])
    live = most = 0
    for i, op in enumerate(ops):
        # An elementwise result may take the place of an operand that is not used again.
        early = min(died.get(i, 0), live) if op.title in FUSED else 0
        live += born.get(i, 0) - early
        most = max(most, live + op.inside)
        live -= died.get(i, 0) - early
    return most


def _needs_buffer(op: _Op, users: Mapping, var: Any, ops: list[_Op]) -> bool:
    heavy = [i for i in users.get(var, ()) if ops[i].title not in FUSED]
    reads = [i for i in heavy if not ops[i].title.startswith("reduce")]
    return bool(reads) or (op.title in SLOW and len(users.get(var, ())) > 1)


def _flatten(jaxpr: Any, names: dict, ops: list[_Op], held: Callable) -> None:
    """Writes the equations in a row, with calls in place of their names."""

    def known(var):
        return names.get(var, var)

    for eqn in needed_equations(jaxpr):
        title = eqn.primitive.name
        inputs = tuple(known(v) for v in eqn.invars if not isinstance(v, jex.Literal))
        inner = [getattr(each, "jaxpr", each) for each in jex.jaxprs_in_params(eqn.params)]
        if title in CALLS and len(inner) == 1 and len(inner[0].invars) == len(eqn.invars):
            # One function may be called twice: its variables are renamed for each call.
            mine: dict[Any, Any] = {
                v: known(w)
                for v, w in zip(inner[0].invars, eqn.invars, strict=True)
                if not isinstance(w, jex.Literal)
            }
            _flatten(inner[0], mine, ops, held)
            for v, w in zip(eqn.outvars, inner[0].outvars, strict=True):
                if not isinstance(w, jex.Literal):
                    names[v] = mine.get(w, w)
            continue
        inside = max((_peak(each, held) for each in inner), default=0)
        outputs = tuple((len(ops), v) for v in eqn.outvars)
        names.update(zip(eqn.outvars, outputs, strict=True))
        ops.append(_Op(title, inputs, outputs, inside))
