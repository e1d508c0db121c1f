# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

import jaxnn as nn

RATE = 8000
X = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
KEY = jax.random.key(0)
ONES = jnp.ones((400, 30, 20))
masked = jax.jit(
    nn.spec_augment, static_argnames=("bands", "band", "spans", "span")
)  # fmt: skip


def mel(x, **options):
    return jax.jit(nn.log_mel(20, RATE, **options))((), jnp.asarray(x))


# log_mel


@pytest.mark.parametrize(("window", "hop", "size"), [(200, 80, 256), (64, 64, 64), (50, 90, 128)])
def test_it_is_scipys_spectrogram_through_the_filters(window, hop, size):
    y = mel(X, window=window, hop=hop, size=size, low=300.0)
    hann = signal.get_window("hann", window)
    frames = [X[:, i : i + window] * hann for i in range(0, 1000 - window + 1, hop)]
    frames = np.fft.rfft(np.stack(frames, axis=1), size)  # pyright: ignore
    power = np.abs(frames) ** 2
    wanted = np.log(power @ nn.mel_filters(20, RATE, size, low=300.0))
    assert y.shape == wanted.shape
    assert np.allclose(y, wanted, atol=2e-4)


@pytest.mark.parametrize("hertz", [500, 1000, 3000])
def test_a_tone_lies_in_the_band_of_its_pitch(hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)[None].astype(np.float32)
    filters = nn.mel_filters(20, RATE, 256)
    nearest = filters[round(hertz * 256 / RATE)].argmax()
    y = np.asarray(mel(tone))
    assert (y.argmax(-1) == nearest).all()
    # Half a window of a Hann window's energy: (sum of the window / 2)^2 at the tone's own bin.
    assert y.max() == pytest.approx(np.log(50**2), abs=0.8)
    louder = np.asarray(mel(10 * tone))
    assert np.allclose((louder - y)[..., nearest], np.log(100), atol=1e-4)


def test_silence_is_the_floor():
    assert np.allclose(mel(np.zeros((1, 400), np.float32), floor=1e-6), np.log(1e-6))


def test_a_longer_wave_begins_with_the_frames_of_a_shorter_one():
    whole, part = mel(X), mel(X[:, :533])
    assert part.shape == (2, 1 + (533 - 200) // 80, 20)
    assert np.allclose(whole[:, : part.shape[1]], part, atol=1e-5)


def test_a_window_of_one_frame_is_enough():
    assert mel(X[:, :200]).shape == (2, 1, 20)


def test_by_default_frames_are_of_25_and_10_milliseconds():
    x = jax.ShapeDtypeStruct((1, 44100), jnp.float32)
    y = jax.eval_shape(lambda x: nn.log_mel(64, 44100)((), x), x)
    assert y.shape == (1, 1 + (44100 - 1102) // 441, 64)


@pytest.mark.parametrize(
    ("dtype", "mend"),
    [
        (np.int16, r"x.astype\(jnp.float32\) / 32768\.$"),
        (np.int32, r"/ 2147483648\.$"),
        (np.uint8, "divide by the largest possible"),
    ],
)
def test_integer_samples_are_refused_with_their_scale(dtype, mend):
    with pytest.raises(TypeError, match=f"floating samples in .*{mend}"):
        nn.log_mel(20, RATE)((), jnp.zeros((1, 400), dtype))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (X[0], r"waveforms \[batch, samples\], got float32\[1000\]"),
        (X[..., None], r"waveforms \[batch, samples\]"),
        (X[:, :199], r"window of 200 samples, longer than float32\[2,199\]: pad"),
        (X[:, :0], "window of 200 samples, longer than"),
    ],
)
def test_other_shapes_and_short_waves_are_refused(x, said):
    net = nn.serial(nn.log_mel(20, RATE), nn.dense(3))
    with pytest.raises(ValueError, match=said):
        net.init(KEY, jnp.asarray(x))
    with pytest.raises(ValueError, match=said):
        nn.log_mel(20, RATE)((), jnp.asarray(x))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 128}, "a transform of 128 samples cuts off a window of 200"),
        ({"window": 0}, "log_mel: window must be a whole number of at least 1"),
        ({"hop": 0.5}, "log_mel: hop must be a whole number"),
        ({"floor": 0.0}, "floor must be positive"),
        ({"floor": float("nan")}, "floor must be positive"),
        ({"high": 4001.0}, r"low < high must lie in \[0, 4000\] Hz at 8000"),
        ({"low": -1.0}, "low < high must lie"),
        ({"low": 500.0, "high": 500.0}, "low < high must lie"),
    ],
)
def test_bad_arguments_are_refused_where_the_layer_is_made(options, said):
    with pytest.raises((TypeError, ValueError), match=said):
        nn.log_mel(20, RATE, **options)


# mel_filters


