"""What the compiler of an absent accelerator says of a train step.

The program is compiled, never run: only the device can tell how fast it is.
"""

import re
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxnn.core import describe
from jaxnn.training.placement import batch_shardings
from jaxnn.training.planning.chips import Topology, parse
from jaxnn.training.planning.compilers import compiling_mesh
from jaxnn.training.planning.traffic import Collective, collectives, traffic
from jaxnn.training.sharding import Sharding, data_parallel, shardings

_FULL = "the step does not fit {}: it needs {} a device has; make the batch smaller, "
_FULL += "recompute activations (remat), or shard more than the batch."


class CompiledPlan(NamedTuple):
    """What a compiled step needs; sizes are bytes on one device, `seconds` is the compile time.

    Outputs mostly reuse the memory of the donated arguments; `peak` counts them once, and adds
    temporaries and the program of a TPU. In `collectives` a collective in a loop counts once, as in
    the program; `traffic` has what a step sends.
    """

    target: str
    devices: int
    arguments: int
    outputs: int
    temporaries: int
    peak: int
    capacity: int | None
    collectives: dict[str, int]
    traffic: tuple[Collective, ...]
    lost_loops: int
    seconds: float


def compile_for(
    target: str,
    step: Callable[[Any, Any], Any],
    train: Any,
    batch: Any,
    *,
    sharding: Callable[[Mesh], Sharding] | None = None,
    mesh: Mapping[str, int] | None = None,
) -> CompiledPlan:
    """Compiles a train step for all devices of an absent accelerator.

    Of a GPU's memory JAX takes three quarters unless XLA_PYTHON_CLIENT_MEM_FRACTION says more.
    Scratch memory of kernels that are chosen on the card (convolutions) is not in the figures.
    `plan` also counts the work of the step, and needs no compiler.

    Args:
      target: a kind of chip and a size, one chip by default: the sides of a TPU slice in chips
        ("v5e:2x2", "v5p:2x2x1"), several slices ("2*v5e:4x4"), or a number of GPUs ("h100:8").
      step: (train, batch) -> (train, metrics), jitted or not.
      train: a pytree of arrays or `jax.ShapeDtypeStruct`s; donated.
      batch: the same.
      sharding: a recipe, such as `nn.training.fully_sharded`, or a function from a mesh to a
        sharding; `data_parallel` by default.
      mesh: the axes of the mesh and their sizes; all devices along "data" by default.

    Returns:
      A `CompiledPlan`: memory, collectives and compile time.

    Raises:
      ValueError: if the target is unknown, or the mesh does not divide the batch or a param.
      ImportError: if the compiler is not installed, with the command that installs it.
      MemoryError: if the step does not fit, with the needed and the available memory.

    >>> import jaxnn as nn
    >>> step = lambda train, batch: (train, {})
    >>> nn.training.compile_for("h10", step, (), ())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: topology 'h10' is unknown: did you mean 'h100', or another of ...
    """
    topology = parse(target)
    devices = compiling_mesh(topology, axes_of(topology, mesh))
    return compile_step(topology, (sharding or data_parallel)(devices), step, train, batch)


def axes_of(topology: Topology, mesh: Mapping[str, int] | None) -> dict[str, int]:
    """The axes of a mesh over all devices; raises ValueError if they are of another number."""
    axes = {"data": topology.count} if mesh is None else dict(mesh)
    product = 1
    for size in axes.values():
        product *= size
    if product != topology.count:
        raise ValueError(
            f"mesh {axes} has {product} devices, and {topology.text} has {topology.count}: make "
            f"the product of its axes {topology.count}."
        )
    return axes


def compile_step(
    topology: Topology, sharding: Sharding, step: Callable, train: Any, batch: Any
) -> CompiledPlan:
    """`compile_for`, for a sharding over the devices of a topology."""
    train, batch = specs(train, batch)
    begin = time.perf_counter()
    with jax.set_mesh(sharding.mesh):  # in place of a mesh of the devices that are here
        lowered = _lowered(step, sharding, train, batch)
        try:
            with warnings.catch_warnings():
                # A cache on disk cannot hand back a program for absent devices; JAX then compiles.
                warnings.filterwarnings("ignore", "Error reading persistent compilation cache")
                compiled = lowered.compile()
        except jax.errors.JaxRuntimeError as error:
            needed = re.search(
                r"\(([\d.]+)(\w)\) exceeds available \w+ \(([\d.]+)(\w)\)", str(error)
            )
            if not needed:
                raise
            needs = needed.expand(r"\1 \2iB of the \3 \4iB")
            raise MemoryError(_FULL.format(topology.text, needs)) from error
    seconds = time.perf_counter() - begin
    memory: Any = compiled.memory_analysis()
    inputs, outputs = memory.argument_size_in_bytes, memory.output_size_in_bytes
    temporaries, program = memory.temp_size_in_bytes, memory.generated_code_size_in_bytes
    # Not peak_memory_in_bytes: a TPU's compiler counts the vector memory on the chip in it too.
    peak = inputs + outputs - memory.alias_size_in_bytes + temporaries + program
    capacity = topology.chip.memory or None
    # A GPU's compiler does not refuse what does not fit.
    if capacity and peak > capacity:
        needs = f"{as_size(peak)} of the {as_size(capacity)}"
        raise MemoryError(_FULL.format(topology.text, needs))
    text = compiled.as_text() or ""
    sent, lost = traffic(text, topology.count, topology.neighborhood)
    return CompiledPlan(
        topology.text, topology.count, inputs, outputs, temporaries, peak, capacity,
        collectives(text), sent, lost, seconds,
    )  # fmt: skip


def specs(train: Any, batch: Any) -> tuple[Any, Any]:
    """The shapes of both, which unlike arrays are committed to no devices.

    Raises:
      ValueError: if a leaf of the batch has no rows.
    """
    train, batch = jax.eval_shape(lambda *both: both, train, batch)
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        if not leaf.size:
            place = f"batch{jax.tree_util.keystr(path)} is {describe(leaf)}"
            raise ValueError(f"{place}, without rows: give it a row for each that is learned from.")
    return train, batch


def _lowered(step: Any, sharding: Sharding, train: Any, batch: Any) -> Any:
    again = getattr(step, "again", None)
    if again is not None:  # a step of `nn.training.step`, made for these devices
        return again(sharding).lower(train, batch)
    laid, split = shardings(sharding, train), batch_shardings(sharding, batch, "batch")
    ways = {"in_shardings": (laid, split), "out_shardings": (laid, None)}
    return jax.jit(step, donate_argnums=0, **ways).lower(train, batch)


def as_size(count: float) -> str:
    """Bytes as text.

    >>> as_size(3 * 2**29)
    '1.5 GiB'
    """
    power = min(max((int(count).bit_length() - 1) // 10, 1), 4)
    return f"{count / 1024**power:.1f} {' KMGT'[power]}iB"
