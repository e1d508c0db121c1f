"""The compilers of absent accelerators, and the devices that they compile for."""

import glob
import math
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jaxnn.training.planning.chips import Topology


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


def missing(topology: Topology) -> str | None:
    """The command that installs the compiler of a topology, None where it is installed."""
    return available().get(topology.chip.kind)


def compiling_mesh(topology: Topology, axes: Mapping[str, int]) -> Mesh:
    """A mesh of devices that programs can be compiled for, in the order of their wires.

    Raises:
      ImportError: if the compiler is not installed, with the command that installs it.
    """
    if command := missing(topology):
        raise ImportError(
            f"the compiler for {topology.name} is not installed: install it with {command}"
        )
    shape = tuple(axes.values())
    devices = {"tpu": _tpus, "cuda": _gpus, "cpu": _cpus}[topology.chip.kind](topology, shape)
    return Mesh(devices, tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


class Absent:
    """A device that nothing is compiled for; it stands in a mesh from which shapes are read."""

    platform, process_index, client = "absent", 0, None

    def __init__(self, position: int):
        self.id = position

    def __repr__(self) -> str:
        return f"absent({self.id})"


def absent_mesh(topology: Topology, axes: Mapping[str, int]) -> Mesh:
    """A mesh of as many devices that are not there, without any compiler."""
    devices = np.array([Absent(i) for i in range(topology.count)], object)
    devices = devices.reshape(tuple(axes.values()))
    return Mesh(devices, tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def _cpus(topology: Topology, shape: tuple[int, ...]) -> Any:
    devices = jax.devices("cpu")
    if len(devices) < topology.count:
        raise ValueError(
            f"topology {topology.text!r} takes {topology.count} CPU devices, and there are "
            f'{len(devices)}: set jax.config.update("jax_num_cpu_devices", {topology.count}) first.'
        )
    return np.array(devices[: topology.count]).reshape(shape)


def _gpus(topology: Topology, shape: tuple[int, ...]) -> Any:
    from jax.experimental import topologies  # slow, and of no use to most programs

    _settings()
    count = topology.shape[0]
    hosts = f"1x{-(-count // 8)}x{min(count, 8)}"
    options = {"platform": "cuda", "target_config": topology.chip.card, "topology": hosts}
    try:
        found = topologies.get_topology_desc("", **options).devices
    except NotImplementedError:
        # JAX was in use before, looked for a driver, found none and left the plugin out.
        plugin = next(p for p in entry_points(group="jax_plugins") if "cuda" in p.value)
        plugin.load().initialize()
        found = topologies.get_topology_desc("", **options).devices
    return np.array(found).reshape(shape)


def _tpus(topology: Topology, shape: tuple[int, ...]) -> Any:
    from jax.experimental import topologies  # slow, and of no use to most programs

    _settings()
    options: dict[str, Any] = {}
    # Without bounds the compiler takes a host to have 2x2 chips, more than a single chip has.
    if set(topology.shape) == {1}:
        options["chips_per_host_bounds"] = [1, 1, 1]
    if topology.name == "v4":  # both cores of a chip as one device
        options["chip_config_name"] = "megacore"
    if topology.slices > 1:
        options["num_slices"] = topology.slices
    text = f"{topology.name}:{'x'.join(map(str, topology.shape))}"
    found = topologies.get_topology_desc(text, platform="tpu", **options)
    if topology.slices == 1:
        try:
            return topologies.make_mesh(found, shape, tuple(map(str, range(len(shape))))).devices
        except NotImplementedError:  # axes that the wires do not divide into
            return np.array(found.devices).reshape(shape)
    # Slice by slice, so that the first axes cross them and the last do not.
    each = topology.count // topology.slices
    parts = sorted(found.devices, key=lambda device: (device.slice_index, device.id))
    assert len(parts) == math.prod(shape) == each * topology.slices
    return np.array(parts).reshape(shape)


def _settings() -> None:
    # The compilers read these when they load. JAX sets the first where it finds no TPU; where
    # there is one, or a GPU, their own settings and checks must stand.
    if "TPU_SKIP_MDS_QUERY" in os.environ:
        os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-8")
        os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    if not os.path.exists("/dev/nvidiactl"):
        os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
