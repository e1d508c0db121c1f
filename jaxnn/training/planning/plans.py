"""The plan of a train step: what it takes on devices that are not there, from shapes alone."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxnn.checks import check_number
from jaxnn.core import Cell
from jaxnn.training.placement import batch_shardings
from jaxnn.training.planning import estimate
from jaxnn.training.planning.chips import Topology, parse
from jaxnn.training.planning.compiled import CompiledPlan, axes_of, compile_step, specs
from jaxnn.training.planning.compilers import absent_mesh, compiling_mesh, missing
from jaxnn.training.planning.programs import traced
from jaxnn.training.planning.roofline import Roofline, roofline
from jaxnn.training.planning.traffic import Collective
from jaxnn.training.planning.work import work_of
from jaxnn.training.sharding import Sharding, data_parallel, shardings
from jaxnn.tree import count_params, nbytes


class Memory(NamedTuple):
    """Bytes on each device.

    params, moments and state lie in the train: moments are the state of the optimizer, state is all
    else. peak adds temporaries to these and to the batch, and what the compiler pads. capacity is
    what a program may take, None where it is not known.
    """

    params: int
    moments: int
    state: int
    batch: int
    temporaries: int
    peak: int
    capacity: int | None


class StepPlan(NamedTuple):
    """What a step takes. Without a compiler `compiled` is None and the figures are estimates.

    params: their number. macs: the multiply-adds of a step on all devices by dtype. traffic: what
    each device sends. fits: whether the peak is within the capacity. items: what one step learns
    from, each a `unit`. rate: of these per second at `share` of the roofline. cache: bytes of
    keys and values for serving. refusal: the words of a compiler that refused. unknown: what the
    plan could not find out.
    """

    topology: str
    devices: int
    sharding: str
    params: int
    memory: Memory
    fits: bool | None
    macs: dict[str, int]
    traffic: tuple[Collective, ...]
    roofline: Roofline
    items: int
    unit: str
    share: float
    rate: float | None
    cache: int | None
    compiled: CompiledPlan | None
    refusal: str
    unknown: tuple[str, ...]


def plan(
    step: Callable,
    train: Any,
    batch: Any,
    *,
    topology: str,
    sharding: Callable[[Mesh], Sharding] | None = None,
    mesh: Mapping[str, int] | None = None,
    share: float = 0.4,
    compiler: bool | None = None,
    cell: Any = None,
) -> StepPlan:
    """Plans a train step for devices that are not there: memory, work, traffic and time.

    The time of the roofline is max(2 macs / peak, bytes moved / bandwidth, bytes sent / links).
    Nothing runs: where the accelerator's compiler is installed, memory and traffic are its own; in
    any other case all is estimated from the jaxpr, and `unknown` says what that leaves out.

    Args:
      step: (train, batch) -> (train, metrics), as `nn.training.step` makes it.
      train: a `TrainState`, or another pytree, of arrays or `jax.ShapeDtypeStruct`s.
      batch: the whole batch of all devices, likewise.
      topology: a kind of chip and a size: "v5e:16x16", "2*v5e:16x16" for two slices, "h100:64",
        "cpu:8" for devices of this machine.
      sharding: a recipe, such as `nn.training.fully_sharded`, or a function from a mesh to a
        sharding; `data_parallel` by default.
      mesh: the axes of the mesh and their sizes; all devices along "data" by default.
      share: the share of the roofline at which `rate` is given, in (0, 1].
      compiler: whether the compiler is asked; by default if it is installed.
      cell: a cell whose carry is the cache for serving the inputs of this batch.

    Returns:
      A `StepPlan`; `nn.training.report(plan)` is its text.

    Raises:
      ValueError: if the topology is unknown or the mesh does not divide the batch or a param.
      ImportError: if the compiler is asked for and not installed.
      TypeError: if cell is not a cell.

    (Williams et al., Roofline: an insightful visual performance model, 2009.)

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer, x = nn.dense(8), optax.adam(1e-3), jax.ShapeDtypeStruct((64, 16), "float32")
    >>> train = jax.eval_shape(
    ...     lambda key: nn.training.init_train(net, optimizer, key, x), jax.random.key(0)
    ... )
    >>> y = jax.ShapeDtypeStruct((64, 8), "float32")
    >>> step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> plan = nn.training.plan(step, train, (x, y), topology="v5e:2x2", compiler=False)
    >>> plan.params, plan.macs, plan.memory.batch, plan.fits
    (136, {'float32': 16384}, 1536, True)
    """
    place = parse(topology)
    share = float(check_number(share, "plan: share", above=0, most=1))
    if cell is not None and not isinstance(cell, Cell):
        raise TypeError(f"plan: cell must be a cell, such as a net with a capacity, got {cell!r}.")
    train, batch = specs(train, batch)
    axes = axes_of(place, mesh)
    recipe = sharding or data_parallel
    command = missing(place)
    ask = command is None if compiler is None else compiler
    over = recipe(compiling_mesh(place, axes) if ask else absent_mesh(place, axes))
    unknown = [] if ask else _not_asked(place, over, command)

    platform = place.chip.kind
    work = work_of(traced(step, platform, train, batch))
    mine, temporaries = estimate.one_device(step, platform, over, train, batch)
    compiled, refusal = None, ""
    if ask:
        try:
            compiled = compile_step(place, over, step, train, batch)
        except MemoryError as error:
            refusal = str(error)
    memory = _memory(place, over, train, batch, temporaries, compiled)
    params = _params(train)
    sent = estimate.expected_traffic(over, params, place.neighborhood)
    if compiled is not None:
        sent = compiled.traffic
        if compiled.lost_loops:
            unknown.append(f"the length of {compiled.lost_loops} loops, whose traffic counts once")
    line, missed = roofline(place.chip, mine.macs, mine.moved, sent)
    items, unit = _items(batch)
    rate = items * share / line.seconds if line.seconds else None
    fits = None if memory.capacity is None else memory.peak <= memory.capacity and not refusal
    return StepPlan(
        topology, place.count, repr(over), count_params(params), memory, fits, work.macs, sent,
        line, items, unit, share, rate, cache_bytes(cell, batch), compiled, refusal,
        (*unknown, *work.unknown, *missed),
    )  # fmt: skip


def cache_bytes(cell: Any, batch: Any) -> int | None:
    """Bytes of the carry of a cell for the inputs of a batch (x, target)."""
    if cell is None:
        return None
    x = batch[0] if isinstance(batch, tuple | list) else batch
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*leaf.shape[:1], 1), leaf.dtype), x)
    params, _ = jax.eval_shape(cell.init, jax.random.key(0), first)
    return nbytes(jax.eval_shape(cell.carry, params, first))


def _params(train: Any) -> Any:
    if isinstance(train, dict) and "params" in train:
        return train["params"]
    return getattr(train, "params", train)


def _memory(
    place: Topology,
    over: Sharding,
    train: Any,
    batch: Any,
    temporaries: int,
    compiled: CompiledPlan | None,
) -> Memory:
    laid, split = shardings(over, train), batch_shardings(over, batch, "batch")
    whole = estimate.held(laid, train)
    params = estimate.held(_params(laid), _params(train))
    moments = 0
    if hasattr(train, "opt_state"):
        moments = estimate.held(laid.opt_state, train.opt_state)
    rows = estimate.held(split, batch)
    peak = whole + rows + temporaries
    if compiled is not None:
        temporaries, peak = compiled.temporaries, compiled.peak
    capacity = place.chip.memory or None
    return Memory(params, moments, whole - params - moments, rows, temporaries, peak, capacity)


def _not_asked(place: Topology, over: Sharding, command: str | None) -> list[str]:
    unknown = ["what the compiler pads, recomputes or keeps: memory is estimated from the jaxpr"]
    if command is not None:
        unknown.append(f"all that the compiler of {place.name} says; it comes with: {command}")
    rows = {axis for entry in over.batch for axis in estimate.axes_in(entry)}
    others = [axis for axis in over.mesh.axis_names if axis not in rows]
    others += [axis for entry in over.batch[1:] for axis in estimate.axes_in(entry)]
    if any(over.mesh.shape[axis] > 1 for axis in others):
        unknown.append(f"what is sent along {', '.join(others)}, and how it divides temporaries")
    return unknown


def _items(batch: Any) -> tuple[int, str]:
    """Tokens, if the first leaf of a batch is integers [rows, time]; samples if it is not."""
    leaves = jax.tree.leaves(batch)
    if not leaves or not leaves[0].shape:
        return 1, "steps"
    first = leaves[0]
    if first.ndim == 2 and jnp.issubdtype(first.dtype, jnp.integer):
        return math.prod(first.shape), "tokens"
    return first.shape[0], "samples"
