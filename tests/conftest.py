"""Eight fake devices, fast compiles and one random key, set before JAX is first used."""

import atexit
import collections
import gc
import itertools
import os
import pathlib
import shutil
import tempfile
from importlib.metadata import version

os.environ.setdefault("MPLBACKEND", "agg")
# Tests compile much and compute little: most of their time is the optimizer's and the emitters'
# otherwise. `XLA_FLAGS= pytest` runs them on programs as users have them, which round otherwise.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
    # Later ones have no such flag, and end at one that they do not know.
    + " --xla_cpu_use_fusion_emitters=false"
    * version("jaxlib").startswith("0.10."),
)
# What one process of pytest has compiled, the others read, and itself once it was dropped.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = COMPILED
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
# Tracing makes many objects and few cycles: looking for those less often takes 15 % less time.
gc.set_threshold(50_000, 10, 10)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="run the tests marked `long` as well")


def is_long(item, cases):
    """Whether an item is run with `--long` alone; `cases` counts those of each test so far."""
    first = item.get_closest_marker("first")
    if first is not None:
        cases[item.path, item.originalname] += 1
        if cases[item.path, item.originalname] > first.args[0]:
            return True
    return item.get_closest_marker("long") is not None


def pytest_collection_modifyitems(config, items):
    """Leaves out long tests, and shares `ordinary` ones out between fast and optimized programs.

    One case of each of them, and of each entry of the laws, is run on optimized programs, by
    `test_ordinary`; a whole run on fast programs leaves these cases to it.
    """
    if not config.option.long:
        cases = collections.Counter()
        items[:] = [item for item in items if not is_long(item, cases)]
    first = {}
    for item in items:
        if item.get_closest_marker("ordinary"):
            group = item.get_closest_marker("xdist_group")
            first.setdefault((item.path, item.originalname, group and group.args), item)
    ordinary = set(first.values())
    if "optimization_level=0" not in os.environ["XLA_FLAGS"]:
        if config.option.markexpr == "ordinary":
            items[:] = [item for item in items if item in ordinary]
    elif any(item.path.name == "test_ordinary.py" for item in items):
        items[:] = [item for item in items if item not in ordinary]
    # The longest single tests come first, so that no process ends with one of them alone.
    items.sort(key=lambda item: item.path.name not in ("test_ordinary.py", "test_style.py"))


MAPS = pathlib.Path("/proc/self/maps")
TESTS = itertools.count(1)


@pytest.fixture(autouse=True)
def few_programs():
    """Drops compiled programs when there are many.

    Each holds memory maps, of which Linux gives a process 65530: thousands of programs use them
    up, and the next compilation ends the process.
    """
    yield
    if next(TESTS) % 25 == 0 and MAPS.exists() and MAPS.read_bytes().count(b"\n") > 10_000:
        jax.clear_caches()


@pytest.fixture
def key():
    return jax.random.key(0)
