"""The direction in which a digit moves through noise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options, data

DIRECTIONS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")
TIME = 8  # frames of a clip
SIDE = 40  # pixels along each side
NOISE = 0.5  # the standard deviation of what is added to a pixel
RATE = 1e-2  # the highest learning rate
DECAY = 0.01  # of the weights
BATCH = 32
STEPS = 500
QUICK_STEPS = 20
QUICK_CLIPS = 100

net = nn.video_resnet(len(DIRECTIONS), (1, 1), width=8)
clip_loss = nn.training.supervised(
    net, optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
)


class Clips(NamedTuple):
    """Clips [rows, TIME, SIDE, SIDE, 1] and the indices [rows] of their directions."""

    x: jax.Array
    direction: jax.Array


def moving(key: jax.Array, x: jax.Array) -> Clips:
    """Clips of digits [rows, 784] that move through noise.

    A digit crosses the middle of its clip at a speed of 0.5 to 1.5 pixels a frame, in one of eight
    directions.
    """
    keys = (jax.random.fold_in(key, i) for i in range(4))
    n, edge = len(x), (SIDE - 28) // 2
    direction = jax.random.randint(next(keys), (n,), 0, len(DIRECTIONS))
    speed = jax.random.uniform(next(keys), (n, 1), minval=0.5, maxval=1.5)
    angle = 2 * jnp.pi / len(DIRECTIONS) * direction
    velocity = speed * jnp.stack([-jnp.sin(angle), jnp.cos(angle)], axis=-1)
    middle = jax.random.uniform(next(keys), (n, 1, 2), minval=-3.0, maxval=3.0)
    time = (jnp.arange(TIME) - (TIME - 1) / 2)[None, :, None]
    positions = (middle + time * velocity[:, None]).reshape(-1, 2, 1)
    identity = jnp.broadcast_to(jnp.eye(2), (n * TIME, 2, 2))
    x = jnp.pad(x.reshape(n, 28, 28, 1), ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    matrices = jnp.concatenate([identity, -positions], axis=-1)
    clips = nn.augmentation.affine(jnp.repeat(x, TIME, axis=0), matrices)
    clips = clips.reshape(n, TIME, SIDE, SIDE, 1)
    return Clips(clips + NOISE * jax.random.normal(next(keys), clips.shape), direction)


def loss(params, state, x, *, key, train):
    """The cross entropy of the directions of digits [batch, 784], in newly rendered clips."""
    return clip_loss(params, state, moving(jax.random.fold_in(key, 0), x), key=key, train=train)


def learn(options: Options, digits: data.Split) -> nn.training.FitResult:
    steps = QUICK_STEPS if options.quick else STEPS
    rate = optax.cosine_onecycle_schedule(steps, RATE, pct_start=0.2)
    optimizer = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    clip = jax.ShapeDtypeStruct((BATCH, TIME, SIDE, SIDE, 1), jnp.float32)
    key = jax.random.fold_in(jax.random.key(options.seed), 1)
    train = nn.training.init_train(net, optimizer, key, clip)
    step, every = nn.training.step(loss, optimizer), min(50, steps // 4)
    return nn.training.fit(step, train, digits.x, steps=steps, batch_size=BATCH, every=every)


def fixed_clips(options: Options, digits: data.Split) -> Clips:
    """Clips of the test digits, the same for every seed."""
    x = digits.test_x[:QUICK_CLIPS] if options.quick else digits.test_x
    return jax.jit(moving)(jax.random.key(0), x)


def accuracy(train: nn.training.TrainState, clips: Clips) -> float:
    return nn.training.evaluate(clip_loss, train, clips, batch_size=100)["accuracy"]


def beliefs(train: nn.training.TrainState, clips: jax.Array) -> np.ndarray:
    """The probability of each direction [rows, 8]."""
    predict = jax.jit(lambda clips: net.apply(train.params, train.state, clips)[0])
    logits = [predict(clips[i : i + 100]) for i in range(0, len(clips), 100)]
    return np.asarray(jax.nn.softmax(jnp.concatenate(logits)))


def by_light(clips: np.ndarray) -> np.ndarray:
    """The direction in which the mean position of the light moves, by least squares over time."""
    light = np.clip(clips[..., 0], 0, 1)
    position = np.arange(SIDE) - (SIDE - 1) / 2
    total = light.sum((2, 3))
    rows = (light.sum(3) * position).sum(2) / total
    columns = (light.sum(2) * position).sum(2) / total
    time = np.arange(TIME) - (TIME - 1) / 2
    angle = np.arctan2(-(rows * time).sum(1), (columns * time).sum(1))
    return np.round(angle * len(DIRECTIONS) / (2 * np.pi)).astype(int) % len(DIRECTIONS)
