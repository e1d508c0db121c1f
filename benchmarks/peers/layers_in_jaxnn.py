"""The cases of `benchmarks/layers.py` in jaxnn."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import sizes

RATE, MOMENTUM = 1e-3, 0.9
cross_entropy = optax.softmax_cross_entropy_with_integer_labels


class Task(NamedTuple):
    """A net, its loss, and a batch in NumPy."""

    net: Any
    loss: Callable
    batch: tuple[Any, Any]


def begin(task: Task) -> tuple[Callable, nn.training.TrainState, tuple]:
    """The jitted step of a task, where it starts, and its batch on the device."""
    optimizer = optax.sgd(RATE, MOMENTUM)
    batch = jax.tree.map(jnp.asarray, task.batch)
    step = nn.training.step(nn.training.supervised(task.net, task.loss), optimizer)
    return step, nn.training.init_train(task.net, optimizer, jax.random.key(0), batch[0]), batch


def stepped(start: Callable[[], tuple[Callable, Any, Any]]) -> tuple[Callable[[int], None], int]:
    """Steps on one batch, each dispatched on its own."""
    step, train, batch = start()
    adversaries = isinstance(train, nn.gan.Adversaries)
    both = (train.generator.params, train.discriminator.params) if adversaries else train.params
    parameters = nn.count_params(both)

    def run(steps: int) -> None:
        nonlocal train
        for _ in range(steps):
            train, metrics = step(train, batch)
        jax.block_until_ready(metrics)

    return run, parameters


def fitted(start: Callable[[], tuple[Callable, Any, Any]]) -> tuple[Callable[[int], None], int]:
    """Steps of `fit` on a batch that lives on the device, many in one dispatch."""
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


def trained(make: Callable[[], Task]) -> tuple[Callable[[int], None], int]:
    """Steps of `training.step` on the batch of a task."""
    return stepped(lambda: begin(make()))


def cnn():
    net = nn.serial(
        *(nn.conv(32, 3), jax.nn.relu, nn.max_pool(2)),
        *(nn.conv(64, 3), jax.nn.relu, nn.max_pool(2)),
        *(nn.flatten(), nn.dense(128), jax.nn.relu, nn.dense(10)),
    )
    return Task(net, cross_entropy, sizes.images(64, 28, 1))


def resnet():
    def block(width, stride):
        conv = nn.conv(width, 3, stride=stride, padding=1, bias=False)
        body = nn.serial(
            *(conv, nn.batch_norm(), jax.nn.relu),
            *(nn.conv(width, 3, padding=1, bias=False), nn.batch_norm()),
        )
        short = nn.serial(nn.conv(width, 1, stride=stride, bias=False), nn.batch_norm())
        return nn.serial(nn.residual(body, short if stride > 1 else None), jax.nn.relu)

    net = nn.serial(
        *(nn.conv(16, 3, padding=1, bias=False), nn.batch_norm(), jax.nn.relu),
        *(block(16, 1), block(32, 2), block(64, 2)),
        *(nn.global_avg_pool(), nn.dense(10)),
    )
    return Task(net, cross_entropy, sizes.images(32, 32, 3))


def depthwise():
    net = nn.serial(
        *(nn.conv(128, 1), nn.depthwise_conv(3), jax.nn.relu),
        *(nn.global_avg_pool(), nn.dense(10)),
    )
    return Task(net, cross_entropy, sizes.images(8, 56, 16))


def lstm(batch: int = 32, time: int = 64):
    return Task(nn.unroll(nn.lstm(128)), nn.mse, sizes.series(batch, time, 32, 128))


def gru(batch: int = 32, time: int = 64):
    return Task(nn.unroll(nn.gru(128)), nn.mse, sizes.series(batch, time, 32, 128))


def gpt(batch: int = 8, time: int = 128, depth: int = 4):
    def mlp():
        return nn.serial(nn.layer_norm(), nn.dense(512), jax.nn.gelu, nn.dense(128))

    def block():
        attention = nn.serial(nn.layer_norm(), nn.attention(4, causal=True))
        return nn.serial(nn.residual(attention), nn.residual(mlp()))

    net = nn.serial(
        *(nn.embedding(65, 128), nn.learned_positions(time)),
        *(block() for _ in range(depth)),
        *(nn.layer_norm(), nn.dense(65)),
    )
    return Task(nn.unroll(net), cross_entropy, sizes.tokens(batch, time, 65))


NETS: dict[str, Callable[[], Task]] = {
    sizes.CNN: cnn,
    sizes.RESNET: resnet,
    sizes.DEPTHWISE: depthwise,
    sizes.LSTM: lstm,
    sizes.LONG_LSTM: partial(lstm, 8, 1024),
    sizes.GRU: gru,
    sizes.LONG_GRU: partial(gru, 8, 1024),
    sizes.GPT: gpt,
    sizes.LONG_GPT: partial(gpt, 1, 1024),
}
CASES = {title: partial(trained, make) for title, make in NETS.items()}
