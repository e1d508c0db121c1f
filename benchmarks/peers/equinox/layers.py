"""The cases of `benchmarks/layers.py` in Equinox: nets of one row, mapped over rows by vmap."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from benchmarks.peers import cases, data

RATE, MOMENTUM = 1e-3, 0.9
KEYS = iter(jax.random.split(jax.random.key(0), 256))


def cross_entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def mse(prediction, target):
    return jnp.mean(jnp.square(prediction - target))


def trained(net: Any, loss: Callable, x: Any, y: Any) -> tuple[Callable[[int], None], int]:
    optimizer = optax.sgd(RATE, MOMENTUM)
    x, y = jnp.asarray(x), jnp.asarray(y)
    opt_state = optimizer.init(eqx.filter(net, eqx.is_array))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(net, eqx.is_array)))

    @eqx.filter_jit(donate="all-except-first")
    def step(batch, net, opt_state):
        x, y = batch
        value, gradient = eqx.filter_value_and_grad(lambda net: loss(jax.vmap(net)(x), y))(net)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return value, eqx.apply_updates(net, updates), opt_state

    def run(steps: int) -> None:
        nonlocal net, opt_state
        for _ in range(steps):
            value, net, opt_state = step((x, y), net, opt_state)
        jax.block_until_ready(value)

    return run, parameters


def classifier(net: Any, batch: int, side: int, channels: int):
    """Channels come first, as the convolutions of Equinox expect."""
    x, y = data.images(batch, side, channels)
    return trained(net, cross_entropy, x.transpose(0, 3, 1, 2), y)


def mean(x):
    return x.mean((1, 2))


def cnn():
    relu = eqx.nn.Lambda(jax.nn.relu)
    net = eqx.nn.Sequential(
        [
            *(eqx.nn.Conv2d(1, 32, 3, padding=1, key=next(KEYS)), relu, eqx.nn.MaxPool2d(2, 2)),
            *(eqx.nn.Conv2d(32, 64, 3, padding=1, key=next(KEYS)), relu, eqx.nn.MaxPool2d(2, 2)),
            *(eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(3136, 128, key=next(KEYS)), relu),
            eqx.nn.Linear(128, 10, key=next(KEYS)),
        ]
    )
    return classifier(net, 64, 28, 1)


def depthwise():
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(16, 128, 1, key=next(KEYS)),
            eqx.nn.Conv2d(128, 128, 3, padding=1, groups=128, key=next(KEYS)),
            *(eqx.nn.Lambda(jax.nn.relu), eqx.nn.Lambda(mean)),
            eqx.nn.Linear(128, 10, key=next(KEYS)),
        ]
    )
    return classifier(net, 8, 56, 16)


class Recurrent(eqx.Module):
    cell: Any

    def __call__(self, x):
        zeros = jnp.zeros(self.cell.hidden_size)
        start = (zeros, zeros) if isinstance(self.cell, eqx.nn.LSTMCell) else zeros

        def step(carry, x):
            carry = self.cell(x, carry)
            return carry, carry[0] if isinstance(carry, tuple) else carry

        return jax.lax.scan(step, start, x)[1]


def recurrent(make: Any, batch: int, time: int):
    net = Recurrent(make(32, 128, key=next(KEYS)))
    return trained(net, mse, *data.series(batch, time, 32, 128))


class Transformer(eqx.Module):
    norm1: Any
    norm2: Any
    attention: Any
    up: Any
    down: Any

    def __init__(self):
        self.norm1, self.norm2 = eqx.nn.LayerNorm(128), eqx.nn.LayerNorm(128)
        biases = dict.fromkeys(
            ("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True
        )
        self.attention = eqx.nn.MultiheadAttention(4, 128, key=next(KEYS), **biases)
        self.up = eqx.nn.Linear(128, 512, key=next(KEYS))
        self.down = eqx.nn.Linear(512, 128, key=next(KEYS))

    def __call__(self, x):
        y = jax.vmap(self.norm1)(x)
        x = x + self.attention(y, y, y, mask=jnp.tril(jnp.ones((len(x), len(x)), bool)))
        y = jax.vmap(self.up)(jax.vmap(self.norm2)(x))
        return x + jax.vmap(self.down)(jax.nn.gelu(y))


class Gpt(eqx.Module):
    tokens: Any
    positions: Any
    blocks: Any
    norm: Any
    head: Any

    def __init__(self, time, depth):
        self.tokens = eqx.nn.Embedding(cases.VOCABULARY, 128, key=next(KEYS))
        self.positions = 0.02 * jax.random.normal(next(KEYS), (time, 128))
        self.blocks = [Transformer() for _ in range(depth)]
        self.norm = eqx.nn.LayerNorm(128)
        self.head = eqx.nn.Linear(128, cases.VOCABULARY, key=next(KEYS))

    def __call__(self, x):
        x = jax.vmap(self.tokens)(x) + self.positions
        for block in self.blocks:
            x = block(x)
        return jax.vmap(self.head)(jax.vmap(self.norm)(x))


def gpt(batch: int, time: int, depth: int = 4):
    tokens = data.tokens(batch, time, cases.VOCABULARY)
    return trained(Gpt(time, depth), cross_entropy, *tokens)


CASES = {
    cases.CNN: cnn,
    cases.DEPTHWISE: depthwise,
    cases.LSTM: lambda: recurrent(eqx.nn.LSTMCell, 32, 64),
    cases.LONG_LSTM: lambda: recurrent(eqx.nn.LSTMCell, 8, 1024),
    cases.GRU: lambda: recurrent(eqx.nn.GRUCell, 32, 64),
    cases.LONG_GRU: lambda: recurrent(eqx.nn.GRUCell, 8, 1024),
    cases.GPT: lambda: gpt(8, 128),
    cases.LONG_GPT: lambda: gpt(1, 1024),
}
