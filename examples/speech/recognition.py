"""What a trained network recognizes, and how it is measured."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from examples.speech import strings
from examples.speech.network import HOP, STRIDE, WINDOW, forward_tagger, shorten, spectrogram
from examples.speech.strings import Recordings, Strings
from examples.speech.training import ctc_loss

ROWS = 50  # strings computed at once, which bounds the memory of the intermediate arrays
SVM_FRAMES = 20  # to which spectrograms are resampled for the support vector machine


def in_batches(function: Callable, spoken: Strings):
    """The outputs of function(x, lengths) for all strings, computed ROWS at a time."""
    ends = range(ROWS, len(spoken.x) + ROWS, ROWS)
    parts = [function(spoken.x[end - ROWS : end], spoken.lengths[end - ROWS : end]) for end in ends]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


jitted_spectrogram = jax.jit(spectrogram)


def spectrograms(spoken: Strings) -> np.ndarray:
    return np.asarray(in_batches(jitted_spectrogram, spoken)[0])


@partial(jax.jit, static_argnums=0)
def _logits(net, params, x, lengths):
    y, steps = spectrogram(x, lengths)
    return net(params, (y, steps)), steps


def logits_of(net: nn.Layer, params, spoken: Strings) -> tuple[jax.Array, jax.Array]:
    """The logits [rows, steps, CLASSES] of strings, and the number of steps of each."""
    return in_batches(partial(_logits, net, params), spoken)


def likeliest_digit(logits: jax.Array, steps: jax.Array) -> jax.Array:
    """The digit of each row whose string of length one is the likeliest."""
    every_digit = jnp.broadcast_to(jnp.arange(1, 11)[:, None, None], (10, len(logits), 1))
    losses = jax.vmap(lambda labels: ctc_loss(logits, steps, labels))(every_digit)
    return jnp.argmin(losses, axis=0)


@partial(jax.jit, static_argnums=0)
def _digit(net, params, x, lengths):
    return likeliest_digit(*_logits(net, params, x, lengths))


def classify(net: nn.Layer, params, recordings: Recordings) -> np.ndarray:
    """The digit that the net recognizes in each recording."""
    single = strings.single_digits(recordings)
    return np.asarray(in_batches(partial(_digit, net, params), single))


def stream_logits(params, x: np.ndarray) -> jax.Array:
    """The logits of the forward net for spectrograms, computed one step at a time.

    Its convolution looks four frames ahead, which is 0.04 seconds and all of its latency.
    """
    features = shorten(params["shorten"], jnp.asarray(x))
    carry, outputs = forward_tagger.carry(params["reader"], features), []

    @jax.jit
    def advance(carry, x):
        return forward_tagger.apply(params["reader"], (), (carry, x))[0]

    for step in range(features.shape[1]):
        carry, y = advance(carry, features[:, step : step + 1])
        outputs.append(y)
    return jnp.concatenate(outputs, axis=1)


def svm_features(recordings: Recordings) -> np.ndarray:
    """The spectrogram of each recording, resampled to SVM_FRAMES frames, as one row."""
    single = strings.single_digits(recordings)
    frames = 1 + (single.lengths - WINDOW) // HOP
    index = np.linspace(0, frames - 1, SVM_FRAMES).round().astype(int).T
    resampled = np.take_along_axis(spectrograms(single), index[..., None], axis=1)
    return resampled.reshape(len(index), -1)


# Measurements


def edit_distances(predictions, spoken: Strings) -> np.ndarray:
    """The digits to insert, delete or substitute in each row."""
    distances = nn.ctc.edit_distance(jnp.asarray(predictions), jnp.asarray(spoken.labels))
    return np.asarray(distances)


def alignment_accuracy(paths: np.ndarray, spoken: Strings) -> float:
    """The share of steps that the best alignment puts inside the digit it names.

    No alignment was given in training.
    """
    rows, steps = np.nonzero(paths >= 0)
    middle, label = steps * STRIDE * HOP + WINDOW // 2, paths[rows, steps]
    inside = (middle >= spoken.starts[rows, label]) & (middle <= spoken.ends[rows, label])
    return float(inside.mean())
