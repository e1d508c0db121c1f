"""Audio features: log-mel spectrograms, and masks over them for augmentation."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.convolution.window import plain
from jaxnn.printing import factory


@factory
def log_mel(
    mels: int,
    rate: int,
    *,
    window: int | None = None,
    hop: int | None = None,
    size: int | None = None,
    low: float = 0.0,
    high: float | None = None,
    slaney: bool = False,
    floor: float = 1e-10,
) -> Layer:
    """The log-mel spectrogram of a waveform.

    y[n, t, m] = log max(sum_k |sum_s x[n, t hop + s] h[s] e^(-2 pi i k s / size)|^2 f[k, m], floor)

    h is the Hann window, h[s] = sin^2(pi s / window), and f are the `mel_filters`. Frames that
    would reach beyond the end are left out, so there are 1 + (samples - window) // hop of them, and
    a longer waveform begins with the frames of a shorter one; pad x if every sample must count.

    Args:
      mels: number of mel bands.
      rate: samples per second.
      window: samples in a frame; 25 ms by default.
      hop: samples from one frame to the next; 10 ms by default.
      size: samples of the Fourier transform, to which frames are padded with zeros; by default the
        smallest power of two that is at least the window.
      low: lower end of the mel bands in Hz.
      high: upper end of the mel bands in Hz; rate / 2 by default.
      slaney: the kind of mel scale, as in `mel_filters`.
      floor: the smallest energy, so that silence has a logarithm.

    Returns:
      A layer from x [batch, samples], usually in [-1, 1], to y [batch, frames, mels] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x has another rank or is shorter than the window, if size is less than the
        window, if floor is not positive, and in the cases of `mel_filters`.

    (Davis and Mermelstein, Comparison of parametric representations for monosyllabic word
    recognition in continuously spoken sentences, 1980, without its cosine transform.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.log_mel(40, 16000)((), jnp.ones((2, 16000))).shape
    (2, 98, 40)
    """
    rate = core.check_int(rate, "log_mel: rate")
    window = core.check_int(round(rate / 40) if window is None else window, "log_mel: window")
    hop = core.check_int(round(rate / 100) if hop is None else hop, "log_mel: hop")
    size = core.check_int(1 << (window - 1).bit_length() if size is None else size, "log_mel: size")
    if size < window:
        raise ValueError(f"log_mel: a transform of {size} samples cuts off a window of {window}.")
    if not 0 < floor < math.inf:
        raise ValueError(f"log_mel: floor must be positive and finite, got {floor!r}.")
    filters = mel_filters(mels, rate, size, low=low, high=high, slaney=slaney)
    hann = np.sin(np.pi * np.arange(window) / window) ** 2

    def apply(x):
        _waveform(x, window)
        wide = core.param_dtype(x)
        frames = _frames(x.astype(wide), window, hop) * jnp.asarray(hann, wide)[None, None]
        spectrum = jnp.fft.rfft(frames, size)
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        energy = jnp.matmul(power, jnp.asarray(filters, wide), precision="highest")
        return jnp.log(jnp.maximum(energy, floor)).astype(x.dtype)

    return plain("log_mel", apply)


def mel_filters(
    mels: int,
    rate: int,
    size: int,
    *,
    low: float = 0.0,
    high: float | None = None,
    slaney: bool = False,
) -> np.ndarray:
    """Triangular filters over frequency, evenly spaced on the mel scale.

    f[k, m] = max(0, min((k' - c_m) / (c_{m+1} - c_m), (c_{m+2} - k') / (c_{m+2} - c_{m+1}))), with
    k' = k rate / size Hz, and c_0 to c_{mels+1} at equal distances in mel from low to high.

    Args:
      mels: number of filters.
      rate: samples per second.
      size: samples of the Fourier transform.
      low: frequency in Hz at which the first triangle begins.
      high: frequency in Hz at which the last triangle ends; rate / 2 by default.
      slaney: whether the scale is linear up to 1000 Hz and each triangle has an area of 1 Hz
        (Slaney, Auditory toolbox, 1998; as in librosa and Whisper), instead of mel = 2595 log10(1 +
        Hz / 700) and triangles of height 1 (O'Shaughnessy, Speech communication, 1987; as in HTK
        and torchaudio).

    Returns:
      float64 [size // 2 + 1, mels].

    Raises:
      ValueError: if the range is empty or reaches beyond rate / 2, or if a triangle contains no
        frequency of the transform.

    >>> import jaxnn as nn
    >>> nn.mel_filters(40, 16000, 512).shape
    (257, 40)
    """
    mels, size = (
        core.check_int(mels, "mel_filters: mels"),
        core.check_int(size, "mel_filters: size", 2),
    )
    rate = core.check_int(rate, "mel_filters: rate")
    high = rate / 2 if high is None else high
    if not 0 <= low < high <= rate / 2:
        raise ValueError(
            f"mel_filters: low < high must lie in [0, {rate / 2:g}] Hz at {rate} samples a second, "
            f"got {low!r} and {high!r}."
        )
    to, back = (_slaney, _slaney_inverse) if slaney else (_htk, _htk_inverse)
    ends = back(np.linspace(to(np.float64(low)), to(np.float64(high)), mels + 2))
    frequency = (np.arange(size // 2 + 1) * rate / size)[:, None]
    first, middle, last = ends[:-2], ends[1:-1], ends[2:]
    rising, falling = (frequency - first) / (middle - first), (last - frequency) / (last - middle)
    filters = np.maximum(0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.max(axis=0) == 0)
    if len(empty):
        raise ValueError(
            f"mel_filters: {len(empty)} of {mels} triangles contain none of the frequencies of a "
            f"transform of {size} samples, the first at {middle[empty[0]]:.0f} Hz: take fewer "
            "mels or a longer transform."
        )
    return filters * 2 / (last - first) if slaney else filters


def spec_augment(
    key: jax.Array, x: jax.Array, *, bands: int = 2, band: int, spans: int = 2, span: int
) -> jax.Array:
    """Set random mel bands and random spans of time to zero in spectrograms.

    y = x outside the masked bands and spans, and 0 inside. The width of each band is uniform from 0
    to `band` and its start uniform over the positions where it fits; spans likewise. Zero should be
    the mean of x: normalize x first. The time warp of the paper, which it found to matter least,
    is left out.

    Args:
      key: a random key; each row has its own draws.
      x: floats [batch, frames, mels].
      bands: number of bands.
      band: largest width of a band, in mels.
      spans: number of spans.
      span: largest length of a span, in frames.

    Returns:
      Spectrograms of the shape and dtype of x.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x has another rank, or if a band or span is larger than x.

    (Park et al., SpecAugment: A simple data augmentation method for automatic speech recognition,
    2019.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> key, x = jax.random.key(0), jnp.ones((8, 98, 40))
    >>> nn.spec_augment(key, x, band=8, span=20).shape
    (8, 98, 40)
    """
    if core.check_features(x, "spec_augment").ndim != 3:
        raise ValueError(f"spec_augment takes [batch, frames, mels], got {core.describe(x)}.")
    hidden = []
    for axis, (times, longest) in enumerate(((spans, span), (bands, band))):
        title = ("span", "band")[axis]
        times = core.check_int(times, f"spec_augment: {title}s", 0)
        longest, n = core.check_int(longest, f"spec_augment: {title}", 0), x.shape[axis + 1]
        if longest > n:
            raise ValueError(
                f"spec_augment: a {title} of {longest} does not fit into {core.describe(x)}: make "
                f"it at most {n}."
            )
        keys = [jax.random.fold_in(jax.random.fold_in(key, axis), i) for i in range(2)]
        width = jax.random.randint(keys[0], (x.shape[0], times, 1), 0, longest + 1)
        first = jax.random.randint(keys[1], width.shape, 0, n + 1 - width)
        place = jnp.arange(n)[None, None]
        hidden.append(((place >= first) & (place < first + width)).any(axis=1))
    return jnp.where(hidden[0][:, :, None] | hidden[1][:, None], jnp.zeros((), x.dtype), x)


# Pieces


def _waveform(x: Any, window: int) -> None:
    """Raises unless x is floats [batch, samples] with at least one window of samples."""
    if not core.floating(x):
        scale = {"int16": " / 32768", "int32": " / 2147483648"}.get(str(getattr(x, "dtype", "")))
        mend = f"x.astype(jnp.float32){scale or ''}"
        raise TypeError(
            f"log_mel takes floating samples in [-1, 1], got {core.describe(x)}: scale them, {mend}"
            + ("." if scale else ", and divide by the largest possible value.")
        )
    if x.ndim != 2:
        raise ValueError(f"log_mel takes waveforms [batch, samples], got {core.describe(x)}.")
    if x.shape[1] < window:
        raise ValueError(
            f"log_mel has a window of {window} samples, longer than {core.describe(x)}: pad the "
            "waveform with zeros, or make the window shorter."
        )


def _frames(x: Any, window: int, hop: int) -> Any:
    """[batch, samples] -> [batch, frames, window], by slices, since a gather is much slower."""
    count = 1 + (x.shape[1] - window) // hop
    parts = -(-window // hop)
    total = (count + parts - 1) * hop
    x = jnp.pad(x, ((0, 0), (0, max(total - x.shape[1], 0))))[:, :total]
    blocks = x.reshape(x.shape[0], total // hop, hop)
    joined = jnp.concatenate([blocks[:, i : i + count] for i in range(parts)], axis=-1)
    return joined[..., :window]


def _htk(hertz: Any) -> Any:
    return 2595 * np.log10(1 + hertz / 700)


def _htk_inverse(mel: Any) -> Any:
    return 700 * (10 ** (mel / 2595) - 1)


LOG_STEP = math.log(6.4) / 27  # of Slaney's scale above 1000 Hz, which is 15 mel


def _slaney(hertz: Any) -> Any:
    return np.where(
        hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1) / 1000) / LOG_STEP
    )


def _slaney_inverse(mel: Any) -> Any:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * LOG_STEP))
