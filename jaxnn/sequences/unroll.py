"""Sequences: cells from one-step functions, layers from cells, masks, directions and stacks.

A cell that is given a pair (x, mask), as `jaxnn.sequences.masks` describes it, keeps its carry and
outputs zeros at masked steps, and returns (y, mask). A chain of cells therefore passes the mask on,
and `stack` leads it around the layers between cells. A padded sequence gives the same outputs,
gradients and carry as the sequence without padding.

Given segments in the place of the mask, a cell begins anew at the first step of each document, also
where a document began in an earlier chunk; its carry is then a `PackedCarry`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import title_of
from jaxnn.core import Cell, Layer, Net, Tree
from jaxnn.flow import concatenate, serial, wire
from jaxnn.printing import factory
from jaxnn.sequences.masks import (
    broadcast_mask,
    documents,
    is_pair,
    is_segments,
    split_mask,
    valid_steps,
    zero_masked,
)


class PackedCarry(NamedTuple):
    """The carry of a cell over packed rows.

    memory: the carry after the last step, which is that of the last document alone.
    segment: int32 [batch], the segment of that document; 0 before the first.
    """

    memory: Tree
    segment: jax.Array


def recurrent(
    init: Callable,
    carry: Callable,
    step: Callable,
    project: Callable | None = None,
    fused: Callable | None = None,
    *,
    name: str = "",
) -> Cell:
    """A cell from the function of one step: (memory_t, y_t) = step(params, memory_{t-1}, x_t).

    With `project`, step takes project(params, x_t) instead of x_t. On a CPU the projection runs
    inside the scan, unless there are few rows; elsewhere it runs once over all steps before the
    scan, as one large matmul.

    Args:
      init: (key, x) -> (params, ()), where x is a chunk [batch, time, ...] without a mask.
      carry: (params, x) -> the memory before the first step; every leaf [batch, ...].
      step: (params, memory, x_t) -> (memory, y_t), with params in the dtype of x's floats and every
        leaf of x_t and y_t [batch, ...].
      project: (params, x) -> inputs of the step that do not depend on the memory, for x_t [batch,
        ...] as for x [time, batch, ...].
      fused: (params) -> a function (memory, x_t) -> (memory, y_t) that does both at once, for CPUs;
        what it computes from params is computed once, before the first step.
      name: the name of the cell in errors; by default that of the function around `init`.

    Returns:
      A cell over chunks [batch, time, ...] or pairs (x, mask).

    Raises:
      TypeError: if a mask is not bool.
      ValueError: if a mask is not [batch, time], or a carry has another batch size or dtype.

    >>> import jax, jaxnn as nn
    >>> from jax.numpy import ones, zeros_like
    >>> leak = lambda params, h, x: (0.5 * h + x, 0.5 * h + x)
    >>> cell = nn.recurrent(lambda key, x: ((), ()), lambda params, x: zeros_like(x[:, 0]), leak)
    >>> nn.unroll(cell)((), ones((1, 4, 1))).ravel().tolist()
    [1.0, 1.5, 1.75, 1.875]
    """

    def inline(params, memory, x, mask, starts, fresh):
        def apart(memory, x):
            return step(params, memory, x if project is None else project(params, x))

        if fused is not None and project is not None:
            jax.eval_shape(project, params, x)  # what it refuses, it names with the true shapes
        # What is made of params before the first step is worth several steps.
        alone = jax.tree.leaves(x)[0].shape[0] == 1
        once = apart if fused is None or alone else fused(params)
        # What matmuls gave is kept for the gradient and all else is computed anew, in as much time
        # as it takes to write and read it, and with less than half of the memory.
        kept = jax.checkpoint_policies.dots_saveable
        once = jax.checkpoint(once, prevent_cse=False, policy=kept)
        return _scan(once, memory, x, mask, starts, fresh)

    def hoisted(params, memory, x, mask, starts, fresh):
        x = project(params, x) if project else x
        return _scan(lambda memory, x: step(params, memory, x), memory, x, mask, starts, fresh)

    def run(params, memory, x, mask, starts):
        fresh = None if starts is None else carry(params, x)
        params = core.cast(params, core.float_dtype(x))
        args = params, memory, *_swap((x, mask, starts)), fresh
        if project is None:
            memory, y = inline(*args)
        elif _few_rows(memory):
            memory, y = hoisted(*args)
        else:
            # Measured on two CPU cores: hoisted, the forward pass of an LSTM takes 1.6 times as
            # long, since its inputs [time, batch, 4 width] leave the cache.
            memory, y = jax.lax.platform_dependent(*args, cpu=inline, default=hoisted)
        return memory, _swap(y)

    return chunkwise(init, carry, run, restarts=True, name=name)


def chunkwise(
    init: Callable, carry: Callable, run: Callable, *, restarts: bool = False, name: str = ""
) -> Cell:
    """A cell from the function of a whole chunk: (memory, y) = run(params, memory, x, mask).

    Pairs (x, mask) are handled here, except for one thing that only `run` can do: it must return
    the memory as if the masked steps did not exist. At these steps x is zero, and y is ignored.

    Args:
      init: (key, x) -> (params, ()), where x is a chunk [batch, time, ...] without a mask.
      carry: (params, x) -> the memory before the first step.
      run: (params, memory, x, mask) -> (memory, y), with mask bool [batch, time] or None.
      restarts: whether run also takes `starts`, bool [batch, time] or None, after the mask: where
        it is true, a document of a packed row begins, before which the memory is that of `carry`.
        Without it packed rows run step by step.
      name: the name of the cell in errors; by default that of the function around `init`.

    Returns:
      A cell over chunks [batch, time, ...] or pairs (x, mask).

    Raises:
      TypeError: if a mask is not bool.
      ValueError: if a mask is not [batch, time], or a carry has another batch size or dtype.

    >>> import jax, jaxnn as nn
    >>> def total(params, memory, x, mask):
    ...     y = memory[:, None] + jax.numpy.cumsum(x, axis=1)
    ...     return y[:, -1], y
    >>> cell = nn.chunkwise(lambda key, x: ((), ()), lambda _, x: 0 * x[:, 0], total)
    >>> nn.unroll(cell)((), jax.numpy.ones((1, 4, 1))).ravel().tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    title = name or title_of(init)
    go = run if restarts else _stepwise(carry, run)

    def start(key, x):
        return init(key, split_mask(x, title, segments=True)[0])

    def memory_of(params, x):
        x, mask = split_mask(x, title, segments=True)
        memory = carry(params, x)
        if not is_segments(mask):
            return memory
        return PackedCarry(memory, jnp.zeros(mask.shape[:1], jnp.int32))

    def apply(params, state, carry_x, *, key=None, train=False):
        core.check_train(train)
        memory, x = carry_x
        wanted = jax.eval_shape(memory_of, params, x)
        x, mask = split_mask(x, title, segments=True)
        core.check_same_spec(
            wanted, core.spec(memory), f"{title} takes the carry of cell.carry(params, x)"
        )
        x = x if mask is None else zero_masked(x, mask)
        starts = segment = None
        if is_segments(mask):
            memory, segment = memory
            starts, segment = documents(mask, segment)
        memory, y = go(params, memory, x, valid_steps(mask), starts)
        memory = memory if segment is None else PackedCarry(memory, segment)
        return (memory, y if mask is None else (zero_masked(y, mask), mask)), ()

    return Cell(start, memory_of, apply, title)


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


