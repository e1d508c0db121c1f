"""A reader of MNIST's digits, which measures the digits that other networks draw."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import data

SHIFT = 2  # pixels by which a digit is moved at most
RATE = 2e-3  # the learning rate at the start
BATCH = 128
STEPS = 1500
QUICK_STEPS = 40
ROWS = 500  # images read at once, at most

body = nn.serial(
    nn.conv(24, 4, stride=2),
    jax.nn.relu,
    nn.conv(32, 3),
    jax.nn.relu,
    nn.max_pool(2),
    nn.flatten(),
    nn.dense(64),
    jax.nn.relu,
)
net = nn.serial(body=body, head=nn.dense(10))
plain_loss = nn.training.supervised(
    net, optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
)


class Reader(NamedTuple):
    """A trained reader of images [rows, 28, 28, 1] in [0, 1].

    features: images -> float32 [rows, 64], the input of its last layer.
    read: images -> int [rows], the digit in each.
    accuracy: on MNIST's test digits.
    """

    features: Callable[[np.ndarray], np.ndarray]
    read: Callable[[np.ndarray], np.ndarray]
    accuracy: float


def loss(params, state, batch, *, key, train):
    """The plain loss; in training, of digits moved by up to SHIFT pixels."""
    x, labels = batch
    x = nn.augmentation.shift(key, x, SHIFT) if train else x
    return plain_loss(params, state, (x, labels), key=key, train=train)


def train_reader(digits: data.Split, seed: int, quick: bool) -> Reader:
    """Train a reader on the training digits."""
    steps = QUICK_STEPS if quick else STEPS
    x, test_x = (rows.reshape(-1, 28, 28, 1) for rows in (digits.x, digits.test_x))
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))
    start = nn.training.init_train(net, optimizer, jax.random.key(1000 + seed), x[:8])
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(step, start, (x, digits.y), steps=steps, batch_size=BATCH, every=steps)
    params = end.train.params
    jitted_body, jitted_net = jax.jit(body), jax.jit(net)

    def features(images):
        return _by_parts(lambda part: jitted_body(params["body"], part), images)

    def read(images):
        return _by_parts(lambda part: jitted_net(params, part), images).argmax(1)

    return Reader(features, read, float((read(test_x) == digits.test_y).mean()))


def _by_parts(function: Callable, images: np.ndarray) -> np.ndarray:
    parts = np.array_split(images, -(-len(images) // ROWS))
    return np.concatenate([np.asarray(function(jnp.asarray(part))) for part in parts])
