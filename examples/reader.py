"""A reader of MNIST's digits, by which examples measure the digits that others draw."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import data

SHIFT, BATCH, STEPS, QUICK_STEPS = 2, 128, 1500, 40

body = nn.serial(
    *(nn.conv(24, 4, stride=2), jax.nn.relu),
    *(nn.conv(32, 3), jax.nn.relu, nn.max_pool(2)),
    *(nn.flatten(), nn.dense(64), jax.nn.relu),
)
net = nn.serial(body=body, head=nn.dense(10))
plain = nn.training.supervised(
    net, optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
)


class Reader(NamedTuple):
    """A trained reader of pictures [rows, 28, 28, 1] in [0, 1].

    features: pictures -> float32 [rows, 64], what it has before its last layer.
    read: pictures -> int [rows], the digit that each shows.
    accuracy: on MNIST's test digits.
    """

    features: Any
    read: Any
    accuracy: float


def loss(params, state, batch, *, key, train):
    """The plain loss, in training on digits moved by up to SHIFT pixels."""
    x, labels = batch
    x = nn.augmentation.shift(key, x, SHIFT) if train else x
    return plain(params, state, (x, labels), key=key, train=train)


def train(digits: data.Split, seed: int, quick: bool) -> Reader:
    """Learns to read from the real training digits alone."""
    steps = QUICK_STEPS if quick else STEPS
    x, test_x = (rows.reshape(-1, 28, 28, 1) for rows in (digits.x, digits.test_x))
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, steps))
    begin = nn.training.init_train(net, optimizer, jax.random.key(1000 + seed), x[:8])
    step = nn.training.step(loss, optimizer)
    params = nn.training.fit(
        step, begin, (x, digits.y), steps=steps, batch_size=BATCH, every=steps
    ).train.params

    def by_parts(function, params, pictures):
        parts = np.array_split(pictures, -(-len(pictures) // 500))
        return np.concatenate([np.asarray(function(params, jnp.asarray(part))) for part in parts])

    seen, told = jax.jit(body), jax.jit(net)
    accuracy = by_parts(told, params, test_x).argmax(1) == digits.test_y
    return Reader(
        lambda pictures: by_parts(seen, params["body"], pictures),
        lambda pictures: by_parts(told, params, pictures).argmax(1),
        float(accuracy.mean()),
    )
