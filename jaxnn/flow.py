"""Flows: how data passes through children.

`wire` is the general one: the flow is a function that calls its children. `serial`, `parallel` and
`residual` are common flows. Each takes layers, cells or plain functions, and returns a `Layer`, or
a `Cell` if a child is a cell.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import (
    Net,
    Tree,
    check_same_spec,
    describe,
    lift,
)
from jaxnn.flow_engine import branch_values, children_of, make_flow, pack
from jaxnn.printing import factory


@factory
def serial(*layers: Any, **named: Any) -> Net:
    """Layers one after another: y = f_n(... f_2(f_1(x))).

    Args:
      layers: layers, cells or functions; params are then a tuple.
      named: the same by name, `serial(encoder=..., head=...)`; params are then a dict.

    Returns:
      A layer from the input of the first child to the output of the last, or a cell if a child is
      one.

    Raises:
      ValueError: if there are no layers, or some with and some without a name.

    >>> import jax, jaxnn as nn
    >>> net = nn.serial(nn.dense(8), jax.nn.relu, nn.dense(1))
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> net(params, jax.numpy.ones((4, 3))).shape
    (4, 1)
    """
    children = children_of("serial", layers, named)

    def chain(call, x):
        for child in children:
            x = call(child, x)
        return x

    return make_flow("serial", chain, children)


@factory
def parallel(*layers: Any, **named: Any) -> Net:
    """Branches over one input: y = (f_1(x), ..., f_n(x)), or a dict by the given names.

    Args:
      layers: layers, cells or functions; params and y are then tuples.
      named: the same by name; params and y are then dicts.

    Returns:
      A layer from x to the outputs of all branches, or a cell if a branch is one.

    Raises:
      ValueError: if there are no branches, or some with and some without a name.

    >>> import jax, jaxnn as nn
    >>> net = nn.serial(nn.parallel(nn.dense(8), nn.dense(2)), nn.concatenate)
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> net(params, jax.numpy.ones((4, 3))).shape
    (4, 10)
    """
    children = children_of("parallel", layers, named)

    def branches(call, x):
        return pack({child: call(child, x) for child in children})

    return make_flow("parallel", branches, children)


@factory
def residual(body: Any, shortcut: Any = None) -> Net:
    """A layer with a connection around it: y = shortcut(x) + body(x).

    Args:
      body: a layer, cell or function.
      shortcut: a layer, cell or function on the connection; the identity by default.

    Returns:
      A layer from x to a sum of the shape of body(x), or a cell if a part is one.

    Raises:
      ValueError: if the two terms differ in shape or dtype, and would be broadcast.

    (He et al., Deep residual learning for image recognition, 2015.)

    >>> import jax, jaxnn as nn
    >>> net = nn.residual(nn.serial(nn.dense(3), jax.nn.relu))
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> net(params, jax.numpy.ones((4, 3))).shape
    (4, 3)
    """
    children = {"body": body} if shortcut is None else {"body": body, "shortcut": shortcut}

    def around(call, x):
        return add((x if shortcut is None else call("shortcut", x), call("body", x)))

    return make_flow("residual", around, {child: lift(layer) for child, layer in children.items()})


def add(branches: Any) -> Tree:
    """The sum of branches of equal shape.

    Args:
      branches: a tuple, list or dict of pytrees of arrays, such as the output of `parallel`. Of
        pairs (x, segments) of packed rows the x are added.

    Returns:
      Their sum, with the shape and dtype of each branch.

    Raises:
      ValueError: if branches differ in structure, shape or dtype, and would be broadcast.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.add({"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0, 4.0])}).tolist()
    [4.0, 6.0]
    """
    first, *rest = branch_values(branches, "add")
    total = first
    for each in rest:
        check_same_spec(first, each, "add takes branches of one shape and dtype")
        total = _sum(total, each)
    return total


def _sum(x: Tree, y: Tree) -> Tree:
    """x + y; a pair of a sequence and its segments keeps these, which are names and no numbers."""
    pair = type(x) is tuple and len(x) == 2 and getattr(x[1], "ndim", 0) == 2
    if pair and jnp.issubdtype(x[1].dtype, jnp.integer):
        return jax.tree.map(jnp.add, x[0], y[0]), x[1]
    return jax.tree.map(jnp.add, x, y)


def concatenate(branches: Any) -> jax.Array:
    """Branches concatenated along their last axis, the features.

    Args:
      branches: a tuple, list or dict of arrays [..., features_i].

    Returns:
      An array [..., sum of features_i].

    Raises:
      ValueError: if the other axes or the dtypes differ.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.concatenate({"a": jnp.ones((2, 3)), "b": jnp.ones((2, 1))}).shape
    (2, 4)
    """
    values = branch_values(branches, "concatenate")
    for each in values:
        if not hasattr(each, "ndim"):
            raise TypeError(f"concatenate takes branches that are arrays, got {describe(each)}.")
    for each in values[1:]:
        check_same_spec(
            values[0][..., :1], each[..., :1], "concatenate takes branches of one batch and dtype"
        )
    return jnp.concatenate(values, axis=-1)


@factory
def wire(function: Callable, /, **children: Any) -> Net:
    """A flow of any form, written as a function of its children and the input.

    y = function(f, x), where f.NAME(x) applies the child NAME. `init` traces the function
    abstractly to find the input of each child. A child that is called twice shares its weights.

    Args:
      function: (f, x) -> y.
      children: layers, cells or functions by name; params are a dict with these names.

    Returns:
      A layer from x to y, or a cell if a child is one.

    Raises:
      ValueError: if a child is never called; if a child with state or carry is called inside a
        scan, cond or vmap of the function, which would lose its update; if a cell is called twice.

    >>> import jax, jaxnn as nn
    >>> net = nn.wire(lambda f, x: x * jax.nn.sigmoid(f.gate(x)), gate=nn.dense(3))
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> sorted(params)
    ['gate']
    """
    lifted = children_of("wire", (), children)

    def flow(call, x):
        f = SimpleNamespace(**{child: partial(call, child) for child in lifted})
        return function(f, x)

    return make_flow("wire", flow, lifted)
