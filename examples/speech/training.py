"""Training by connectionist temporal classification, on strings assembled at random."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options
from examples.speech import strings
from examples.speech.network import HOP, MELS, WINDOW, spectrogram
from examples.speech.strings import MAX_DIGITS, Recordings

SPEED = 0.15  # the largest change of a digit's speed, as a share
NOISE = (1e-5, 3e-2)  # standard deviation of the added noise, drawn uniformly in its logarithm
BAND = 8  # mel bands that are masked at most, twice in each string
SPAN = 15  # frames that are masked at most, twice in each string
SAMPLES = 24000  # of a training string: 3 seconds
ROWS = 32  # strings in a batch
PEAK_RATE = 3e-3  # learning rate after the warm-up
WARMUP_STEPS = 100  # at most, and at most a fifth of all steps
WEIGHT_DECAY = 1e-2
MAX_NORM = 1.0  # to which gradients are clipped
QUICK_STEPS = 8
EVERY = 50  # steps between rows of the history


class Start(NamedTuple):
    """A training run before its first step: the update, where it starts, and its length."""

    step: Callable
    train: nn.training.TrainState
    steps: int


def ctc_loss(logits: jax.Array, steps: jax.Array, labels: jax.Array) -> jax.Array:
    """The negative log likelihood of the labels of each row."""
    padding = 1.0 - nn.length_mask(steps, logits.shape[1])
    return optax.ctc_loss(logits, padding, labels, 1.0 * (labels == 0))


def augmented_loss(net: nn.Layer) -> Callable:
    """The loss per digit, on strings that are assembled from a batch of recordings."""

    def loss(params, state, batch: Recordings, *, key, train):
        keys = [jax.random.fold_in(key, i) for i in range(5)]
        spoken = strings.random_strings(keys[0], batch, SAMPLES, SPEED)
        low, high = np.log(NOISE)
        rows = len(spoken.x)
        deviation = jnp.exp(jax.random.uniform(keys[1], (rows, 1), minval=low, maxval=high))
        x = spoken.x + deviation * jax.random.normal(keys[2], spoken.x.shape)
        y, steps = spectrogram(x, spoken.lengths)
        y = nn.spec_augment(keys[3], y, band=BAND, span=SPAN)
        logits = net(params, (y, steps), key=keys[4], train=train)
        digits = jnp.maximum(jnp.sum(spoken.labels != 0), 1)
        return ctc_loss(logits, steps, spoken.labels).sum() / digits, (state, {})

    return loss


def begin(options: Options, net: nn.Layer, steps: int) -> Start:
    """The start of a training run of a net."""
    steps = QUICK_STEPS if options.quick else steps
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK_RATE, min(WARMUP_STEPS, steps // 5), steps)
    optimizer = optax.chain(
        optax.clip_by_global_norm(MAX_NORM), optax.adamw(rate, weight_decay=WEIGHT_DECAY)
    )
    x = jax.ShapeDtypeStruct((ROWS, 1 + (SAMPLES - WINDOW) // HOP, MELS), jnp.float32)
    lengths = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), (x, lengths))
    return Start(nn.training.step(augmented_loss(net), optimizer), train, steps)


def learn(start: Start, recordings: Recordings) -> nn.training.FitResult:
    return nn.training.fit(
        start.step,
        start.train,
        recordings,
        steps=start.steps,
        batch_size=ROWS * MAX_DIGITS,
        every=min(EVERY, start.steps // 4),
    )
