"""The part of `modular` that runs on 8 devices, in a process of its own: devices are made at start.

`python -m examples.modular_devices` prints a line of JSON. A mixture of 8 modules takes a train
step with all of them on one device and with one on each of 8, and a sparse mixture takes one with
its experts on one device and sent to 8 by all-to-all.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

DEVICES, ROWS, FEATURES, WIDTH = 8, 256, 32, 128


def begin() -> subprocess.Popen:
    """A process with 8 devices, on its way."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-m", "examples.modular_devices"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def end(process: subprocess.Popen) -> dict[str, float]:
    """What the process says, once it is done: see `main`."""
    said, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process of 8 devices failed:\n{errors}")
    return json.loads(said.splitlines()[-1])


def modules() -> nn.Layer:
    return nn.serial(
        nn.mixture.mixture_of_experts(nn.mlp(WIDTH, FEATURES), DEVICES), lambda said: said.output
    )


def apart(one: Any, other: Any) -> float:
    """The largest difference between two pytrees of numbers."""
    distances = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), jax.device_get(one), other)
    return float(max(jax.tree.leaves(distances)))


def flops(step: Callable, *arguments: Any) -> tuple[Any, float]:
    """(the compiled step, the floating-point operations of it on one device)."""
    compiled: Any = jax.jit(step).lower(*arguments).compile()
    return compiled, compiled.cost_analysis()["flops"]


def shared_out(mesh: jax.sharding.Mesh) -> dict[str, float]:
    """A train step of modules on one device and with one on each."""
    x = jax.random.normal(jax.random.key(1), (ROWS, FEATURES))
    net, optimizer = modules(), optax.sgd(0.1, momentum=0.9)
    train = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, x))(jax.random.key(0))
    step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    batch = x, jnp.roll(x, 1, axis=1)
    alone, whole = flops(step.__wrapped__, train, batch)
    places = nn.mixture.module_shardings(train, mesh, "modules")
    spread = jax.device_put(train, places)
    copies = jax.device_put(batch, jax.NamedSharding(mesh, jax.P()))
    together, part = flops(step.__wrapped__, spread, copies)
    difference = apart(
        together(spread, copies)[0].params, jax.device_get(alone(train, batch)[0].params)
    )
    return {"modules_difference": difference, "modules_work": part / whole}


def sent(mesh: jax.sharding.Mesh) -> dict[str, float]:
    """The gradient of a sparse mixture on one device and with rows sent to its experts."""
    x = jax.random.normal(jax.random.key(1), (ROWS, FEATURES))
    roomy: dict[str, Any] = {"capacity": 4.0, "gated": True}
    one = nn.mixture.sparse_mixture(WIDTH, DEVICES, 2, **roomy)
    many = nn.mixture.sparse_mixture(WIDTH, DEVICES, 2, **roomy, axis_name="modules")
    many = nn.mixture.expert_parallel(many, mesh, "modules")
    params, state = jax.jit(one.init)(jax.random.key(0), x)

    def gradient(net):
        def value(params, x):
            y, after = net.apply(params, state, x, train=True)
            return jnp.square(y).mean() + after.balance + after.z, after

        return jax.grad(value, has_aux=True)

    alone, whole = flops(gradient(one), params, x)
    places = nn.mixture.module_shardings(params, mesh, "modules")
    rows = jax.NamedSharding(mesh, jax.P("modules"))
    there = jax.device_put(params, places), jax.device_put(x, rows)
    together, part = flops(gradient(many), *there)
    difference = apart(together(*there), jax.device_get(alone(params, x)))
    return {"experts_difference": difference, "experts_work": part / whole}


def main() -> None:
    """Prints differences between 1 and 8 devices, and the work of one of 8 as a share of all."""
    jax.config.update("jax_num_cpu_devices", DEVICES)
    kinds = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((DEVICES,), ("modules",), axis_types=kinds)
    print(json.dumps(shared_out(mesh) | sent(mesh)))


if __name__ == "__main__":
    main()
