"""Cells from functions of one step or of a chunk.

A cell that is given a pair (x, mask), as `jaxnn.sequences.masks` describes it, keeps its carry and
outputs zeros at masked steps, and returns (y, mask). A padded sequence gives the same outputs,
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
from jaxnn.core import Cell, Tree
from jaxnn.sequences.masks import (
    broadcast_mask,
    documents,
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
        args: Any = params, memory, *_swap((x, mask, starts)), fresh
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
