"""The cases of `benchmarks/layers.py` in Flax NNX."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.peers import cases, data

RATE, MOMENTUM = 1e-3, 0.9


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def mse(prediction, target):
    return jnp.mean(jnp.square(prediction - target))


def trained(net: Any, loss: Callable, x: Any, y: Any) -> tuple[Callable[[int], None], int]:
    optimizer = nnx.Optimizer(net, optax.sgd(RATE, MOMENTUM), wrt=nnx.Param)
    x, y = jnp.asarray(x), jnp.asarray(y)

    @nnx.jit
    def step(net, optimizer, x, y):
        value, gradient = nnx.value_and_grad(lambda net: loss(net(x), y))(net)
        optimizer.update(net, gradient)
        return value

    call = nnx.cached_partial(step, net, optimizer)

    def run(steps: int) -> None:
        for _ in range(steps):
            value = call(x, y)
        jax.block_until_ready(value)

    leaves = jax.tree.leaves(nnx.state(net, nnx.Param))
    return run, sum(leaf.size for leaf in leaves)


def classifier(net: Any, batch: int, side: int, channels: int):
    return trained(net(nnx.Rngs(0)), cross_entropy, *data.images(batch, side, channels))


class Cnn(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 32, (3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), rngs=rngs)
        self.dense1 = nnx.Linear(3136, 128, rngs=rngs)
        self.dense2 = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.conv1(x)), (2, 2), (2, 2))
        x = nnx.max_pool(nnx.relu(self.conv2(x)), (2, 2), (2, 2))
        x = nnx.relu(self.dense1(x.reshape(len(x), -1)))
        return self.dense2(x)


class Block(nnx.Module):
    def __init__(self, channels, width, stride, rngs):
        conv = partial(nnx.Conv, use_bias=False, rngs=rngs)
        self.conv1 = conv(channels, width, (3, 3), strides=stride, padding=1)
        self.norm1 = nnx.BatchNorm(width, rngs=rngs)
        self.conv2 = conv(width, width, (3, 3), padding=1)
        self.norm2 = nnx.BatchNorm(width, rngs=rngs)
        if stride > 1:
            self.shortcut = conv(channels, width, (1, 1), strides=stride)
            self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.stride = stride

    def __call__(self, x):
        y = self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x)))))
        return nnx.relu(y + (self.norm(self.shortcut(x)) if self.stride > 1 else x))


class ResNet(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 16, (3, 3), padding=1, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.block1 = Block(16, 16, 1, rngs)
        self.block2 = Block(16, 32, 2, rngs)
        self.block3 = Block(32, 64, 2, rngs)
        self.dense = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        x = self.block3(self.block2(self.block1(x)))
        return self.dense(x.mean((1, 2)))


class Depthwise(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(16, 128, (1, 1), rngs=rngs)
        self.depthwise = nnx.Conv(128, 128, (3, 3), feature_group_count=128, rngs=rngs)
        self.dense = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        return self.dense(nnx.relu(self.depthwise(self.conv(x))).mean((1, 2)))


def recurrent(cell: Any, batch: int, time: int):
    net = nnx.RNN(cell(32, 128, rngs=nnx.Rngs(0)))
    return trained(net, mse, *data.series(batch, time, 32, 128))


class Transformer(nnx.Module):
    def __init__(self, rngs):
        self.norm1, self.norm2 = nnx.LayerNorm(128, rngs=rngs), nnx.LayerNorm(128, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, 128, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(128, 512, rngs=rngs), nnx.Linear(512, 128, rngs=rngs)

    def __call__(self, x, mask):
        x = x + self.attention(self.norm1(x), mask=mask)
        return x + self.down(nnx.gelu(self.up(self.norm2(x))))


class Gpt(nnx.Module):
    def __init__(self, time, depth, rngs):
        self.tokens = nnx.Embed(cases.VOCABULARY, 128, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs(), (time, 128)))
        self.blocks = nnx.List([Transformer(rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(128, rngs=rngs)
        self.head = nnx.Linear(128, cases.VOCABULARY, rngs=rngs)

    def __call__(self, x):
        mask = nnx.make_causal_mask(x)
        x = self.tokens(x) + self.positions[...]
        for block in self.blocks:
            x = block(x, mask)
        return self.head(self.norm(x))


def gpt(batch: int, time: int, depth: int = 4):
    tokens = data.tokens(batch, time, cases.VOCABULARY)
    return trained(Gpt(time, depth, nnx.Rngs(0)), cross_entropy, *tokens)


CASES = {
    cases.CNN: lambda: classifier(Cnn, 64, 28, 1),
    cases.SMALL_RESNET: lambda: classifier(ResNet, 32, 32, 3),
    cases.DEPTHWISE: lambda: classifier(Depthwise, 8, 56, 16),
    cases.LSTM: lambda: recurrent(nnx.OptimizedLSTMCell, 32, 64),
    cases.LONG_LSTM: lambda: recurrent(nnx.OptimizedLSTMCell, 8, 1024),
    cases.GRU: lambda: recurrent(nnx.GRUCell, 32, 64),
    cases.LONG_GRU: lambda: recurrent(nnx.GRUCell, 8, 1024),
    cases.GPT: lambda: gpt(8, 128),
    cases.LONG_GPT: lambda: gpt(1, 1024),
}
