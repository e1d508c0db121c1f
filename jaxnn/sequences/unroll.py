"""Sequences: layers from cells, directions and stacks.

A cell is given (x, mask) and returns (y, mask), as `jaxnn.sequences.chunks` describes it. A chain
of cells therefore passes the mask on, or the segments of packed rows, and `stack` leads it around
the layers between cells.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell, Layer, Net, Tree
from jaxnn.flow import concatenate, serial, wire
from jaxnn.printing import factory
from jaxnn.sequences.masks import broadcast_mask, is_pair, is_segments, split_mask, zero_masked


@factory
def unroll(
    cell: Cell, *, reverse: bool = False, last: bool = False, return_carry: bool = False
) -> Layer:
    """A layer that runs a cell over whole sequences, from a fresh carry.

    Args:
      cell: the cell; build one that contains layers with `stack` if lengths or masks are used.
      reverse: whether to run from the last valid step to the first; y keeps the order of x.
      last: whether to return only y of the last valid step, [batch, ...], zeros if there is none.
        (For both directions, unroll each one: the last step of a `bidirectional` cell has seen only
        one step backwards.)
      return_carry: whether to return (y, carry), with the carry after the last valid step.

    Returns:
      A layer from x, every leaf [batch, time, ...], or from a pair (x, lengths) with lengths int
      [batch] or (x, mask) with mask bool [batch, time], or segments int [batch, time] of packed
      rows, to y [batch, time, ...]. At masked steps y is zero, whatever x holds there. A length of
      zero or less gives zeros and the fresh carry; one beyond time counts as time.

    Raises:
      TypeError: if the cell is not a cell, lengths are not integers, or a mask is neither bool nor
        segments.
      ValueError: if lengths or mask have another shape, if there is no step to return the last of,
        or if there are several, those of the documents of a packed row.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.gru(8), last=True), jax.numpy.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, (x, jax.numpy.array([6, 2, 1, 0]))).shape
    (4, 8)
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"unroll takes a Cell, got {cell!r}: a layer needs no unrolling.")

    def init(key, x):
        x, mask = split_mask(x, "unroll", lengths=True, segments=True)
        return cell.init(key, x if mask is None else (x, jnp.ones(mask.shape, mask.dtype)))

    def apply(params, state, x, *, key=None, train=False):
        x, mask = split_mask(x, "unroll", lengths=True, segments=True)
        if last and is_segments(mask):
            raise ValueError(
                "unroll: a packed row has no one last step, but one for each document: take them "
                "from all steps, or give one document a row."
            )
        x = x if mask is None else (zero_masked(x, mask), mask)
        x = _flip(x) if reverse else x
        memory = cell.carry(params, x)
        (memory, y), state = cell.apply(params, state, (memory, x), key=key, train=train)
        if mask is not None:
            if not is_pair(y):
                raise ValueError(
                    "unroll gave its cell (x, mask) and did not get (y, mask): make the cell with "
                    "nn.stack, or pass the mask on."
                )
            y = zero_masked(*y)
        if last:
            y = _last(y, None if mask is None else x[1])
        elif reverse:
            y = _flip(y)
        return ((y, memory) if return_carry else y), state

    return Layer(init, apply)


@factory
def bidirectional(
    forward: Cell, backward: Cell | None = None, *, merge: Callable = concatenate
) -> Cell:
    """Two cells over a sequence, one from each end: y = merge((forward(x), backward(x))).

    The backward one starts at the last valid step of each row. The carry holds the carries of both
    after their last step. The cell can be stacked; it takes whole sequences, not chunks of them.

    Args:
      forward: a cell.
      backward: a cell; by default one like `forward`, with its own params.
      merge: a function of the two outputs; `nn.concatenate` by default, `nn.add` for their sum.

    Returns:
      A cell from [batch, time, features] to the merged outputs.

    Raises:
      TypeError: if an argument is not a cell.

    (Schuster and Paliwal, Bidirectional recurrent neural networks, 1997.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.bidirectional(nn.lstm(8))), jax.numpy.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape, sorted(params)
    ((4, 6, 16), ['backward', 'forward'])
    """
    backward = forward if backward is None else backward
    for cell in (forward, backward):
        if not isinstance(cell, Cell):
            raise TypeError(f"bidirectional takes cells, got {cell!r}.")

    def both(f, x):
        outputs = f.forward(x), _flip(f.backward(_flip(x)))
        y = merge(tuple(split_mask(y, "bidirectional", segments=True)[0] for y in outputs))
        mask = split_mask(x, "bidirectional", segments=True)[1]
        return y if mask is None else (y, mask)

    return wire(both, forward=forward, backward=backward)


