"""The part on 8 devices: the same numbers as on one device, and the work divided.

`python -m examples.modular.eight_devices` prints one line of JSON. A mixture of 8 modules takes a
training step with all of them on one device, and with one on each of 8. A sparse mixture computes a
gradient with all its experts on one device, and with its rows sent to 8 by all-to-all.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

DEVICES = 8
ROWS = 256  # of the batch
FEATURES = 32
WIDTH = 128  # of the hidden layer of each module
TOP_K = 2  # experts of a row of the sparse mixture
CAPACITY = 4.0  # of the sparse mixture: high enough that no row is dropped


def main() -> None:
    """Print differences between 1 and 8 devices, and the work of one of 8 as a share of all."""
    jax.config.update("jax_num_cpu_devices", DEVICES)
    kinds = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((DEVICES,), ("modules",), axis_types=kinds)
    print(json.dumps(compare_modules(mesh) | compare_experts(mesh)))


def modules() -> nn.Layer:
    mixture = nn.mixture.mixture_of_experts(nn.mlp(WIDTH, FEATURES), DEVICES)
    return nn.serial(mixture, lambda y: y.output)


def compare_modules(mesh: jax.sharding.Mesh) -> dict[str, float]:
    """A training step with all modules on one device, and with one on each."""
    x = jax.random.normal(jax.random.key(1), (ROWS, FEATURES))
    net, optimizer = modules(), optax.sgd(0.1, momentum=0.9)
    train = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, x))(jax.random.key(0))
    step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    batch = x, jnp.roll(x, 1, axis=1)
    on_one, all_work = compile_step(step.__wrapped__, train, batch)
    sharded = jax.device_put(train, nn.mixture.module_shardings(train, mesh, "modules"))
    replicated = jax.device_put(batch, jax.NamedSharding(mesh, jax.P()))
    on_all, work = compile_step(step.__wrapped__, sharded, replicated)
    difference = largest_difference(
        on_all(sharded, replicated)[0].params, jax.device_get(on_one(train, batch)[0].params)
    )
    return {"modules_difference": difference, "modules_work": work / all_work}


def compare_experts(mesh: jax.sharding.Mesh) -> dict[str, float]:
    """A gradient of a sparse mixture with all experts on one device, and with one on each."""
    x = jax.random.normal(jax.random.key(1), (ROWS, FEATURES))
    one, many = (
        nn.mixture.sparse_mixture(
            WIDTH, DEVICES, TOP_K, capacity=CAPACITY, gated=True, axis_name=axis_name
        )
        for axis_name in (None, "modules")
    )
    many = nn.mixture.expert_parallel(many, mesh, "modules")
    params, state = jax.jit(one.init)(jax.random.key(0), x)

    def gradient(net):
        def value(params, x):
            y, after = net.apply(params, state, x, train=True)
            return jnp.square(y).mean() + after.balance + after.z, after

        return jax.grad(value, has_aux=True)

    on_one, all_work = compile_step(gradient(one), params, x)
    sharded = (
        jax.device_put(params, nn.mixture.module_shardings(params, mesh, "modules")),
        jax.device_put(x, jax.NamedSharding(mesh, jax.P("modules"))),
    )
    on_all, work = compile_step(gradient(many), *sharded)
    difference = largest_difference(on_all(*sharded), jax.device_get(on_one(params, x)))
    return {"experts_difference": difference, "experts_work": work / all_work}


def compile_step(step: Callable, *arguments: Any) -> tuple[Any, float]:
    """(the compiled step, its floating-point operations on one device)."""
    compiled: Any = jax.jit(step).lower(*arguments).compile()
    return compiled, compiled.cost_analysis()["flops"]


def largest_difference(one: Any, other: Any) -> float:
    """The largest absolute difference between two pytrees of numbers."""
    differences = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), jax.device_get(one), other)
    return float(max(jax.tree.leaves(differences)))


if __name__ == "__main__":
    main()
