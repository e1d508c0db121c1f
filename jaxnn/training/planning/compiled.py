"""Estimates the memory and the collectives of a train step on an accelerator that is not there.

The accelerator's own compiler runs on this machine. The program is compiled, never run: only the
device can tell how fast it is.
"""

import difflib
import glob
import math
import os
import re
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


class Chip(NamedTuple):
    """A kind of chip: its largest slice, bytes a device, devices of a chip, a GPU's numbers."""

    largest: tuple[int, ...]
    memory: int
    devices: int = 1
    card: str = ""


def _gpu(sm: int, cores: int, core: tuple, l2: int, rate: int, ghz: float, memory: int) -> Chip:
    # By published numbers: lanes, threads and KiB of a core; MiB of cache; GB/s; GHz; bytes.
    lanes, threads, shared = core
    # From Ampere on the driver keeps 1 KiB of a block's shared memory to itself.
    block = shared - 1 if sm >= 80 else shared
    # From Hopper on a program is compiled for the very card, not for its whole generation.
    extension = "feature_extension: ACCELERATED_FEATURES" if sm >= 90 else ""
    card = f"""
      platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 }} gpu_device_info {{
      cuda_compute_capability {{ major: {sm // 10} minor: {sm % 10} {extension} }}
      core_count: {cores} fpus_per_core: {lanes} clock_rate_ghz: {ghz} threads_per_warp: 32
      threads_per_core_limit: {threads} threads_per_block_limit: 1024
      shared_memory_per_core: {shared << 10} shared_memory_per_block_optin: {block << 10}
      shared_memory_per_block: 49152 l2_cache_size: {l2 << 20} memory_bandwidth: {rate * 10**9}
      device_memory_size: {memory} registers_per_core_limit: 65536 registers_per_block_limit: 65536
      block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
      thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
      driver_version: "13.0.0" runtime_version: "13.0.0" dnn_version: "9.10.0" }}"""
    return Chip((4096,), memory, card=card)


_FULL = "the step does not fit {}: it needs {} a device has; make the batch smaller, "
_FULL += "recompute activations (remat), or shard more than the batch."
# A TPU's memory is what its compiler grants a program, a card's is what its driver reports.
TARGETS: dict[str, Chip] = {
    "v5e": Chip((16, 16), int(15.75 * 2**30)),
    "v6e": Chip((16, 16), int(31.25 * 2**30)),
    "v5p": Chip((16, 20, 28), int(95.74 * 2**30)),
    "tpu7x": Chip((16, 24, 24), int(94.75 * 2**30), devices=2),
    "t4": _gpu(75, 40, (64, 1024, 64), 4, 320, 1.59, 15_843_721_216),
    "a100": _gpu(80, 108, (64, 2048, 164), 40, 2039, 1.41, 85_100_068_864),
    "l4": _gpu(89, 58, (128, 1536, 100), 48, 300, 2.04, 23_612_293_120),
    "h100": _gpu(90, 132, (128, 2048, 228), 50, 3352, 1.98, 84_942_979_072),
}


class CompiledPlan(NamedTuple):
    """What a compiled step needs; sizes are bytes on one device, `seconds` is the compile time.

    Outputs mostly reuse the memory of the donated arguments; `peak` counts them once, and adds
    temporaries and the program of a TPU. A collective in a loop counts once, as in the program.
    """

    target: str
    devices: int
    arguments: int
    outputs: int
    temporaries: int
    peak: int
    capacity: int | None
    collectives: dict[str, int]
    seconds: float


def available() -> dict[str, str | None]:
    """Which compilers of absent accelerators are installed.

    Returns:
      A dict from "tpu" and "cuda" to None if the compiler is installed, else to the command that
      installs it.

    >>> import jaxnn as nn
    >>> sorted(nn.training.available())
    ['cuda', 'tpu']
    """
    tpu = None if find_spec("libtpu") else f"pip install 'jax[tpu]=={jax.__version__}'"
    plugins = [plugin.value for plugin in entry_points(group="jax_plugins")]
    parts = [] if any("cuda" in plugin for plugin in plugins) else ["plugin", "pjrt"]
    wanted = [f"jax-cuda13-{part}=={jax.__version__}" for part in parts]
    # The plugin leaves the last stage to ptxas, which a CUDA toolkit has too.
    places = ["/usr/local/cuda", *(f"{folder}/nvidia/*" for folder in sys.path)]
    if not (shutil.which("ptxas") or any(glob.glob(f"{place}/bin/ptxas") for place in places)):
        wanted += ["'nvidia-cuda-nvcc<13.1'", "'nvidia-nvvm<13.1'"]
    return {"tpu": tpu, "cuda": f"pip install --no-deps {' '.join(wanted)}" if wanted else None}