def _few_rows(memory: Tree) -> bool:
    """Whether the product of one step takes as long as reading its weights.

    Then one product for the inputs of all steps pays on a CPU as well (docs/performance.md).
    """
    rows, width = (jax.tree.leaves(memory)[0].shape[at] for at in (0, -1))
    return isinstance(rows, int) and (rows == 1 or 64 * rows <= width)


def _scan(
    step: Callable, memory: Tree, x: Tree, mask: Any, starts: Any, fresh: Tree
) -> tuple[Tree, Tree]:
    def body(memory, each):
        x, mask, starts = each
        memory = _restarted(memory, fresh, starts)
        after, y = step(memory, x)
        if mask is not None:
            after = jax.tree.map(
                lambda a, b: jnp.where(broadcast_mask(mask, a), a, b), after, memory
            )
        return after, y

    return jax.lax.scan(body, memory, (x, mask, starts))


def _restarted(memory: Tree, fresh: Tree, starts: Any) -> Tree:
    """The fresh memory in rows where a document starts."""
    if starts is None:
        return memory
    return jax.tree.map(
        lambda new, old: jnp.where(broadcast_mask(starts, new), new, old), fresh, memory
    )


def _stepwise(carry: Callable, run: Callable) -> Callable:
    """A `run` with starts, from one without: where there are any, it runs step by step."""

    def steps(params, memory, x, mask, starts):
        if starts is None:
            return run(params, memory, x, mask)

        def once(memory, each):
            memory, y = run(params, memory, *each)
            return memory, jax.tree.map(lambda leaf: leaf[:, 0], y)

        each = jax.tree.map(lambda leaf: leaf[:, :, None], _swap((x, mask)))
        memory, y = _scan(once, memory, each, None, _swap(starts), carry(params, x))
        return memory, _swap(y)

    return steps


def _swap(x: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), x)


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
