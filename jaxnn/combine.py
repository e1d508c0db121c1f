"""Combinators: JAX's scan, vmap and checkpoint for layers and cells, and computation in a dtype.

Each takes a layer, a cell or a plain function, and returns a `Layer`, or a `Cell` if its child is a
cell.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import (
    Cell,
    Layer,
    Net,
    Tree,
    apply_either,
    cast,
    check_int,
    check_same_spec,
    describe,
    error_scope,
    float_dtype,
    fold_in,
    initial_carry,
    layer_or_cell,
    lift,
    signature,
    spec,
)
from jaxnn.printing import factory


@factory
def repeat(layer: Any, n: int, *, unroll: int = 1) -> Net:
    """A layer n times in a row, each time with its own params, as one scan over depth.

    Params and state gain a leading axis of length n; compile time does not grow with n. A cell
    carries a tuple of n memories, and a chunk of one step passes from one to the next without the
    scan, which would copy all params and carries at each step.

    Args:
      layer: a layer, cell or function whose output has the shape and dtype of its input.
      n: the number of repetitions.
      unroll: the number of repetitions that each iteration of the scan writes out. If it is n,
        there is no scan and nothing is stacked for the gradient, but compile time grows with n
        (`python -m benchmarks depth` compares the two).

    Returns:
      A layer (or a cell) from x to y of the same shape and dtype.

    Raises:
      ValueError: if n or unroll is less than 1, or the output differs from the input in shape or
        dtype.

    >>> import jax, jaxnn as nn
    >>> net = nn.repeat(nn.serial(nn.dense(3), jax.nn.tanh), 5)
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> params[0]["w"].shape
    (5, 3, 3)
    """
    child, n, unroll = lift(layer), check_int(n, "repeat: n"), check_int(unroll, "repeat: unroll")
    unequal = "repeat takes a layer whose output equals its input"
    fits = set()  # what x it was seen to fit: it is not run twice for that

    def init(key, x):
        with error_scope("repeat", None, child, x):
            params, state = _members(child, n, key, x)
            if signature(x) not in fits:
                first = jax.tree.map(lambda leaf: leaf[0], (params, state))
                y = jax.eval_shape(lambda p, s, x: _once(child, p, s, x), *first, x)
                check_same_spec(spec(x), y, unequal)
                fits.add(signature(x))
        return params, state

    def carry(params, x):
        return _apart(jax.vmap(lambda p: initial_carry(child, p, x), axis_size=n)(params), n)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        _led("repeat", n, params)

        def body(x, each):
            params, state, memory, i = each
            y, memory, state = apply_either(
                child, params, state, memory, x, key=fold_in(key, i), train=train
            )
            check_same_spec(x, y, unequal)
            return y, (memory, state)

        cell = isinstance(child, Cell)
        if cell and (not isinstance(memory, tuple) or len(memory) != n):
            raise ValueError(f"repeat of {n} takes the carry of cell.carry(params, x), a tuple.")
        with error_scope("repeat", None, child, x):
            if cell and jax.tree.leaves(x)[0].shape[1] == 1:
                once, afters = jax.jit(body), []  # traced once for all
                for before in zip(_apart((params, state), n), memory, range(n), strict=True):
                    x, after = once(x, (*before[0], *before[1:]))
                    afters.append(after)
                memory, states = zip(*afters, strict=True)
                return (memory, x), _stacked(states)
            memory = _stacked(memory) if cell else ()
            each = params, state, memory, jnp.arange(n)
            y, (memory, state) = jax.lax.scan(body, x, each, unroll=min(unroll, n))
        return (_apart(memory, n) if cell else (), y), state

    return layer_or_cell("repeat", init, carry, apply, child)


@factory
def ensemble(layer: Any, n: int) -> Net:
    """n members of one layer over the same input, as one vmap.

    Args:
      layer: a layer, cell or function.
      n: the number of members, each with its own params.

    Returns:
      A layer (or a cell) from x to the outputs of all members, stacked along a leading axis of
      length n; params and state have the same leading axis.

    Raises:
      ValueError: if n is less than 1.

    >>> import jax, jaxnn as nn
    >>> net = nn.ensemble(nn.dense(2), 5)
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> net(params, jax.numpy.ones((4, 3))).shape
    (5, 4, 2)
    """
    child, n = lift(layer), check_int(n, "ensemble: n")

    def init(key, x):
        with error_scope("ensemble", None, child, x):
            return _members(child, n, key, x)

    def carry(params, x):
        return jax.vmap(lambda p: initial_carry(child, p, x), axis_size=n)(params)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        _led("ensemble", n, params)

        def member(params, state, memory, i):
            return apply_either(child, params, state, memory, x, key=fold_in(key, i), train=train)

        with error_scope("ensemble", None, child, x):
            y, memory, state = jax.vmap(member)(params, state, memory, jnp.arange(n))
        return (memory, y), state

    return layer_or_cell("ensemble", init, carry, apply, child)


@factory
def remat(layer: Any, policy: Callable | None = None) -> Net:
    """The layer with its activations recomputed in the backward pass, which saves memory.

    Args:
      layer: a layer, cell or function.
      policy: one of `jax.checkpoint_policies`, which says what is kept; nothing by default.

    Returns:
      A layer (or a cell) with the same params, state and output.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.remat(nn.serial(nn.dense(8), jax.numpy.tanh)), jax.numpy.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 8)
    """
    child = lift(layer)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x

        def forward(params, state, memory, x, key):
            return apply_either(child, params, state, memory, x, key=key, train=train)

        y, memory, state = jax.checkpoint(forward, policy=policy)(params, state, memory, x, key)
        return (memory, y), state

    return layer_or_cell("remat", child.init, partial(initial_carry, child), apply, child)


@factory
def with_dtype(layer: Any, dtype: Any) -> Net:
    """The layer computed in another dtype: params and input are cast to it, and the output is cast
    back.

    Params and state keep their own dtype; the carry of a cell has `dtype`.

    Args:
      layer: a layer, cell or function.
      dtype: such as `jax.numpy.bfloat16`.

    Returns:
      A layer (or a cell) whose output has the dtype of the input, or float32 if the input has no
      floating leaves (tokens).

    Raises:
      TypeError: if dtype is not a dtype.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.with_dtype(nn.dense(8), jax.numpy.bfloat16), jax.numpy.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].dtype.name, net(params, x).dtype.name
    ('float32', 'float32')
    """
    child = lift(layer)

    def carry(params, x):
        x = jax.eval_shape(lambda x: cast(x, dtype), x)
        return initial_carry(child, cast(params, dtype), x)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        y, memory, state = apply_either(
            child, cast(params, dtype), state, memory, cast(x, dtype), key=key, train=train
        )
        return (memory, cast(y, float_dtype(x))), state

    return layer_or_cell("with_dtype", child.init, carry, apply, child)


def _members(child: Layer | Cell, n: int, key, x):
    """Params and state of n members, stacked; member i is initialized with branch i of the key."""
    return jax.vmap(lambda i: child.init(fold_in(key, i), x))(jnp.arange(n))


def _apart(tree: Tree, n: int) -> tuple:
    """n trees from a tree with a leading axis of length n."""
    return tuple(jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(n))


def _stacked(trees: tuple) -> Tree:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _once(child: Layer | Cell, params, state, x) -> Tree:
    return apply_either(child, params, state, initial_carry(child, params, x), x)[0]


def _led(kind: str, n: int, params: Tree) -> None:
    for leaf in jax.tree.leaves(params):
        if jnp.ndim(leaf) == 0 or leaf.shape[0] != n:
            raise ValueError(
                f"{kind} of {n} takes params with a leading axis of {n}, got {describe(leaf)}: "
                "these are the params of another net."
            )
