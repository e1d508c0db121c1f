"""Recordings of spoken digits on the device, and strings of them with silence between."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from examples import data

RATE, LONGEST = 8000, 9216  # samples a second; samples of a recording that are kept
LOUDNESS = 0.1  # to which each recording is brought, the root of its mean square
SILENCE = (400, 2400)  # samples before, between and after digits, 0.05 to 0.3 seconds
MOST = 6  # digits of a string


class Recordings(NamedTuple):
    """Rows of recordings.

    x: float32 [rows, LONGEST], zeros after the end.
    lengths: int32 [rows], samples.
    digits, speakers: int32 [rows].
    """

    x: Any
    lengths: Any
    digits: Any
    speakers: Any


class Strings(NamedTuple):
    """Rows of strings.

    x: float32 [rows, samples], zeros after the end.
    lengths: int32 [rows], samples with the silence after the last digit.
    labels: int32 [rows, MOST], each digit plus one, zeros after the last.
    starts, ends: int32 [rows, MOST], between which samples each digit is; the last for none.
    """

    x: Any
    lengths: Any
    labels: Any
    starts: Any
    ends: Any


def recordings(
    spoken: data.Spoken, speakers: list[int], takes: slice, few: int | None = None
) -> Recordings:
    """The recordings of these speakers and takes, equally loud, cut off after LONGEST samples.

    Where `few` is given, as many of them, evenly spread.
    """
    starts, lengths = (each[speakers, :, takes] for each in (spoken.starts, spoken.lengths))
    who, digit, _ = (each.ravel() for each in np.indices(starts.shape))
    lengths = np.minimum(lengths, LONGEST).ravel()
    chosen = np.linspace(0, len(lengths) - 1, few or len(lengths)).astype(int)
    x = np.zeros((len(chosen), LONGEST), np.float32)
    for row, start, length in zip(x, starts.ravel()[chosen], lengths[chosen], strict=True):
        piece = spoken.samples[start : start + length]
        row[:length] = piece * (LOUDNESS / np.sqrt(np.square(piece).mean() + 1e-12))
    digits, speakers_ = digit[chosen], np.asarray(speakers)[who[chosen]]
    return Recordings(x, *(each.astype(np.int32) for each in (lengths[chosen], digits, speakers_)))


def joined(
    x: jax.Array, lengths: jax.Array, starts: jax.Array, speeds: jax.Array, samples: int
) -> jax.Array:
    """Recordings put one after the other, each played at its own speed, zeros elsewhere.

    y[n, t] = x[n, i, (t - starts[n, i]) speeds[n, i]], between samples by linear interpolation,
    with i the last recording that has begun.

    Args:
      x: floats [rows, pieces, longest].
      lengths: int [rows, pieces], samples of each.
      starts: int [rows, pieces], growing; one of `samples` or more leaves a piece out.
      speeds: floats [rows, pieces]; 2 halves the time and doubles the pitch.
      samples: of y [rows, samples].
    """
    rows, pieces, longest = x.shape
    time = jnp.arange(samples)[None]
    piece = (time[..., None] >= starts[:, None]).sum(-1) - 1
    held = jnp.maximum(piece, 0)

    def its(values):
        return jnp.take_along_axis(values, held, axis=1)

    place = (time - its(starts)).astype(x.dtype) * its(speeds)
    low = jnp.floor(place).astype(jnp.int32)
    inside = (piece >= 0) & (low < its(lengths) - 1)
    first = (jnp.arange(rows)[:, None] * pieces + held) * longest
    at, flat = first + jnp.clip(low, 0, longest - 2), x.ravel()
    y = flat[at] + (place - low.astype(x.dtype)) * (flat[at + 1] - flat[at])
    return jnp.where(inside, y, 0)


def drawn(key: jax.Array, batch: Recordings, samples: int, speed: float) -> Strings:
    """Strings of 1 to MOST digits out of a batch, each digit at a speed and loudness of its own.

    Args:
      key: decides how many digits a string has, and their speeds, loudness and silences.
      batch: rows for the strings, MOST for each; those that do not fit in are left out.
      samples: of a string.
      speed: the largest change of speed, as a share.
    """
    x, lengths, digits = (
        leaf.reshape(-1, MOST, *leaf.shape[1:]) for leaf in (batch.x, batch.lengths, batch.digits)
    )
    rows = len(x)
    chance = jax.random.uniform(key, (4, rows, MOST + 1), x.dtype)
    speeds = 1 + speed * (2 * chance[0, :, :-1] - 1)
    gains = 2 ** (2 * chance[1, :, :-1] - 1)
    low, high = SILENCE
    silences = (low + (high - low) * chance[2]).astype(jnp.int32)
    wanted = 1 + (MOST * jnp.sqrt(chance[3, :, :1])).astype(jnp.int32)  # more often long than short
    lasting = jnp.ceil(lengths.astype(x.dtype) / speeds).astype(jnp.int32)
    ends = jnp.cumsum(silences[:, :-1] + lasting, axis=1)
    kept = (ends <= samples) & (jnp.arange(MOST)[None] < wanted)
    starts = jnp.where(kept, ends - lasting, samples)
    end = jnp.where(kept, ends, 0).max(axis=1) + silences[:, -1]
    return Strings(
        joined(gains[..., None] * x, lengths, starts, speeds, samples),
        jnp.minimum(end, samples),
        jnp.where(kept, digits + 1, 0),
        starts,
        jnp.where(kept, ends, samples),
    )


put = jax.jit(joined, static_argnums=4)


def arranged(
    held: Recordings,
    picks: list[np.ndarray],
    silences: list[np.ndarray],
    samples: int | None = None,
) -> Strings:
    """The strings of given recordings, with a silence before each and one at the end."""
    lasting = np.zeros((len(picks), MOST), np.int32)
    labels, quiet = lasting.copy(), np.zeros((len(picks), MOST + 1), np.int32)
    chosen = np.zeros((len(picks), MOST), np.int32)
    for row, (pick, silence) in enumerate(zip(picks, silences, strict=True)):
        n = len(pick)
        chosen[row, :n], quiet[row, : n + 1] = pick, silence
        lasting[row, :n], labels[row, :n] = held.lengths[pick], held.digits[pick] + 1
    ends = np.cumsum(quiet[:, :-1] + lasting, axis=1)
    lengths = lasting.sum(1) + quiet.sum(1)
    samples = samples or int(lengths.max())
    starts, ends = (np.where(labels > 0, each, samples) for each in (ends - lasting, ends))
    speeds = np.ones(lasting.shape, np.float32)
    parts = [
        put(held.x[chosen[i : i + 50]], lasting[i : i + 50], starts[i : i + 50],
            speeds[i : i + 50], samples)
        for i in range(0, len(picks), 50)
    ]  # fmt: skip
    x = np.concatenate([np.asarray(part) for part in parts])
    return Strings(x, lengths, labels, starts, ends)


def alone(held: Recordings) -> Strings:
    """Each recording by itself, with a tenth of a second of silence on both sides."""
    picks, edge = [np.array([row]) for row in range(len(held.digits))], RATE // 10
    return arranged(held, picks, [np.array([edge, edge])] * len(picks), LONGEST + 2 * edge)


def sayings(held: Recordings, count: int) -> Strings:
    """Strings of 3 to MOST digits, each by one speaker, always the same."""
    rng = np.random.default_rng(0)
    picks, silences, speakers = [], [], np.unique(held.speakers)
    for row in range(count):
        n, speaker = rng.integers(3, MOST + 1), speakers[row % len(speakers)]
        picks.append(rng.choice(np.flatnonzero(held.speakers == speaker), n, replace=False))
        silences.append(rng.integers(*SILENCE, n + 1))
    return arranged(held, picks, silences)
