"""Eight fake devices, fast compiles and one random key, set before JAX is first used."""

import os

os.environ.setdefault("MPLBACKEND", "agg")
# Tests compile much and compute little: half of their time is the optimizer's otherwise.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture
def key():
    return jax.random.key(0)
