"""Variants of training one MLP with SGD: by hand in NumPy, in JAX without jaxnn, and with jaxnn.

A variant is a function (case, dtype) -> run, where run(steps, shuffle) returns the params of the
layers after the given number of steps from the case's start. Without shuffling, all variants see
the same batches and must agree.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from benchmarks.peers.cases import step_flops
from benchmarks.peers.data import normal
from benchmarks.peers.jaxnn.task import in_dtype

RATE, MOMENTUM = 1e-2, 0.9

Params = list[dict[str, Any]]  # w [inputs, outputs] and b [outputs] of each layer
Run = Callable[[int, bool], Params]


class Case(NamedTuple):
    """An MLP by the widths of its layers, input first; its batch size, and the rows of its data."""

    widths: tuple[int, ...]
    batch: int
    rows: int

    @property
    def title(self) -> str:
        """The title in reports: `MLP 16-64-64-1, batch 32`."""
        return f"MLP {'-'.join(map(str, self.widths))}, batch {self.batch}"


def flops(case: Case) -> int:
    """Floating-point operations that a step needs: those of its matmuls.

    Biases, activations and the update are left out.

    >>> flops(Case((784, 512, 512, 10), 128, 4096))
    410779648
    """
    first, *others = (a * b for a, b in zip(case.widths[:-1], case.widths[1:], strict=True))
    return step_flops(case.batch * first, case.batch * sum(others))


@cache
def data(case: Case) -> tuple[np.ndarray, ...]:
    """Inputs and targets of unit variance, [rows, features] each, float32."""
    return normal((case.rows, case.widths[0]), (case.rows, case.widths[-1]))


def network(case: Case, dtype: Any) -> Any:
    """The network in jaxnn, computed in dtype."""
    return in_dtype(nn.mlp(*case.widths[1:]), dtype)


def begin(case: Case, dtype: Any = jnp.float32) -> tuple[Any, nn.training.TrainState]:
    """The jitted step of jaxnn and its initial train state."""
    net, optimizer = network(case, dtype), optax.sgd(RATE, MOMENTUM)
    x = jax.ShapeDtypeStruct((case.batch, case.widths[0]), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    return nn.training.step(nn.training.supervised(net, nn.mse), optimizer), train


def dense_params(params: Any) -> Params:
    """The params of the dense layers of a jaxnn network, without the empty ones of activations."""
    return [layer for layer in params if layer]


def batches(arrays: tuple, size: int, steps: int, shuffle: bool) -> Iterator[tuple]:
    """Batches of host arrays as a Python loop takes them, in a new order each epoch if shuffled."""
    generator, order = np.random.default_rng(1), np.zeros(0, np.int64)
    rows = len(arrays[0])
    for _ in range(steps):
        if len(order) < size:
            epoch = generator.permutation(rows) if shuffle else np.arange(rows)
            order = np.concatenate([order, epoch])
        index, order = order[:size], order[size:]
        yield tuple(array[index] for array in arrays)


def numpy_by_hand(case: Case, dtype: Any) -> Run:
    """Forward and backward passes written out in NumPy, with the update in place."""
    start, arrays = dense_params(begin(case)[1].params), data(case)
    start = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), start)

    def step(params: Params, velocity: Params, x, y):
        inputs, outputs = [], x.astype(dtype)
        for layer in params:
            inputs.append(outputs)
            outputs = outputs @ layer["w"] + layer["b"]
            if layer is not params[-1]:
                outputs = np.maximum(outputs, 0)
        error = 2 / y.size * (outputs - y)
        for i in reversed(range(len(params))):
            gradient = {"w": inputs[i].T @ error, "b": error.sum(axis=0)}
            if i:  # the first layer's input needs no gradient
                error = (error @ params[i]["w"].T) * (inputs[i] > 0)
            for name in ("w", "b"):
                velocity[i][name] *= MOMENTUM
                velocity[i][name] += gradient[name]
                params[i][name] -= RATE * velocity[i][name]

    def run(steps, shuffle):
        params, velocity = (jax.tree.map(change, start) for change in (np.copy, np.zeros_like))
        for x, y in batches(arrays, case.batch, steps, shuffle):
            step(params, velocity, x, y)
        return params

    return run


def without_jit(case: Case, dtype: Any) -> Run:
    """`jax.value_and_grad` and optax, with every operation dispatched separately."""
    net, optimizer = network(case, dtype), optax.sgd(RATE, MOMENTUM)
    start, arrays = begin(case)[1].params, data(case)
    value_and_grad = jax.value_and_grad(lambda params, x, y: nn.mse(net(params, x), y))

    def run(steps, shuffle):
        params, opt_state = start, optimizer.init(start)
        for x, y in batches(arrays, case.batch, steps, shuffle):
            _, gradient = value_and_grad(params, jnp.asarray(x), jnp.asarray(y))
            updates, opt_state = optimizer.update(gradient, opt_state)
            params = optax.apply_updates(params, updates)
        return dense_params(params)

    return run


def step_by_step(case: Case, dtype: Any) -> Run:
    """`jaxnn.training.step`, called once for each batch."""
    (step, start), arrays = begin(case, dtype), data(case)

    def run(steps, shuffle):
        train = jax.tree.map(jnp.copy, start)  # a step donates its train state
        for batch in batches(arrays, case.batch, steps, shuffle):
            train, _ = step(train, batch)
        return dense_params(train.params)

    return run


def fit(case: Case, dtype: Any) -> Run:
    """`jaxnn.training.fit` on data that is on the device: 100 steps a dispatch by default."""
    step, start = begin(case, dtype)
    resident = jax.device_put(data(case))

    def run(steps, shuffle):
        end = nn.training.fit(
            step,
            start,
            resident,
            steps=steps,
            batch_size=case.batch,
            shuffle=shuffle,
            progress=False,
        )
        return dense_params(end.train.params)

    return run


def scan_by_hand(case: Case, dtype: Any) -> Run:
    """The same step without jaxnn in one `jax.lax.scan` that also shuffles: a single dispatch."""
    optimizer, start = optax.sgd(RATE, MOMENTUM), dense_params(begin(case)[1].params)
    resident = jax.device_put(data(case))

    def loss(params, x, y):
        params, outputs = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, x))
        for layer in params[:-1]:
            outputs = jax.nn.relu(outputs @ layer["w"] + layer["b"][None])
        outputs = outputs @ params[-1]["w"] + params[-1]["b"][None]
        return jnp.mean(jnp.square(outputs.astype(y.dtype) - y))

    @partial(jax.jit, static_argnums=3)
    def many(params, resident, key, steps, shuffle):
        rows = jnp.arange(case.rows)

        def epoch(key):
            return jnp.where(shuffle, jax.random.permutation(key, rows), rows)

        epochs = -(-steps * case.batch // case.rows)
        order = jax.vmap(epoch)(jax.random.split(key, epochs)).reshape(-1)
        order = order[: steps * case.batch].reshape(steps, case.batch)

        def step(carry, index):
            params, opt_state = carry
            x, y = jax.tree.map(lambda leaf: leaf[index], resident)
            value, gradient = jax.value_and_grad(loss)(params, x, y)
            updates, opt_state = optimizer.update(gradient, opt_state)
            return (optax.apply_updates(params, updates), opt_state), value

        (params, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), order)
        return params, losses

    def run(steps, shuffle):
        return many(start, resident, jax.random.key(1), steps, shuffle)[0]

    return run
