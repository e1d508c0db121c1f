"""Looking inside a network: the outputs of its children, and what they cost."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.extend import core as jex

from jaxnn.checks import check_example
from jaxnn.core import Cell, Layer, Tree, apply_either, describe, initial_carry, spec
from jaxnn.flow_engine import MARK
from jaxnn.tree import path_of


def taps(
    net: Layer | Cell,
    params: Tree,
    state: Tree,
    x: Tree,
    *,
    key: jax.Array | None = None,
    train: bool = False,
) -> dict[str, Any]:
    """The output of every child by its path, in the order of computation.

    Paths are those of params, such as "encoder/0"; the second call of a child ends in ":1". Under
    `repeat` outputs gain a leading axis of depth, under `ensemble` one of members. A child that
    returns a tuple or dict has a path for each leaf. Calls inside a cond or while of the user's own
    are left out.

    Args:
      net: a layer, or a cell, which starts from a fresh carry.
      params: the params of the net.
      state: the state of the net.
      x: its input.
      key: a random key, for layers that draw.
      train: whether the pass is one of training.

    Returns:
      A dict from paths to arrays.

    Raises:
      ValueError: if the params are of another net, or not those of its `init`.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.mlp(8, 2), jax.numpy.ones((4, 3))
    >>> params, state = net.init(jax.random.key(0), x)
    >>> {path: y.shape for path, y in nn.taps(net, params, state, x).items()}
    {'0': (4, 8), '1': (4, 8), '2': (4, 2)}
    """

    wanted = jax.eval_shape(lambda: net.init(jax.random.key(0), spec(x))[0])
    if _shapes(params) != _shapes(wanted):
        raise ValueError(
            f"taps takes the params of the net, {describe(wanted)[:200]}, got "
            f"{describe(params)[:200]}."
        )

    def forward(params, state, x, key):
        return apply_either(
            net, params, state, initial_carry(net, params, x), x, key=key, train=train
        )[0]

    inputs = (params, state, x, key)
    jaxpr = jax.make_jaxpr(forward)(*inputs)
    found: dict[str, Any] = {}
    _evaluate(jaxpr.jaxpr, jaxpr.consts, jax.tree.leaves(inputs), (), found)
    return found


def _shapes(params: Tree) -> tuple:
    leaves, structure = jax.tree.flatten(params)
    return structure, [getattr(leaf, "shape", None) for leaf in leaves]


class LayerSummary(NamedTuple):
    """A line of a summary: a child, or the whole network under the path "".

    macs: multiply-adds of matmuls and convolutions in one forward pass of the example.
    """

    path: str
    kind: str
    output: str
    params: int
    state: int
    macs: int


def summary_rows(net: Layer | Cell, x: Tree) -> list[LayerSummary]:
    """The lines of `summary` as data.

    Args:
      net: a layer or a cell.
      x: an example input, arrays or `ShapeDtypeStruct`s.

    Returns:
      A list of `LayerSummary`, the whole network last.

    Raises:
      TypeError: if x is not an example.

    >>> import jax, jaxnn as nn
    >>> [(row.path, row.macs) for row in nn.summary_rows(nn.mlp(8, 2), jax.numpy.ones((4, 3)))]
    [('0', 96), ('1', 0), ('2', 64), ('', 160)]
    """
    check_example(x, "rows")
    params, state = jax.eval_shape(net.init, jax.random.key(0), x)

    def forward(params, state, x):
        return apply_either(net, params, state, initial_carry(net, params, x), x)[0]

    jaxpr, y = jax.make_jaxpr(forward, return_shape=True)(params, state, spec(x))
    outputs: dict[str, tuple[str, str]] = {}
    macs: dict[str, int] = {}
    for path, times, eqn in _walk(jaxpr.jaxpr, (), 1):
        where = "/".join(path)
        if _is_mark(eqn):
            kind, _, leaf = eqn.params["name"].removeprefix(MARK).partition("[")
            shape = describe(eqn.outvars[0].aval) + (f" x {times}" if times > 1 else "")
            outputs[where + ("[" + leaf if leaf else "")] = (kind, shape)
        else:
            macs[where] = macs.get(where, 0) + times * equation_macs(eqn)

    def size(tree, path):
        under = jax.tree_util.tree_leaves_with_path(tree)
        return sum(math.prod(leaf.shape) for at, leaf in under if _within(path_of(at), path))

    def row(path, kind, output):
        # A second call has no params of its own, and a leaf of an output is its child's.
        base = path.split("[")[0]
        cost = sum(count for where, count in macs.items() if _within(where, base))
        return LayerSummary(path, kind, output, size(params, base), size(state, base), cost)

    lines = [row(path, kind, output) for path, (kind, output) in outputs.items()]
    whole = row("", net.name, describe(y))
    return [*lines, whole]


def summary(net: Layer | Cell, x: Tree) -> str:
    """A table of every child: path, kind, output, params, state and multiply-adds.

    Nothing is computed; it takes one abstract trace. Multiply-adds are those of matmuls and
    convolutions in one forward pass, times the iterations of the scans around them; a loop of
    unknown length counts once, and of several branches the most expensive.

    Args:
      net: a layer or a cell.
      x: an example input, arrays or `ShapeDtypeStruct`s.

    Returns:
      The table as text.

    Raises:
      TypeError: if x is not an example.

    >>> import jax, jaxnn as nn
    >>> print(nn.summary(nn.mlp(8, 2), jax.ShapeDtypeStruct((4, 3), "float32")))
    path   layer  output        params  state  multiply-adds
    0      dense  float32[4,8]      32      0             96
    1      relu   float32[4,8]       0      0              0
    2      dense  float32[4,2]      18      0             64
    total  mlp    float32[4,2]      50      0            160
    """
    head = ("path", "layer", "output", "params", "state", "multiply-adds")
    lines = [
        (line.path or "total", line.kind, line.output, *(f"{n:,}" for n in line[3:]))
        for line in summary_rows(net, x)
    ]
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i < 3 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *lines)
    )


def _within(path: str, base: str) -> bool:
    return not base or path == base or path.startswith(base + "/")


def _walk(jaxpr: Any, path: tuple, times: int) -> Iterator[tuple[tuple, int, Any]]:
    """Every equation at any depth that is needed, with its path of scopes and how often it runs."""
    for eqn in needed_equations(jaxpr):
        here = path + scopes(eqn)
        inner = [getattr(each, "jaxpr", each) for each in jex.jaxprs_in_params(eqn.params)]
        if eqn.primitive.name == "cond":
            inner = [max(inner, key=_total)]
        if not inner:
            yield here, times, eqn
        trips = eqn.params["length"] if eqn.primitive.name == "scan" else 1
        for each in inner:
            yield from _walk(each, here, times * trips)


def _total(jaxpr: Any) -> int:
    return sum(times * equation_macs(eqn) for _, times, eqn in _walk(jaxpr, (), 1))


def needed_equations(jaxpr: Any) -> list:
    """The equations whose outputs are used, in their order; compilers leave out the others."""
    used, needed = set(map(id, jaxpr.outvars)), []
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or any(id(var) in used for var in eqn.outvars):
            used.update(map(id, eqn.invars))
            needed.append(eqn)
    return needed[::-1]


def equation_macs(eqn: Any) -> int:
    """Multiply-adds of one equation of a jaxpr."""
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        shape = eqn.invars[0].aval.shape
        return math.prod(eqn.outvars[0].aval.shape) * math.prod(shape[i] for i in contracted)
    if eqn.primitive.name == "conv_general_dilated":
        kernel = eqn.invars[1].aval.shape
        width = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
        # Zeros between the inputs of a transposed convolution need no work.
        holes = math.prod(eqn.params["lhs_dilation"]) * eqn.params["batch_group_count"]
        return math.prod(eqn.outvars[0].aval.shape) * math.prod(kernel) // width // holes
    if eqn.primitive.name == "ragged_dot_general":
        numbers = eqn.params["ragged_dot_dimension_numbers"]
        (contracted, _), _ = numbers.dot_dimension_numbers
        shape, y = eqn.invars[0].aval.shape, eqn.outvars[0].aval.shape
        # Where the groups lie along the contracted axis, each has a product of its own.
        y = y[1:] if numbers.lhs_ragged_dimensions[0] in contracted else y
        return math.prod(y) * math.prod(shape[i] for i in contracted)
    return 0


def _is_mark(eqn: Any) -> bool:
    return eqn.primitive.name == "name" and eqn.params["name"].startswith(MARK)


def _evaluate(jaxpr: Any, consts: Any, args: Any, path: tuple, found: dict[str, Any]) -> list:
    """Runs a jaxpr, and collects what flows mark."""
    values: dict[Any, Any] = {}

    def read(atom):
        return atom.val if isinstance(atom, jex.Literal) else values[atom]

    values.update(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))
    for eqn in jaxpr.eqns:
        operands = [read(atom) for atom in eqn.invars]
        outputs = _equation(eqn, operands, path + scopes(eqn), found)
        values.update(zip(eqn.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _equation(eqn: Any, operands: list, path: tuple, found: dict[str, Any]) -> list:
    title = eqn.primitive.name
    if _is_mark(eqn):
        _, bracket, leaf = eqn.params["name"].partition("[")
        found["/".join(path) + bracket + leaf] = operands[0]
        return operands
    if title == "scan" and _marked(eqn.params["jaxpr"]):
        return _scan(eqn, operands, path, found)
    inner = next((eqn.params[p] for p in ("jaxpr", "call_jaxpr") if p in eqn.params), None)
    if inner is not None and title not in ("while", "cond") and _marked(inner):
        return _evaluate(
            getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), operands, path, found
        )
    outputs = eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))
    return outputs if eqn.primitive.multiple_results else [outputs]


def _scan(eqn: Any, operands: list, path: tuple, found: dict[str, Any]) -> list:
    """A scan whose body's marks come out stacked."""
    closed = eqn.params["jaxpr"]
    body_jaxpr, inner_consts = getattr(closed, "jaxpr", closed), getattr(closed, "consts", ())

    def same_rank(outer, inner):
        return [a.aval.ndim == b.aval.ndim for a, b in zip(outer, inner, strict=True)]

    # Consts and carries keep their rank inside the body, what is scanned over loses an axis.
    carried = sum(same_rank(eqn.outvars, body_jaxpr.outvars))
    kept = sum(same_rank(eqn.invars, body_jaxpr.invars))
    consts, carry, xs = (
        operands[: kept - carried],
        operands[kept - carried : kept],
        operands[kept:],
    )

    def body(carry, x):
        inside: dict[str, Any] = {}
        outputs = _evaluate(body_jaxpr, inner_consts, [*consts, *carry, *x], path, inside)
        return outputs[:carried], (outputs[carried:], inside)

    length, reverse = eqn.params["length"], eqn.params["reverse"]
    carry, (ys, inside) = jax.lax.scan(body, carry, xs, length=length, reverse=reverse)
    found.update(inside)
    return [*carry, *ys]


def scopes(eqn: Any) -> tuple[str, ...]:
    """The names of the scopes an equation was traced in, without those of transforms."""
    stack = eqn.source_info.name_stack.stack
    return tuple(each.name for each in stack if type(each).__name__ == "Scope")


def _marked(jaxpr: Any) -> bool:
    """Whether a jaxpr holds a mark, at any depth."""
    return any(_is_mark(eqn) for _, _, eqn in _walk(getattr(jaxpr, "jaxpr", jaxpr), (), 1))
