"""The compilers of absent accelerators, and meshes of devices that are not there."""

import jax
import pytest

from jaxnn.training.planning import compilers
from jaxnn.training.planning.chips import parse


@pytest.mark.parametrize(("target", "kind"), [("v5e:2x2", "tpu"), ("h100:8", "cuda")])
def test_a_missing_compiler_is_an_error_that_says_what_installs_it(monkeypatch, target, kind):
    monkeypatch.setattr(compilers, "find_spec", lambda name: None)
    monkeypatch.setattr(compilers, "entry_points", lambda group: [])
    command = compilers.available()[kind]
    assert command is not None
    assert command.startswith("pip install")
    assert f"=={jax.__version__}" in command
    with pytest.raises(ImportError) as caught:
        compilers.compiling_mesh(parse(target), {"data": parse(target).count})
    assert command in str(caught.value)


def test_a_missing_assembler_is_part_of_what_cuda_needs(monkeypatch):
    monkeypatch.setattr(compilers.shutil, "which", lambda name: None)
    monkeypatch.setattr(compilers.glob, "glob", lambda pattern: [])
    assert "nvidia-cuda-nvcc" in (compilers.available()["cuda"] or "")


def test_a_mesh_of_absent_devices_says_what_each_would_hold():
    mesh = compilers.absent_mesh(parse("v5e:16x16"), {"data": 32, "model": 8})
    laid = jax.NamedSharding(mesh, jax.P("data", "model"))
    assert laid.shard_shape((64, 64)) == (2, 8)
    assert repr(mesh.devices.flat[3]) == "absent(3)"


def test_a_mesh_of_cpu_devices_is_of_those_that_are_here():
    mesh = compilers.compiling_mesh(parse("cpu:8"), {"data": 8})
    assert list(mesh.devices.flat) == jax.devices("cpu")[:8]