def compile_for(
    target: str, step: Callable[[Any, Any], Any], train: Any, batch: Any
) -> CompiledPlan:
    """Compiles a data-parallel train step for all devices of an absent accelerator.

    Of a GPU's memory JAX takes three quarters unless XLA_PYTHON_CLIENT_MEM_FRACTION says more.
    Scratch memory of kernels that are chosen on the card (convolutions) is not in the figures.

    Args:
      target: a name in `TARGETS` and a size, one chip by default: the sides of a TPU slice in chips
        ("v5e:2x2", "v5p:2x2x1") or a number of GPUs ("h100:8").
      step: (train, batch) -> (train, metrics), jitted or not, without shardings of its own.
      train: a pytree of arrays or `jax.ShapeDtypeStruct`s; donated, with a copy on every device.
      batch: the same; the first axis of every leaf is divided among the devices.

    Returns:
      A `CompiledPlan`: memory, collectives and compile time.

    Raises:
      ValueError: if the target is unknown, or the batch does not divide by its devices.
      ImportError: if the compiler is not installed, with the command that installs it.
      MemoryError: if the step does not fit, with the needed and the available memory.

    >>> import jaxnn as nn
    >>> step = lambda train, batch: (train, {})
    >>> nn.training.compile_for("h10", step, (), ())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: target 'h10' is unknown: did you mean 'h100', or another of ...
    """
    name, shape = _parse(target)
    chip = TARGETS[name]
    count = math.prod(shape) * chip.devices
    # Arrays are committed to the devices that are here, specs are not.
    train, batch = jax.eval_shape(lambda *both: both, train, batch)
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        if not leaf.shape or not leaf.shape[0] or leaf.shape[0] % count:
            raise ValueError(
                f"batch{jax.tree_util.keystr(path)} of shape {leaf.shape} cannot be shared out "
                f"among the {count} devices of {target}: make its rows a multiple of {count}."
            )
    mesh = Mesh(_devices(name, shape), ("data",), axis_types=(AxisType.Auto,))
    copied, split = (NamedSharding(mesh, PartitionSpec(*axis)) for axis in ((), ("data",)))
    ways = {"in_shardings": (copied, split), "out_shardings": (copied, None)}
    begin = time.perf_counter()
    with jax.set_mesh(mesh):  # in place of a mesh of the devices that are here
        lowered = jax.jit(step, donate_argnums=0, **ways).lower(train, batch)
    try:
        with warnings.catch_warnings():
            # A cache on disk cannot hand back a program for absent devices; JAX then compiles.
            warnings.filterwarnings("ignore", "Error reading persistent compilation cache")
            compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        found = re.search(r"\(([\d.]+)(\w)\) exceeds available \w+ \(([\d.]+)(\w)\)", str(error))
        if not found:
            raise
        raise MemoryError(_FULL.format(target, found.expand(r"\1 \2iB of the \3 \4iB"))) from error
    seconds = time.perf_counter() - begin
    memory: Any = compiled.memory_analysis()
    inputs, outputs = memory.argument_size_in_bytes, memory.output_size_in_bytes
    temporaries, program = memory.temp_size_in_bytes, memory.generated_code_size_in_bytes
    # Not peak_memory_in_bytes: a TPU's compiler counts the vector memory on the chip in it too.
    peak = inputs + outputs - memory.alias_size_in_bytes + temporaries + program
    # A GPU's compiler does not refuse what does not fit.
    if peak > chip.memory:
        raise MemoryError(_FULL.format(target, f"{_size(peak)} of the {_size(chip.memory)}"))
    counts = collectives(compiled.as_text() or "")
    return CompiledPlan(
        target, mesh.size, inputs, outputs, temporaries, peak, chip.memory, counts, seconds
    )


def collectives(program: str) -> dict[str, int]:
    r"""How often each kind of collective stands in the text of a compiled program.

    >>> collectives("ENTRY %main {\n  %sum = f32[8]{0} all-reduce-start(%x)\n}")
    {'all-reduce': 1}
    """
    kinds = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"
    counts: Counter[str] = Counter()
    for computation in re.split(r"^(?=\S)", program, flags=re.MULTILINE):
        # A TPU hides one collective behind a chain of fusions, of which the first counts.
        if re.match("%async_collective_fusion", computation) or "CollectiveDone" in computation:
            continue
        found = re.findall(rf"(?m)^ .*? = .*? ({kinds})(?:-start)?\(", computation)
        # Its reduce-scatter is a fusion around an all-reduce that is then cut up.
        scatter = computation.startswith("%all-reduce-scatter")
        counts.update("reduce-scatter" if scatter else kind for kind in found)
    return dict(sorted(counts.items()))


