"""Recordings of spoken digits, and strings of them with silence in between."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from examples import data
from examples.data.speech import RATE

MAX_SAMPLES = 9216  # of a recording; longer ones are cut off
LOUDNESS = 0.1  # the root mean square to which each recording is scaled
SILENCE = (400, 2400)  # samples before, between and after digits: 0.05 to 0.3 seconds
MAX_DIGITS = 6  # of a string
ROWS = 50  # strings assembled at once, which bounds the memory


class Recordings(NamedTuple):
    """Rows of recordings.

    x: float32 [rows, MAX_SAMPLES], zeros after the end.
    lengths: int32 [rows], in samples.
    digits, speakers: int32 [rows].
    """

    x: Any
    lengths: Any
    digits: Any
    speakers: Any


class Strings(NamedTuple):
    """Rows of strings.

    x: float32 [rows, samples], zeros after the end.
    lengths: int32 [rows], in samples, including the silence after the last digit.
    labels: int32 [rows, MAX_DIGITS], each digit plus one, zeros after the last.
    starts, ends: int32 [rows, MAX_DIGITS], the samples between which each digit lies; the number
      of samples where there is no digit.
    """

    x: Any
    lengths: Any
    labels: Any
    starts: Any
    ends: Any


def recordings(
    spoken: data.Spoken, speakers: list[int], takes: slice, limit: int | None = None
) -> Recordings:
    """The recordings of these speakers and takes, equally loud, cut off after MAX_SAMPLES.

    If `limit` is given, that many of them, evenly spread.
    """
    starts, lengths = (each[speakers, :, takes] for each in (spoken.starts, spoken.lengths))
    speaker, digit, _ = (each.ravel() for each in np.indices(starts.shape))
    lengths = np.minimum(lengths, MAX_SAMPLES).ravel()
    chosen = np.linspace(0, len(lengths) - 1, limit or len(lengths)).astype(int)
    x = np.zeros((len(chosen), MAX_SAMPLES), np.float32)
    for row, start, length in zip(x, starts.ravel()[chosen], lengths[chosen], strict=True):
        samples = spoken.samples[start : start + length]
        row[:length] = samples * (LOUDNESS / np.sqrt(np.square(samples).mean() + 1e-12))
    return Recordings(
        x,
        lengths[chosen].astype(np.int32),
        digit[chosen].astype(np.int32),
        np.asarray(speakers)[speaker[chosen]].astype(np.int32),
    )


def join(
    x: jax.Array, lengths: jax.Array, starts: jax.Array, speeds: jax.Array, samples: int
) -> jax.Array:
    """Concatenate recordings, each played at its own speed, with zeros elsewhere.

    y[n, t] = x[n, i, (t - starts[n, i]) speeds[n, i]], where i is the last recording that has
    started; values between samples are interpolated linearly.

    Args:
      x: floats [rows, pieces, longest].
      lengths: int [rows, pieces], the samples of each piece.
      starts: int [rows, pieces], increasing; a start at `samples` or beyond leaves the piece out.
      speeds: floats [rows, pieces]; 2 halves the time and doubles the pitch.
      samples: the length of y [rows, samples].
    """
    rows, pieces, longest = x.shape
    time = jnp.arange(samples)[None]
    piece = (time[..., None] >= starts[:, None]).sum(-1) - 1
    index = jnp.maximum(piece, 0)

    def of_piece(values):
        return jnp.take_along_axis(values, index, axis=1)

    place = (time - of_piece(starts)).astype(x.dtype) * of_piece(speeds)
    low = jnp.floor(place).astype(jnp.int32)
    inside = (piece >= 0) & (low < of_piece(lengths) - 1)
    first = (jnp.arange(rows)[:, None] * pieces + index) * longest
    at, flat = first + jnp.clip(low, 0, longest - 2), x.ravel()
    y = flat[at] + (place - low.astype(x.dtype)) * (flat[at + 1] - flat[at])
    return jnp.where(inside, y, 0)


def random_strings(key: jax.Array, batch: Recordings, samples: int, speed: float) -> Strings:
    """Strings of 1 to MAX_DIGITS recordings of a batch, each with its own speed and loudness.

    Args:
      key: decides how many digits a string has, and their speeds, loudness and silences.
      batch: the recordings, MAX_DIGITS for each string; those that do not fit are left out.
      samples: the length of a string.
      speed: the largest change of speed, as a share.
    """
    x, lengths, digits = (
        leaf.reshape(-1, MAX_DIGITS, *leaf.shape[1:])
        for leaf in (batch.x, batch.lengths, batch.digits)
    )
    rows = len(x)
    uniform = jax.random.uniform(key, (4, rows, MAX_DIGITS + 1), x.dtype)
    speeds = 1 + speed * (2 * uniform[0, :, :-1] - 1)
    gains = 2 ** (2 * uniform[1, :, :-1] - 1)
    low, high = SILENCE
    silences = (low + (high - low) * uniform[2]).astype(jnp.int32)
    # The square root makes long strings more frequent than short ones.
    count = 1 + (MAX_DIGITS * jnp.sqrt(uniform[3, :, :1])).astype(jnp.int32)
    durations = jnp.ceil(lengths.astype(x.dtype) / speeds).astype(jnp.int32)
    ends = jnp.cumsum(silences[:, :-1] + durations, axis=1)
    kept = (ends <= samples) & (jnp.arange(MAX_DIGITS)[None] < count)
    starts = jnp.where(kept, ends - durations, samples)
    end = jnp.where(kept, ends, 0).max(axis=1) + silences[:, -1]
    return Strings(
        join(gains[..., None] * x, lengths, starts, speeds, samples),
        jnp.minimum(end, samples),
        jnp.where(kept, digits + 1, 0),
        starts,
        jnp.where(kept, ends, samples),
    )


_jitted_join = jax.jit(join, static_argnums=4)


def arrange(
    source: Recordings,
    picks: list[np.ndarray],
    silences: list[np.ndarray],
    samples: int | None = None,
) -> Strings:
    """Strings of the picked recordings, with given silences before each and after the last."""
    durations = np.zeros((len(picks), MAX_DIGITS), np.int32)
    labels, chosen = durations.copy(), durations.copy()
    quiet = np.zeros((len(picks), MAX_DIGITS + 1), np.int32)
    for row, (pick, silence) in enumerate(zip(picks, silences, strict=True)):
        n = len(pick)
        chosen[row, :n], quiet[row, : n + 1] = pick, silence
        durations[row, :n], labels[row, :n] = source.lengths[pick], source.digits[pick] + 1
    ends = np.cumsum(quiet[:, :-1] + durations, axis=1)
    lengths = durations.sum(1) + quiet.sum(1)
    samples = samples or int(lengths.max())
    starts, ends = (np.where(labels > 0, each, samples) for each in (ends - durations, ends))
    speeds = np.ones(durations.shape, np.float32)
    parts = []
    for first in range(0, len(picks), ROWS):
        rows = slice(first, first + ROWS)
        x = source.x[chosen[rows]]
        parts.append(_jitted_join(x, durations[rows], starts[rows], speeds[rows], samples))
    x = np.concatenate([np.asarray(part) for part in parts])
    return Strings(x, lengths, labels, starts, ends)


def single_digits(source: Recordings) -> Strings:
    """Each recording by itself, with a tenth of a second of silence on both sides."""
    picks, edge = [np.array([row]) for row in range(len(source.digits))], RATE // 10
    return arrange(source, picks, [np.array([edge, edge])] * len(picks), MAX_SAMPLES + 2 * edge)


def fixed_strings(source: Recordings, count: int) -> Strings:
    """Strings of 3 to MAX_DIGITS digits, each by one speaker; every call returns the same ones."""
    rng = np.random.default_rng(0)
    picks, silences, speakers = [], [], np.unique(source.speakers)
    for row in range(count):
        n, speaker = rng.integers(3, MAX_DIGITS + 1), speakers[row % len(speakers)]
        picks.append(rng.choice(np.flatnonzero(source.speakers == speaker), n, replace=False))
        silences.append(rng.integers(*SILENCE, n + 1))
    return arrange(source, picks, silences)