@factory
def stack(*layers: Any, **named: Any) -> Net:
    """`serial` for sequences with a mask: cells take (x, mask), the layers between them only x.

    Params, state and carry are those of `serial`. The layers must not look along time, as dense
    layers, dropout and layer norms do not. Layers that couple rows (batch norm, `sparse_mixture`,
    `vector_quantizer`), `attention` and transformers are given the pair. Segments of packed rows
    are led around the layers as a mask is.

    Args:
      layers: layers, cells or functions; params are then a tuple.
      named: the same by name; params are then a dict.

    Returns:
      A layer from x or (x, mask), or a cell if a child is one.

    Raises:
      TypeError: for an unrolled cell, in whose place the stack is to be unrolled; given a mask, for
        a composed layer in which one couples rows or steps, and for a convolution or a pool.
      ValueError: given a mask, for a group or instance norm.

    >>> import jax, jaxnn as nn
    >>> net = nn.unroll(nn.stack(nn.lstm(8), jax.nn.relu, nn.lstm(8), nn.dense(2)))
    >>> x, lengths = jax.numpy.ones((2, 6, 3)), jax.numpy.array([6, 1])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, (x, lengths)).shape
    (2, 6, 2)
    """
    return serial(*map(_timewise, layers), **{k: _timewise(v) for k, v in named.items()})


# Pieces


def _flip(x: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jnp.flip(leaf, 1), x)


def _last(y: Tree, mask: Any) -> Tree:
    """y at the last valid step; zero for rows without one."""
    if jax.tree.leaves(y)[0].shape[1] == 0:
        raise ValueError("unroll: there is no last of no steps: give at least one.")
    if mask is None:
        return jax.tree.map(lambda leaf: leaf[:, -1], y)
    index = mask.shape[1] - 1 - jnp.argmax(jnp.flip(mask, 1), axis=1)
    return jax.tree.map(
        lambda leaf: jnp.take_along_axis(leaf, broadcast_mask(index[:, None], leaf), axis=1)[:, 0],
        y,
    )


def _timewise(layer: Any) -> Net:
    """A cell as it is; a layer over the x of a pair, or over the pair if it couples rows."""
    child: Any = core.lift(layer)
    if isinstance(child, Cell):
        return child  # pyright: ignore
    if child.name == "unroll":
        raise TypeError("stack takes cells, not unrolled ones: unroll the stack instead.")

    def init(key, x):
        return child.init(key, split_mask(x, "stack", segments=True)[0])

    def apply(params, state, x, *, key=None, train=False):
        x, mask = split_mask(x, "stack", segments=True)
        if mask is not None and child.couples in core.OVER_SPACE:
            raise TypeError(
                f"stack: {child.couples} looks along time, where padding and other documents would "
                f"take part: put it in nn.spiking.time_distributed for each step by itself, or "
                "give it sequences without a mask."
            )
        if mask is not None and child.couples:
            if child.couples != child.name:
                raise TypeError(
                    f"stack: {child.name} holds a {child.couples}, which must see the mask: "
                    "give its layers to stack one by one."
                )
            y, state = child.apply(params, state, (x, mask), key=key, train=train)
            return (y if type(y) is tuple else (y, mask)), state
        y, state = child.apply(params, state, x, key=key, train=train)
        return (y if mask is None else (y, mask)), state

    return Layer(init, apply, name=child.name)  # pyright: ignore