@pytest.mark.parametrize("slaney", [False, True])
def test_filters_are_triangles_that_lie_evenly_in_mel(slaney):
    rate, size, mels = 16000, 1 << 16, 30
    filters = nn.mel_filters(mels, rate, size, low=100, high=6000, slaney=slaney)
    hertz = np.arange(size // 2 + 1) * rate / size
    middles = hertz[filters.argmax(0)]
    if slaney:
        above = 1 + np.log(middles / 1000) * 27 / 15 / np.log(6.4)
        scale = np.where(middles < 1000, middles / 1000, above)
        assert np.allclose(filters.sum(0) * rate / size, 1, rtol=1e-4)  # the area of each
    else:
        scale = np.log(700 + middles)
        assert np.allclose(filters.max(0), 1, atol=2e-2)
    assert np.allclose(np.diff(scale), np.diff(scale).mean(), rtol=2e-2)
    ends = [(hertz[rows[0] - 1], hertz[rows[-1] + 1]) for rows in map(np.flatnonzero, filters.T)]
    assert ends[0][0] == pytest.approx(100, abs=0.3)
    assert ends[-1][1] == pytest.approx(6000, abs=0.3)
    # Each begins where the one before it is highest, and ends where the next one is.
    assert np.allclose([low for low, _ in ends[1:]], middles[:-1], atol=0.5)
    assert np.allclose([high for _, high in ends[:-1]], middles[1:], atol=0.5)


def test_htk_filters_side_by_side_sum_to_one():
    filters = nn.mel_filters(20, RATE, 512)
    hertz = np.arange(257) * RATE / 512
    between = (hertz >= hertz[filters[:, 0].argmax()]) & (hertz <= hertz[filters[:, -1].argmax()])
    assert np.allclose(filters.sum(1)[between][1:-1], 1)


@pytest.mark.parametrize("slaney", [False, True])
def test_filters_and_spectrograms_are_those_of_transformers(slaney):
    peer = pytest.importorskip("transformers.audio_utils")
    kind = "slaney" if slaney else "htk"
    wanted = peer.mel_filter_bank(
        201, 80, 20.0, 7000.0, 16000, norm="slaney" if slaney else None, mel_scale=kind
    )
    filters = nn.mel_filters(80, 16000, 400, low=20.0, high=7000.0, slaney=slaney)
    assert np.allclose(filters, wanted, atol=1e-12)
    frames = peer.spectrogram(
        X[0].astype(np.float64),
        peer.window_function(400, "hann"),
        400,
        160,
        power=2.0,
        center=False,
        mel_filters=filters,
        log_mel="log",
        mel_floor=1e-10,
    )
    net = nn.log_mel(80, 16000, size=400, low=20.0, high=7000.0, slaney=slaney)
    assert np.allclose(net((), jnp.asarray(X[:1]))[0], frames.T, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, RATE, 256), "mel_filters: mels must be a whole number of at least 1"),
        ((128, RATE, 256), r"of 128 triangles contain none .* of 256 samples, the first at \d+ Hz"),
        ((20, 0, 256), "mel_filters: rate must be"),
        ((20, RATE, 1), "mel_filters: size must be a whole number of at least 2"),
    ],
)
def test_filters_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        nn.mel_filters(*arguments)


# spec_augment


def runs(hidden):
    """The lengths of the runs of True in each row."""
    edges = np.diff(np.pad(hidden.astype(int), ((0, 0), (1, 1))))
    return [np.flatnonzero(row == -1) - np.flatnonzero(row == 1) for row in edges]


def test_whole_bands_and_spans_are_hidden_and_all_else_is_kept():
    y = np.asarray(masked(KEY, ONES, bands=1, band=5, spans=1, span=7))
    times, bands = (y == 0).all(2), (y == 0).all(1)
    assert ((y == 0) == (times[:, :, None] | bands[:, None])).all()
    assert set(np.unique(y)) == {0, 1}
    for hidden, most in ((times, 7), (bands, 5)):
        lengths = [int(run.sum()) for run in runs(hidden)]
        assert max(map(len, runs(hidden))) == 1  # one piece
        assert set(lengths) == set(range(most + 1))
        assert abs(np.mean(lengths) - most / 2) < 0.4
        assert hidden[:, 0].any()  # both ends are reached
        assert hidden[:, -1].any()


def test_as_many_are_hidden_as_asked_for():
    y = np.asarray(masked(KEY, ONES, bands=3, band=1, spans=0, span=9))
    bands = (y == 0).all(1)
    assert not (y == 0).all(2).any()
    assert set(bands.sum(1)) == {0, 1, 2, 3}
    assert abs(bands.sum(1).mean() - 1.5) < 0.2


def test_nothing_is_hidden_where_none_is_asked_for():
    assert (masked(KEY, ONES, bands=0, band=5, spans=2, span=0) == 1).all()


def test_masks_are_drawn_by_the_key_and_keep_the_dtype():
    first, again, other = (
        np.asarray(masked(key, ONES, band=5, span=7)) for key in (KEY, KEY, jax.random.key(1))
    )
    assert (first == again).all()
    assert not (first == other).all()
    assert len(np.unique(first, axis=0)) > 300  # each row by draws of its own
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y = jax.eval_shape(lambda x: nn.spec_augment(KEY, x, band=5, span=7), jnp.bfloat16(ONES))
    assert (y.shape, y.dtype) == (ONES.shape, jnp.bfloat16)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nn.spec_augment(KEY, ONES[0], band=1, span=1), r"takes \[batch, frames, mels\]"),
        (lambda: nn.spec_augment(KEY, ONES, band=21, span=1), "a band of 21 .* at most 20"),
        (lambda: nn.spec_augment(KEY, ONES, band=1, span=31), "a span of 31 .* at most 30"),
        (lambda: nn.spec_augment(KEY, ONES, band=-1, span=1), "spec_augment: band must be"),
        (lambda: nn.spec_augment(KEY, ONES, bands=1.5, band=1, span=1), "spec_augment: bands must"),
    ],
)
def test_masks_that_cannot_be_are_refused(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()


def test_integers_are_refused_by_spec_augment():
    with pytest.raises(TypeError, match="spec_augment takes floating features"):
        nn.spec_augment(KEY, jnp.ones((2, 30, 20), int), band=1, span=1)


def test_no_rows_have_no_energies():
    net = nn.log_mel(8, 1000)
    assert net((), jnp.zeros((0, 100))).shape == (0, *net((), jnp.zeros((2, 100))).shape[1:])
