"""Event data: windows that pan over a clip, and the network that classifies their direction."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import RidgeClassifier

import jaxnn as nn
from examples import Options
from examples.spiking.training import W_INIT, begin, spiking_loss

TRAINING_FRAMES = 92  # of the clip; the others are for testing
WINDOW = 32  # pixels of the window's side
TIME = 8  # steps for which a window pans
CONTRAST = 0.15  # the change of the logarithm of brightness that sends an event
DARK = 0.05  # added to brightness, so that its logarithm is finite
MAX_SPEED = 2  # pixels per frame
MOVES = {
    "right": (0, 1),
    "up right": (-1, 1),
    "up": (-1, 0),
    "up left": (-1, -1),
    "left": (0, -1),
    "down left": (1, -1),
    "down": (1, 0),
    "down right": (1, 1),
}  # (rows, columns) by direction
DIRECTIONS = tuple(MOVES)
CHANNELS = (16, 32)
DECAY = 0.7  # of the membrane potentials per step, faster than for digits
BATCH = 64
STEPS = 800
QUICK_STEPS = 4
RATE = 3e-3
WINDOWS = 2000  # test windows, and training windows of the linear model
QUICK_WINDOWS = 200
TEST_BATCH = 100
RIDGE_PENALTY = 100.0

neuron = partial(nn.spiking.lif, DECAY)
net = nn.unroll(
    nn.spiking.spiking_cnn(len(DIRECTIONS), *CHANNELS, kernel_size=5, neuron=neuron, w_init=W_INIT)
)


def log_brightness(clip: np.ndarray) -> jax.Array:
    return jnp.log(jnp.asarray(clip) + DARK)


def pan(key: jax.Array, clip: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """Events [rows, TIME, WINDOW, WINDOW, 2] of random windows, and their directions [rows].

    Each window pans over TIME + 1 frames of a clip [frames, height, width] of the logarithm of
    brightness, by one or two pixels per frame.
    """
    keys = (jax.random.fold_in(key, i) for i in range(4))
    direction = jax.random.randint(next(keys), (rows,), 0, len(DIRECTIONS))
    speed = jax.random.randint(next(keys), (rows, 1), 1, MAX_SPEED + 1)
    moves = jnp.array(list(MOVES.values()))[direction] * speed
    margin = MAX_SPEED * TIME  # the farthest a window moves
    room = jnp.array([clip.shape[1], clip.shape[2]]) - WINDOW - 2 * margin
    corners = margin + (jax.random.uniform(next(keys), (rows, 2)) * room).astype(int)
    starts = jax.random.randint(next(keys), (rows,), 0, len(clip) - TIME)

    def frame(start, corner, move, time):
        index = (start + time, *(corner + time * move))
        return jax.lax.dynamic_slice(clip, index, (1, WINDOW, WINDOW))[0]

    frames = jax.vmap(jax.vmap(frame, (None, None, None, 0)), (0, 0, 0, None))
    windows = frames(starts, corners, moves, jnp.arange(TIME + 1))
    return nn.spiking.delta_code(windows[..., None], CONTRAST)[:, 1:], direction


jitted_pan = jax.jit(pan, static_argnums=2)
loss = spiking_loss(net)


def learn(options: Options, clip: jax.Array) -> nn.training.TrainState:
    """The network trained on a clip, whose loss draws other windows of it at every step."""
    steps = QUICK_STEPS if options.quick else STEPS

    def loss_of_clip(params, state, clip, *, key, train):
        batch = pan(jax.random.fold_in(key, 0), clip, BATCH)
        return loss(params, state, batch, key=key, train=train)

    key = jax.random.fold_in(jax.random.key(options.seed), 10)
    x = jax.ShapeDtypeStruct((BATCH, TIME, WINDOW, WINDOW, 2), jnp.float32)
    step, train = begin(net, loss_of_clip, RATE, steps, key, x)
    # Every batch is the whole clip.
    return nn.training.fit(step, train, [clip], steps=steps, every=steps).train


def evaluate(train: nn.training.TrainState, events: tuple) -> dict[str, float]:
    return nn.training.evaluate(loss, train, events, batch_size=TEST_BATCH)


def linear_accuracy(training: tuple, test: tuple) -> float:
    """The accuracy of a linear model of the number of events at each pixel, without their order."""
    (x, y), (test_x, test_y) = (
        (np.asarray(events).sum(axis=1).reshape(len(events), -1), np.asarray(direction))
        for events, direction in (training, test)
    )
    return float(RidgeClassifier(RIDGE_PENALTY).fit(x, y).score(test_x, test_y))
