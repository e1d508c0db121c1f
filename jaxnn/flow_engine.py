"""How a flow runs its children: their order, keys, inputs, errors, state and carry."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.core import Tracer
from jax.extend.core import get_opaque_trace_state

from jaxnn.core import (
    Cell,
    Layer,
    Net,
    Tree,
    apply_either,
    check_train,
    describe,
    error_scope,
    fold_in,
    initial_carry,
    is_stateless,
    layer_or_cell,
    lift,
    signature,
    spec,
    traced,
)

MARK = "jaxnn "  # names the outputs of children in a jaxpr, for `taps` and `summary`
NESTED = (
    "a child with state or carry may not be called inside a scan, cond or vmap, which would lose "
    "what it learns: use nn.repeat, nn.ensemble or nn.unroll."
)


def make_flow(kind: str, function: Callable, children: Mapping) -> Net:
    """A layer whose data flow is `function(call, x)`, with call(child, x) running a child."""
    order = {child: i for i, child in enumerate(children)}

    def place(child, times=0):
        where = f"{kind}[{child}]" if isinstance(child, int) else f"{kind}.{child}"
        return where + (f", call {times + 1}" if times else "")

    def walk(key, x, given=None):
        # Runs the flow once, making what each child needs at its first call. The last value says
        # whether all of it was made at one level, and may leave the flow.
        params, state, memory, seen, inner = {}, {}, {}, {}, set()
        level = get_opaque_trace_state()

        def call(child, x):
            layer = children[child]
            with error_scope(place(child), str(child), layer, x):
                if child not in seen:
                    seen[child] = spec(x)
                    if get_opaque_trace_state() != level:
                        inner.add(child)
                    made, state[child] = layer.init(fold_in(key, order[child]), x)
                    params[child] = made if given is None else given[child]
                    memory[child] = initial_carry(layer, params[child], x)
                    if child in inner and not (
                        is_stateless(state[child]) and is_stateless(memory[child])
                    ):
                        raise ValueError(NESTED)
                return _stand_in(layer, params[child], state[child], memory[child], x)

        function(call, x)
        for child in children:
            if child not in seen:
                raise ValueError(f"{place(child)} is never called: call it, or leave it out.")
        found = [{c: tree[c] for c in children} for tree in (params, state, memory, seen)]
        return found, not inner

    # The input of each child, by the shapes of x and of given params: no net is walked twice for
    # the same. In given params a vector of tokens has their dtype.
    known = {}

    def inputs(key, x, given=None):
        # From one abstract run: nothing is computed.
        shapes = signature((given, x))
        if shapes not in known:

            def abstract(key, x, given):
                known[shapes] = walk(key, x, given)[0][3]

            jax.eval_shape(abstract, key, x, given)
        return known[shapes]

    def init(key, x):
        shapes = signature((None, x))
        if traced(x) and shapes not in known:
            # An abstract run of its own would cost 2^depth in nested flows.
            (params, state, _, known[shapes]), whole = walk(key, x)
            if whole:
                return pack(params), _collapse(state)
        params, state = {}, {}
        for child, seen in inputs(key, x).items():
            with error_scope(place(child), str(child), children[child], seen):
                made = children[child].init(fold_in(key, order[child]), seen)
            params[child], state[child] = made
        return pack(params), _collapse(state)

    def carry(params, x):
        _fits(kind, params, children)
        key = jax.random.key(0)  # a state is needed for its shape alone
        shapes = signature((params, x))
        if traced(x) and shapes not in known:
            # A cell is never called at an inner level.
            (_, _, memory, known[shapes]), _ = walk(key, x, params)
            return _collapse(memory)
        seen = inputs(key, x, params)
        return _collapse({c: initial_carry(children[c], params[c], seen[c]) for c in children})

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        check_train(train)
        _fits(kind, params, children)
        states = {child: () if is_stateless(state) else state[child] for child in children}
        memories = {child: () if is_stateless(memory) else memory[child] for child in children}
        times = dict.fromkeys(children, 0)
        level = get_opaque_trace_state()

        def call(child, x):
            layer, before = children[child], times[child]
            times[child] += 1
            child_key = fold_in(key, order[child])
            with error_scope(
                place(child, before), f"{child}:{before}" if before else str(child), layer, x
            ):
                y, memories[child], after = apply_either(
                    layer,
                    params[child],
                    states[child],
                    memories[child],
                    x,
                    key=fold_in(child_key, before) if before else child_key,
                    train=train,
                )
                remembers = isinstance(layer, Cell)
                if remembers and before:
                    raise ValueError("a cell has one memory: call it once, or use two cells.")
                if (remembers or not is_stateless(after)) and get_opaque_trace_state() != level:
                    raise ValueError(NESTED)
                states[child] = after
                return _mark(layer.name, y)

        y = function(call, x)
        return (_collapse(memories), y), _collapse(states)

    return layer_or_cell(kind, init, carry, apply, *children.values())


def _stand_in(layer: Layer | Cell, params: Tree, state: Tree, carry: Tree, x: Tree) -> Tree:
    """Zeros in the shapes and dtypes of the output: nothing is computed, and little is traced."""
    made = spec((params, state, carry, x))  # without the batch of a vmap around `init`
    y = jax.eval_shape(lambda *made: apply_either(layer, *made)[0], *made)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), y)


def children_of(kind: str, layers: Sequence, named: Mapping) -> dict:
    """The children by position or by name, as layers; raises ValueError if there are both."""
    if bool(layers) == bool(named):
        raise ValueError(
            f"{kind} takes layers, {kind}(a, b), or named layers, {kind}(first=a, second=b)"
            + ("; got both." if layers else "; got none.")
        )
    lifted = {}
    for child, layer in (named or dict(enumerate(layers))).items():
        try:
            lifted[child] = lift(layer)
        except TypeError as error:
            error.add_note(f"in {kind}, the child {child}")
            raise
    return lifted


def pack(by_child: dict) -> Tree:
    """A tuple for children by position, a dict for children by name."""
    return tuple(by_child.values()) if 0 in by_child else by_child


def _collapse(by_child: dict) -> Tree:
    return () if all(is_stateless(each) for each in by_child.values()) else pack(by_child)


def branch_values(branches: Any, title: str) -> list:
    """The branches as a list; raises TypeError if they are not a tuple, a list or a dict."""
    if not isinstance(branches, dict | tuple | list) or not branches:
        raise TypeError(
            f"{title} takes branches, a dict or a tuple as `parallel` makes them, got "
            f"{describe(branches)}."
        )
    return list(branches.values() if isinstance(branches, dict) else branches)


def _mark(title: str, y: Tree) -> Tree:
    def one(path, leaf):
        if not isinstance(leaf, Tracer):
            return leaf
        return checkpoint_name(leaf, f"{MARK}{title}{jax.tree_util.keystr(path)}")

    return jax.tree_util.tree_map_with_path(one, y)


def _fits(kind: str, params: Tree, children: Mapping) -> None:
    given = dict(enumerate(params)) if isinstance(params, tuple | list) else params
    if not isinstance(given, dict) or set(given) != set(children):
        raise ValueError(
            f"{kind} has the children {list(children)}, the params have "
            f"{list(given) if isinstance(given, dict) else describe(params)}: these are the params "
            "of another net."
        )
