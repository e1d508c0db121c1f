"""The cases of `benchmarks/layers.py` in jaxnn."""

from collections.abc import Callable
from functools import partial

import jax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn.task import Task, cross_entropy, trained


def cnn():
    net = nn.serial(
        *(nn.conv(32, 3), jax.nn.relu, nn.max_pool(2)),
        *(nn.conv(64, 3), jax.nn.relu, nn.max_pool(2)),
        *(nn.flatten(), nn.dense(128), jax.nn.relu, nn.dense(10)),
    )
    return Task(net, cross_entropy, data.images(64, 28, 1))


def resnet():
    def block(width, stride):
        conv = nn.conv(width, 3, stride=stride, padding=1, bias=False)
        body = nn.serial(
            *(conv, nn.batch_norm(), jax.nn.relu),
            *(nn.conv(width, 3, padding=1, bias=False), nn.batch_norm()),
        )
        shortcut = nn.serial(nn.conv(width, 1, stride=stride, bias=False), nn.batch_norm())
        return nn.serial(nn.residual(body, shortcut if stride > 1 else None), jax.nn.relu)

    net = nn.serial(
        *(nn.conv(16, 3, padding=1, bias=False), nn.batch_norm(), jax.nn.relu),
        *(block(16, 1), block(32, 2), block(64, 2)),
        *(nn.global_avg_pool(), nn.dense(10)),
    )
    return Task(net, cross_entropy, data.images(32, 32, 3))


def depthwise():
    net = nn.serial(
        *(nn.conv(128, 1), nn.depthwise_conv(3), jax.nn.relu),
        *(nn.global_avg_pool(), nn.dense(10)),
    )
    return Task(net, cross_entropy, data.images(8, 56, 16))


def lstm(batch: int = 32, time: int = 64):
    return Task(nn.unroll(nn.lstm(128)), nn.mse, data.series(batch, time, 32, 128))


def gru(batch: int = 32, time: int = 64):
    return Task(nn.unroll(nn.gru(128)), nn.mse, data.series(batch, time, 32, 128))


def gpt(batch: int = 8, time: int = 128, depth: int = 4):
    def mlp():
        return nn.serial(nn.layer_norm(), nn.dense(512), jax.nn.gelu, nn.dense(128))

    def block():
        attention = nn.serial(nn.layer_norm(), nn.attention(4, causal=True))
        return nn.serial(nn.residual(attention), nn.residual(mlp()))

    net = nn.serial(
        *(nn.embedding(cases.VOCABULARY, 128), nn.learned_positions(time)),
        *(block() for _ in range(depth)),
        *(nn.layer_norm(), nn.dense(cases.VOCABULARY)),
    )
    return Task(nn.unroll(net), cross_entropy, data.tokens(batch, time, cases.VOCABULARY))


TASKS: dict[str, Callable[[], Task]] = {
    cases.CNN: cnn,
    cases.SMALL_RESNET: resnet,
    cases.DEPTHWISE: depthwise,
    cases.LSTM: lstm,
    cases.LONG_LSTM: partial(lstm, 8, 1024),
    cases.GRU: gru,
    cases.LONG_GRU: partial(gru, 8, 1024),
    cases.GPT: gpt,
    cases.LONG_GPT: partial(gpt, 1, 1024),
}
CASES = {title: partial(trained, make) for title, make in TASKS.items()}
