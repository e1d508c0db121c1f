"""Spectrograms of the recordings, and the networks that read them."""

import jax
import jax.numpy as jnp

import jaxnn as nn
from examples.data.speech import RATE

MELS = 40  # frequency bands of a spectrogram
DYNAMIC_RANGE = 10.0  # in nepers: what is softer than the loudest band by more counts as silence
WINDOW = 200  # samples of a frame: 25 milliseconds
HOP = 80  # samples between frames: 10 milliseconds
STRIDE = 3  # frames of a step of the recurrent layers, which makes their sequences shorter
CHANNELS = 64  # of the convolutions
WIDTH = 96  # of each direction of the recurrent layers
DROPOUT = 0.1
CLASSES = 11  # the blank and ten digits

front = nn.log_mel(MELS, RATE, window=WINDOW, hop=HOP, floor=1e-9)
shorten = nn.serial(
    nn.conv(CHANNELS, 5),
    nn.layer_norm(),
    jax.nn.gelu,
    nn.conv(CHANNELS, 5, stride=STRIDE, padding=2),
    nn.layer_norm(),
    jax.nn.gelu,
    nn.dropout(DROPOUT),
)


def tagger(bidirectional: bool) -> nn.Cell:
    """A cell from features [rows, steps, CHANNELS] to the logits of CLASSES at each step."""
    body = nn.rnn(nn.gru, WIDTH, 2, bidirectional=bidirectional, dropout=DROPOUT)
    return nn.rnn_tagger(body, CLASSES, dropout=DROPOUT)


def recognizer(cell: nn.Cell) -> nn.Layer:
    """A net from (spectrograms [rows, frames, MELS], steps [rows]) to the logits of the cell."""
    return nn.wire(
        lambda f, x: f.reader((f.shorten(x[0]), x[1])), shorten=shorten, reader=nn.unroll(cell)
    )


forward_tagger = tagger(bidirectional=False)
net = recognizer(tagger(bidirectional=True))
forward_net = recognizer(forward_tagger)


def spectrogram(x: jax.Array, lengths: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Spectrograms [rows, frames, MELS] in [-2, 2] of waveforms [rows, samples], and their steps.

    The loudest band of each row is 2, so that the gain of a recording does not matter.
    """
    y = front((), x)
    frames = jnp.clip(1 + (lengths - WINDOW) // HOP, 0, y.shape[1])
    inside = nn.length_mask(frames, y.shape[1])[..., None]
    loudest = jnp.where(inside, y, -jnp.inf).max(axis=(1, 2), keepdims=True)
    y = jnp.maximum((y - loudest) * (4 / DYNAMIC_RANGE) + 2, -2)
    return jnp.where(inside, y, 0), -(-frames // STRIDE)
