"""A net with its loss and its batch, and the functions that train it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

RATE, MOMENTUM = 1e-3, 0.9
cross_entropy = optax.softmax_cross_entropy_with_integer_labels

Start = Callable[[], tuple[Callable, Any, Any]]  # () -> (jitted step, train state, batch)
Case = tuple[Callable[[int], None], int]  # (run, parameters)


class Task(NamedTuple):
    """A net, its loss, and a batch in NumPy."""

    net: Any
    loss: Callable
    batch: tuple[Any, ...]


def begin(task: Task) -> tuple[Callable, nn.training.TrainState, tuple]:
    """The jitted step of a task, its initial train state, and its batch on the device."""
    optimizer = optax.sgd(RATE, MOMENTUM)
    batch = jax.tree.map(jnp.asarray, task.batch)
    step = nn.training.step(nn.training.supervised(task.net, task.loss), optimizer)
    return step, nn.training.init_train(task.net, optimizer, jax.random.key(0), batch[0]), batch


def trained(make: Callable[[], Task]) -> Case:
    """Steps on the batch of a task, one dispatch each."""
    return stepped(lambda: begin(make()))


def stepped(start: Start) -> Case:
    """Steps on one batch, one dispatch each."""
    step, train, batch = start()
    is_gan = isinstance(train, nn.gan.Adversaries)
    parameters = nn.count_params(
        (train.generator.params, train.discriminator.params) if is_gan else train.params
    )

    def run(steps: int) -> None:
        nonlocal train
        for _ in range(steps):
            train, metrics = step(train, batch)
        jax.block_until_ready(metrics)

    return run, parameters


def fitted(start: Start) -> Case:
    """Steps of `fit` on a batch that stays on the device, many in one dispatch."""
    step, train, batch = start()
    parameters, rows = nn.count_params(train.params), len(batch[0])

    def run(steps: int) -> None:
        nonlocal train
        end = int(train.step) + steps
        train = nn.training.fit(
            step, train, batch, steps=end, batch_size=rows, every=end, progress=False
        ).train
        jax.block_until_ready(train)

    return run, parameters


def in_dtype(net: Any, dtype: Any) -> Any:
    """The net computed in dtype."""
    return net if dtype == jnp.float32 else nn.with_dtype(net, dtype)
