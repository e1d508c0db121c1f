"""Counts what a program computes: multiply-adds by dtype, and the bytes that it must move.

Both are read off the jaxpr, where the number of iterations of a scan is known. Compilers count the
body of a loop once.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.extend import core as jex

from jaxnn.inspection import equation_macs, needed_equations

# Compilers compute these while they read the operands of another operation or write its output.
_FUSED = """
abs add add_any and broadcast_in_dim cbrt ceil clamp concatenate convert_element_type copy copy_p
cos div eq erf exp exp2 expand_dims expm1 floor ge gt imag integer_pow iota is_finite le log log1p
logistic lt max min mul name ne neg nextafter not optimization_barrier or pad pow random_bits
random_fold_in random_seed random_split random_unwrap random_wrap real reduce_precision rem reshape
rev round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical sign sin slice sqrt
square squeeze stop_gradient sub tan tanh transpose xor
"""
FUSED = frozenset(_FUSED.split())
# Kernels of a vendor: their work is not in the jaxpr.
OPAQUE = ("ffi_call", "callback", "custom_call", "dot_product_attention")
SLICES = (
    "gather",
    "dynamic_slice",
    "dynamic_update_slice",
    "scatter",
    "scatter-add",
    "scatter_add",
)


class Work(NamedTuple):
    """What one call of a program computes, on all devices together.

    macs: multiply-adds of matmuls and convolutions by the dtype of their operands; "float32
      highest" is what was asked for with precision "highest".
    moved: bytes that are read from and written to memory, if elementwise operations are fused.
    unknown: what could not be counted, in sentences.
    """

    macs: dict[str, int]
    moved: int
    unknown: tuple[str, ...]


def count_work(function: Any, *arguments: Any) -> Work:
    """The work of a function of arrays, from the shapes of its arguments.

    Of the branches of a `cond` the most expensive counts. A `while` loop, whose number of
    iterations only its data decide, counts once and is named in `unknown`.

    >>> import jax, jax.numpy as jnp
    >>> matrix = jax.ShapeDtypeStruct((4, 4), jnp.float32)
    >>> count_work(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: y @ x, x), matrix).macs
    {'float32': 192}
    """
    return work_of(jax.make_jaxpr(function)(*arguments))


def work_of(jaxpr: Any) -> Work:
    """The work of a jaxpr; its arguments are read once and its results written once."""
    macs: Counter[str] = Counter()
    unknown: dict[str, None] = {}
    moved = sum(map(size, (*jaxpr.invars, *jaxpr.outvars)))
    for times, eqn in walk(jaxpr, unknown):
        if count := equation_macs(eqn):
            macs[_unit(eqn)] += times * count
        if eqn.primitive.name not in FUSED:
            moved += times * _moved(eqn)
    return Work(dict(sorted(macs.items())), moved, tuple(unknown))


def walk(jaxpr: Any, unknown: dict[str, None], times: int = 1) -> Iterator[tuple[int, Any]]:
    """Every needed equation that contains no other, with how often it runs."""
    for eqn in needed_equations(jaxpr):
        title = eqn.primitive.name
        inner = [getattr(each, "jaxpr", each) for each in jex.jaxprs_in_params(eqn.params)]
        if any(title.startswith(each) or title.endswith(each) for each in OPAQUE):
            unknown[f"the work of {title}, a kernel whose inside is not shown"] = None
            inner = []
        if not inner:
            yield times, eqn
            continue
        if title == "cond":
            inner = [max(inner, key=_cost)]
        if title == "while":
            unknown["the length of a while loop, which counts once"] = None
        for each in inner:
            yield from walk(each, unknown, times * _trips(eqn))


def size(var: Any) -> int:
    """Bytes of a variable or literal of a jaxpr."""
    aval = var.aval
    if not hasattr(aval, "shape") or not hasattr(aval, "dtype"):
        return 0
    return math.prod(aval.shape) * aval.dtype.itemsize


def _trips(eqn: Any) -> int:
    title = eqn.primitive.name
    if title == "scan":
        return eqn.params["length"]
    if title == "pallas_call":
        grid = eqn.params["grid_mapping"].grid
        return math.prod(each for each in grid if isinstance(each, int))
    if title == "shard_map":  # its inside is one device's share
        manual = eqn.params.get("manual_axes", eqn.params["mesh"].axis_names)
        return math.prod(eqn.params["mesh"].shape[axis] for axis in manual)
    return 1


def _cost(jaxpr: Any) -> int:
    return sum(times * equation_macs(eqn) for times, eqn in walk(jaxpr, {}))


def _unit(eqn: Any) -> str:
    name = eqn.invars[0].aval.dtype.name
    asked = eqn.params.get("precision")
    asked = asked[0] if isinstance(asked, tuple) else asked
    level = getattr(asked, "name", "DEFAULT")
    return f"{name} {level.lower()}" if level in ("HIGH", "HIGHEST") else name


def _moved(eqn: Any) -> int:
    written = sum(map(size, eqn.outvars))
    if eqn.primitive.name in ("gather", "dynamic_slice"):
        return 2 * written  # not the whole operand
    if eqn.primitive.name in SLICES:
        return 2 * min(map(size, eqn.invars[:1] + eqn.invars[-1:]))  # in place
    return written + sum(map(size, eqn.invars))
