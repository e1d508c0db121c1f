"""The ways to train one dense network with SGD: by hand in NumPy, in JAX, and through jaxnn.

Each way is a function (case, dtype) -> run, and run(steps, shuffle) -> the layers' params after so
many steps from the case's start. Unshuffled, all ways see the same batches and must agree.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn

RATE, MOMENTUM = 1e-2, 0.9

Params = list[dict[str, Any]]  # w [inputs, outputs] and b [outputs] of each layer
Run = Callable[[int, bool], Params]


class Case(NamedTuple):
    """A network by the widths of its layers, input first; a batch, and the rows of its data."""

    widths: tuple[int, ...]
    batch: int
    rows: int

    @property
    def title(self) -> str:
        """As it is written in tables: `MLP 16-64-64-1, batch 32`."""
        return f"MLP {'-'.join(map(str, self.widths))}, batch {self.batch}"


def flops(case: Case) -> int:
    """Floating-point operations a step needs: those of its matmuls, a multiply and an add each.

    Every layer needs the matmul forward and the one for its weights' gradient; all but the first
    need the one for their input's gradient. Biases, activations and the update are left out.

    >>> flops(Case((784, 512, 512, 10), 128, 4096))
    410779648
    """
    products = [a * b for a, b in zip(case.widths[:-1], case.widths[1:], strict=True)]
    return 2 * case.batch * (2 * sum(products) + sum(products[1:]))


@cache
def data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of unit variance, [rows, features] each, float32."""
    draw = np.random.default_rng(0).standard_normal
    inputs, outputs = case.widths[0], case.widths[-1]
    return draw((case.rows, inputs), np.float32), draw((case.rows, outputs), np.float32)


def network(case: Case, dtype: Any) -> Any:
    """The network of jaxnn, computed in dtype."""
    net = nn.mlp(*case.widths[1:])
    return net if dtype == jnp.float32 else nn.with_dtype(net, dtype)


def begin(case: Case, dtype: Any = jnp.float32) -> tuple[Any, nn.training.TrainState]:
    """The jitted step of jaxnn and where it starts."""
    net, optimizer = network(case, dtype), optax.sgd(RATE, MOMENTUM)
    x = jax.ShapeDtypeStruct((case.batch, case.widths[0]), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    return nn.training.step(nn.training.supervised(net, nn.mse), optimizer), train


def layers(params: Any) -> Params:
    """The params of dense layers in a network of jaxnn, without the activations' empty ones."""
    return [each for each in params if each]


def batches(held: tuple, size: int, steps: int, shuffle: bool) -> Iterator[tuple]:
    """Batches as a loop in Python takes them: rows of the host's arrays, each epoch reordered."""
    generator, order = np.random.default_rng(1), np.zeros(0, np.int64)
    rows = len(held[0])
    for _ in range(steps):
        if len(order) < size:
            epoch = generator.permutation(rows) if shuffle else np.arange(rows)
            order = np.concatenate([order, epoch])
        index, order = order[:size], order[size:]
        yield tuple(leaf[index] for leaf in held)


def numpy_by_hand(case: Case, dtype: Any) -> Run:
    """Forward and backward passes written out, and the update in place."""
    start, held = layers(begin(case)[1].params), data(case)
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
        for x, y in batches(held, case.batch, steps, shuffle):
            step(params, velocity, x, y)
        return params

    return run


def without_jit(case: Case, dtype: Any) -> Run:
    """`jax.value_and_grad` and optax, each operation dispatched on its own."""
    net, optimizer = network(case, dtype), optax.sgd(RATE, MOMENTUM)
    start, held = begin(case)[1].params, data(case)
    gradient = jax.value_and_grad(lambda params, x, y: nn.mse(net(params, x), y))

    def run(steps, shuffle):
        params, opt_state = start, optimizer.init(start)
        for x, y in batches(held, case.batch, steps, shuffle):
            _, slope = gradient(params, jnp.asarray(x), jnp.asarray(y))
            updates, opt_state = optimizer.update(slope, opt_state)
            params = optax.apply_updates(params, updates)
        return layers(params)

    return run


def step_by_step(case: Case, dtype: Any) -> Run:
    """`jaxnn.training.step`, called once a batch."""
    (step, start), held = begin(case, dtype), data(case)

    def run(steps, shuffle):
        train = jax.tree.map(jnp.copy, start)  # a step donates what it is given
        for batch in batches(held, case.batch, steps, shuffle):
            train, _ = step(train, batch)
        return layers(train.params)

    return run


def fit(case: Case, dtype: Any) -> Run:
    """`jaxnn.training.fit` on data that lives on the device: 100 steps a dispatch by default."""
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
        return layers(end.train.params)

    return run


def scan_by_hand(case: Case, dtype: Any) -> Run:
    """The same step without jaxnn in a `jax.lax.scan`: shuffled there, all in one dispatch."""
    optimizer, start = optax.sgd(RATE, MOMENTUM), layers(begin(case)[1].params)
    resident = jax.device_put(data(case))

    def loss(params, x, y):
        params, outputs = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, x))
        for layer in params[:-1]:
            outputs = jax.nn.relu(outputs @ layer["w"] + layer["b"][None])
        outputs = outputs @ params[-1]["w"] + params[-1]["b"][None]
        return jnp.mean(jnp.square(outputs.astype(y.dtype) - y))

    @partial(jax.jit, static_argnums=3)
    def many(params, resident, key, steps, shuffle):
        places = jnp.arange(case.rows)

        def epoch(key):
            return jnp.where(shuffle, jax.random.permutation(key, places), places)

        epochs = -(-steps * case.batch // case.rows)
        order = jax.vmap(epoch)(jax.random.split(key, epochs)).reshape(-1)
        order = order[: steps * case.batch].reshape(steps, case.batch)

        def step(carry, index):
            params, opt_state = carry
            x, y = jax.tree.map(lambda leaf: leaf[index], resident)
            value, slope = jax.value_and_grad(loss)(params, x, y)
            updates, opt_state = optimizer.update(slope, opt_state)
            return (optax.apply_updates(params, updates), opt_state), value

        (params, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), order)
        return params, losses

    def run(steps, shuffle):
        return many(start, resident, jax.random.key(1), steps, shuffle)[0]

    return run
