"""Layers for every step of a sequence, and inputs repeated over time."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.printing import factory


@factory
def time_distributed(layer: Any) -> Layer:
    """Apply a layer to every step of a sequence: y[:, t] = layer(x[:, t]).

    The layer is given [batch * time, ...]. It is for layers that take the axes between batch and
    features for space, such as convolutions and pools. A batch norm in it counts every step as a
    row.

    Args:
      layer: a layer of arrays, or a function of arrays.

    Returns:
      A layer from x [batch, time, ...] to y [batch, time, ...]; its params and state are those of
      the given layer.

    Raises:
      TypeError: if the layer is a cell, which runs over the steps by itself.
      ValueError: if x has no time axis.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.spiking.time_distributed(nn.conv(8, 3, stride=2))
    >>> x = jnp.ones((4, 6, 10, 10, 1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 6, 5, 5, 8)
    """
    child = core.lift(layer)
    if not isinstance(child, Layer):
        raise TypeError("time_distributed takes a layer: a cell runs over the steps by itself.")

    def folded(x):
        if x.ndim < 3:
            raise ValueError(f"time_distributed takes [batch, time, ...], got {core.describe(x)}.")
        return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])

    def init(key, x):
        return child.init(key, jax.eval_shape(folded, x))

    def apply(params, state, x, *, key=None, train=False):
        y, state = child.apply(params, state, folded(x), key=key, train=train)
        return y.reshape(*x.shape[:2], *y.shape[1:]), state

    couples = "" if child.couples in core.ALONG_TIME else child.couples
    return Layer(init, apply, couples)


@factory
def repeat_in_time(steps: int) -> Layer:
    """Repeat an input at every step: y_t = x.

    Args:
      steps: the number of steps.

    Returns:
      A layer from x [batch, ...] to y [batch, steps, ...].

    Raises:
      ValueError: if steps is less than 1.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.repeat_in_time(5)((), jnp.ones((4, 3))).shape
    (4, 5, 3)
    """
    steps = core.check_int(steps, "repeat_in_time: steps")

    def repeated(x):
        # The gradient of a scan adds up step by step, with time first as neurons have it; on a CPU
        # the sum that is the gradient of a broadcast is far slower.
        _, y = jax.lax.scan(lambda x, _: (x, x), x, length=steps)
        return jnp.swapaxes(y, 0, 1)

    return core.lift(repeated)


@factory
def row_blocks(layer: Any, rows: int) -> Layer:
    """Apply a layer to blocks of rows, one after the other, and recompute it in the backward pass.

    y = concatenate(layer(x[0 : rows]), layer(x[rows : 2 rows]), ...)

    A spiking net keeps much for every step, which goes to slow memory if it is large; for few rows
    it is small. The output and the gradient are those of the layer itself, up to the order of sums.

    Args:
      layer: a layer without state whose rows do not see each other, such as an `unroll`.
      rows: the rows of a block, which divide the batch.

    Returns:
      A layer from x, whose leaves are [batch, ...], to the output of the given layer; its params
      are those of the given layer.

    Raises:
      TypeError: if the layer is a cell.
      ValueError: if rows is less than 1 or does not divide the batch, or if the layer has state.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.spiking.row_blocks(nn.dense(2), 4), jnp.ones((8, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (8, 2)
    """
    child, rows = core.lift(layer), core.check_int(rows, "row_blocks: rows")
    if not isinstance(child, Layer):
        raise TypeError("row_blocks takes a layer: unroll the cell first.")

    def blocks(leaf):
        if leaf.shape[0] % rows:
            raise ValueError(f"row_blocks: {rows} rows do not divide {core.describe(leaf)}.")
        return leaf.reshape(-1, rows, *leaf.shape[1:])

    def init(key, x):
        params, state = child.init(key, x)
        if not core.is_stateless(state):
            raise ValueError(f"row_blocks takes a layer without state, but {child.name} has state.")
        return params, ()

    def apply(params, state, x, *, key=None, train=False):
        x = jax.tree.map(blocks, x)

        @jax.checkpoint
        def block(params, x, i):
            return child.apply(params, (), x, key=core.fold_in(key, i), train=train)[0]

        index = jnp.arange(jax.tree.leaves(x)[0].shape[0])
        y = jax.lax.map(lambda each: block(params, *each), (x, index))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), y), ()

    return Layer(init, apply)


def flat_steps(x):
    """The features of every step flattened into one axis."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