def report(plan: CompiledPlan) -> str:
    """A plan as a few aligned lines, with sizes per device.

    Args:
      plan: what `compile_for` returned.

    Returns:
      Text.

    >>> import jaxnn as nn
    >>> sizes = {"arguments": 2**20, "outputs": 2**20, "temporaries": 0, "peak": 2**20}
    >>> plan = nn.training.CompiledPlan(
    ...     target="v5e:2x2", devices=4, **sizes, capacity=2**34, collectives={}, seconds=1.0
    ... )
    >>> print(nn.training.report(plan).split("\\n")[0])
    v5e:2x2 (devices: 4): compiled, not run
    """
    room = f" of {_size(plan.capacity)} ({plan.peak / plan.capacity:.1%})" if plan.capacity else ""
    counts = ", ".join(f"{count} {kind}" for kind, count in plan.collectives.items()) or "none"
    return f"""{plan.target} (devices: {plan.devices}): compiled, not run
  arguments    {_size(plan.arguments)}
  outputs      {_size(plan.outputs)}
  temporaries  {_size(plan.temporaries)}
  peak         {_size(plan.peak)}{room}
  collectives  {counts}
  compiled in  {plan.seconds:.1f} s"""


def _size(count: int) -> str:
    power = min(max((count.bit_length() - 1) // 10, 1), 3)
    return f"{count / 1024**power:.1f} {' KMG'[power]}iB"


def _parse(target: str) -> tuple[str, tuple[int, ...]]:
    name, _, size = target.partition(":")
    if name not in TARGETS:
        near = difflib.get_close_matches(name.lower(), TARGETS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}, or another" if near else "use one"
        raise ValueError(f"target {target!r} is unknown: {hint} of {', '.join(TARGETS)}.")
    largest, _, _, card = TARGETS[name]
    size = size or "x".join("1" * len(largest))
    shape = tuple(map(int, size.split("x"))) if re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", size) else ()
    # A host has eight cards or 2x2 chips; beyond a part of one, hosts are taken whole.
    host, part = ((8,), 8) if card else ((2, 2), 1)
    whole = math.prod(shape) <= part or not any(map(int.__mod__, shape, host))
    # Checked here because the TPU's compiler ends the whole process on some slices too large.
    if not whole or len(shape) != len(largest) or any(map(int.__gt__, sorted(shape), largest)):
        most, full = ("x".join(map(str, sides)) for sides in (largest, host))
        sizes = f"{name}:SIZE is at most {part} or, in whole hosts of {full}, at most {most}"
        raise ValueError(f"{sizes}, not {size!r}.")
    return name, shape


def _devices(name: str, shape: tuple[int, ...]) -> Any:
    from jax.experimental import topologies  # slow, and of no use to most programs

    card = TARGETS[name].card
    if command := available()["cuda" if card else "tpu"]:
        raise ImportError(f"the compiler for {name} is not installed: install it with {command}")
    # The compilers read these when they load. JAX sets the first where it finds no TPU; where
    # there is one, or a GPU, their own settings and checks must stand.
    if "TPU_SKIP_MDS_QUERY" in os.environ:
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    if not os.path.exists("/dev/nvidiactl"):
        os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    if card:
        hosts = f"1x{-(-shape[0] // 8)}x{min(shape[0], 8)}"
        options = {"platform": "cuda", "target_config": card, "topology": hosts}
        try:
            return topologies.get_topology_desc("", **options).devices
        except NotImplementedError:
            # JAX was in use before, looked for a driver, found none and left the plugin out.
            plugin = next(p for p in entry_points(group="jax_plugins") if "cuda" in p.value)
            plugin.load().initialize()
            return topologies.get_topology_desc("", **options).devices
    # Without bounds the compiler takes a host to have 2x2 chips, more than a single chip has.
    bounds = {"chips_per_host_bounds": [1, 1, 1]} if set(shape) == {1} else {}
    text = f"{name}:{'x'.join(map(str, shape))}"
    topology = topologies.get_topology_desc(text, platform="tpu", **bounds)
    # In the order of the slice's wires, as on the real one.
    return topologies.make_mesh(topology, (len(topology.devices),), ("data",)).devices
