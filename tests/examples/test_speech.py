# pyright: reportArgumentType=false, reportAttributeAccessIssue=false
"""The example speech, and its data."""

import io
import itertools
import wave
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples import data
from examples.data import speech
from examples.speech import figures, network, recognition, strings
from examples.speech.training import augmented_loss

# The data


def recording(samples: int, rate: int = 8000, value: int = 100) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as written:
        written.setparams((1, 2, rate, samples, "NONE", ""))
        written.writeframes(np.full(samples, value, "<i2").tobytes())
    return content.getvalue()


def archive(path, changes: dict, folder: str = "recordings/"):
    """Two takes of each digit by two speakers, some of them changed, or left out by None."""
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("README.md", "spoken digits")
        for digit, who, take in itertools.product(range(10), "ab", range(2)):
            name = f"{digit}_{who}_{take}.wav"
            content = recording(10 + digit, value=1000 * digit + 10 * (who == "b") + take)
            content = changes.get(name, content)
            if content is not None:
                written.writestr(folder + name, content)
    return path


@pytest.mark.parametrize("folder", ["recordings/", "free-spoken-digit-dataset-master/recordings/"])
def test_recordings_are_in_their_places(tmp_path, folder):
    spoken = speech.unpacked(archive(tmp_path / "a.zip", {}, folder), ("a", "b"), 2)
    assert spoken.starts.shape == spoken.lengths.shape == (2, 10, 2)
    assert (spoken.lengths == 10 + np.arange(10)[None, :, None]).all()
    for (who, digit, take), start in np.ndenumerate(spoken.starts):
        piece = spoken.samples[start : start + spoken.lengths[who, digit, take]]
        assert np.allclose(piece * 32768, 1000 * digit + 10 * who + take)
    assert spoken.samples.dtype == np.float32
    assert len(spoken.samples) == spoken.lengths.sum()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"3_b_1.wav": None, "0_a_0.wav": None},
            "lacks 2 of 40 .* example 0_a_0.wav",
        ),
        ({"3_b_1.wav": recording(0)}, "3_b_1.wav has no samples"),
        ({"3_b_1.wav": recording(9, 16000)}, r"3_b_1.wav has .* \(16000, 16, 1\), not \(8000"),
        ({"3_b_1.wav": b"RIFF"}, r"is damaged .* downloaded again"),
        ({"3_b_1.wav": b"no sound at all"}, "is damaged"),
    ],
)
def test_bad_recordings_are_refused(tmp_path, changes, said):
    path = archive(tmp_path / "a.zip", changes)
    with pytest.raises(OSError, match=said):
        speech.unpacked(path, ("a", "b"), 2)


def test_a_truncated_archive_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OSError, match=r"a.zip is damaged .* delete .*a.zip"):
        speech.unpacked(path, ("a", "b"), 2)


def test_all_spoken_digits_are_there():
    try:
        spoken = data.spoken_digits()
    except (ImportError, OSError) as error:
        pytest.skip(str(error))
    assert spoken.lengths.shape == (len(speech.SPEAKERS), 10, speech.TAKES)
    assert spoken.lengths.sum() == len(spoken.samples)
    assert 1100 < spoken.lengths.min() < spoken.lengths.max() < 19000
    assert 0.5 < np.abs(spoken.samples).max() <= 1


# Strings


def made(rows: int, pieces: int = strings.MAX_DIGITS) -> strings.Recordings:
    """Recordings whose samples all have one value, the digit plus one."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1000, 4000, rows * pieces).astype(np.int32)
    digits = rng.integers(0, 10, rows * pieces).astype(np.int32)
    x = (np.arange(4000)[None] < lengths[:, None]) * (digits + 1.0)[:, None]
    speakers = (np.arange(rows * pieces) % 3).astype(np.int32)
    return strings.Recordings(x.astype(np.float32), lengths, digits, speakers)


join = jax.jit(strings.join, static_argnums=4)


def test_recordings_are_joined_where_they_start():
    x = jnp.arange(1.0, 9).reshape(1, 2, 4)
    lengths, speeds = jnp.array([[4, 3]]), jnp.ones((1, 2))
    y = join(x, lengths, jnp.array([[1, 6]]), speeds, 10)
    assert y.tolist() == [[0, 1, 2, 3, 0, 0, 5, 6, 0, 0]]
    y = join(x, lengths, jnp.array([[2, 10]]), speeds, 10)
    assert y.tolist() == [[0, 0, 1, 2, 3, 0, 0, 0, 0, 0]]


def test_a_recording_is_played_at_its_speed():
    x, starts = jnp.arange(8.0).reshape(1, 1, 8) + 1, jnp.array([[1]])
    fast = join(x, jnp.array([[8]]), starts, jnp.array([[2.0]]), 6)
    assert fast.tolist() == [[0, 1, 3, 5, 7, 0]]
    slow = join(x, jnp.array([[3]]), starts, jnp.array([[0.5]]), 6)
    assert slow.tolist() == [[0, 1, 1.5, 2, 2.5, 0]]


def test_drawn_strings_hold_digits_with_silence_between(key):
    samples, held = 16000, made(200)
    draw = jax.jit(strings.random_strings, static_argnums=(2, 3))
    said = jax.tree.map(np.asarray, draw(key, held, samples, 0.2))
    digits = held.digits.reshape(200, -1)
    there = said.labels != 0
    assert (said.labels[there] == digits[there] + 1).all()
    assert (there == (np.arange(strings.MAX_DIGITS) < there.sum(1)[:, None])).all()  # a prefix
    assert set(there.sum(1)) == set(range(1, strings.MAX_DIGITS + 1))
    assert (said.lengths <= samples).all()
    middle = (said.starts + said.ends) // 2
    heard = np.take_along_axis(said.x, np.minimum(middle, samples - 1), 1)
    gain = heard[there] / said.labels[there]
    assert 0.5 <= gain.min() < 0.6 < 1.8 < gain.max() <= 2
    speed = held.lengths.reshape(200, -1)[there] / (said.ends - said.starts)[there]
    assert 0.79 < speed.min() < 0.85 < 1.15 < speed.max() < 1.21
    before = said.starts - np.pad(said.ends, ((0, 0), (1, 0)))[:, :-1]
    low, high = strings.SILENCE
    assert low <= before[there].min() < low + 100 < high - 100 < before[there].max() < high
    time = np.arange(samples)[None, None]
    inside = (time >= said.starts[..., None]) & (time < said.ends[..., None])
    assert (said.x[~inside.any(axis=1)] == 0).all()


def test_fixed_strings_are_always_the_same_and_each_of_one_speaker():
    held = made(60)
    # What speaks is heard in the samples as well: its recordings are negative.
    held = held._replace(x=np.where(held.speakers[:, None] == 1, -held.x, held.x))
    said, again = strings.fixed_strings(held, 30), strings.fixed_strings(held, 30)
    assert all((a == b).all() for a, b in zip(said, again, strict=True))
    assert set((said.labels != 0).sum(1)) == {3, 4, 5, 6}
    for row, x in enumerate(said.x):
        heard = [x[start] for start in said.starts[row][said.labels[row] != 0]]
        sign = -1 if row % 3 == 1 else 1
        assert heard == [sign * label for label in said.labels[row] if label]
        assert not x[said.lengths[row] :].any()


def test_recordings_are_of_these_takes_and_speakers_and_equally_loud():
    lengths = np.arange(2 * 10 * 4).reshape(2, 10, 4) + 500
    starts = (np.cumsum(lengths) - lengths.ravel()).reshape(lengths.shape)
    samples = np.concatenate([np.full(n, n / 1000) for n in lengths.ravel()]).astype(np.float32)
    spoken = data.Spoken(samples, starts, lengths)
    held = strings.recordings(spoken, [1], slice(1, 3))
    assert held.lengths.tolist() == lengths[1, :, 1:3].ravel().tolist()
    assert held.digits.tolist() == np.repeat(np.arange(10), 2).tolist()
    assert set(held.speakers.tolist()) == {1}
    assert held.x.dtype == np.float32
    for x, n in zip(held.x, held.lengths, strict=True):
        assert np.allclose(x[:n], strings.LOUDNESS, rtol=1e-4)
        assert not x[n:].any()
    few = strings.recordings(spoken, [0, 1], slice(None), 8)
    assert len(few.x) == 8
    assert set(few.speakers.tolist()) == {0, 1}


# The network


@pytest.fixture(scope="module")
def listener():
    """(a net, its params), not trained."""
    x = jnp.zeros((8, 98, network.MELS)), jnp.ones((8,), int)
    return network.forward_net, jax.jit(network.forward_net.init)(jax.random.key(0), x)[0]


WAVES = np.random.default_rng(1).normal(size=(2, 8000)).astype(np.float32)


def test_spectrograms_have_no_loudness():
    lengths = jnp.array([8000, 4000])
    y, steps = recognition.jitted_spectrogram(WAVES, lengths)
    louder, _ = recognition.jitted_spectrogram(30 * WAVES, lengths)
    assert y.shape == (2, 98, network.MELS)
    assert np.allclose(y, louder, atol=1e-4)
    assert np.allclose(y.max((1, 2)), 2)
    assert y.min() >= -2
    assert steps.tolist() == [33, 16]
    assert not y[1, 48:].any()  # 1 + (4000 - 200) // 80
    assert y[1, :48].any(axis=1).all()


def test_what_follows_a_string_is_not_heard(listener):
    net, params = listener
    lengths = jnp.array([4000, 3000])
    heard = jax.jit(lambda x: net(params, network.spectrogram(x, lengths)))
    # At both sizes of the array the steps of the convolution stand at the same frames.
    whole, part = heard(WAVES), heard(WAVES[:, :4100])
    for row, steps in enumerate((16, 12)):
        assert np.allclose(whole[row, :steps], part[row, :steps], atol=1e-5)


def test_served_by_steps_a_net_says_the_same(listener):
    net, params = listener
    y, steps = recognition.jitted_spectrogram(WAVES, jnp.array([8000, 8000]))
    stepwise = recognition.stream_logits(params, y)
    assert np.allclose(stepwise, jax.jit(net)(params, (y, steps)), atol=1e-5)


def test_the_likeliest_digit_is_that_of_all_alignments():
    logits = jnp.zeros((2, 5, 11)).at[0, 2:4, 8].set(9.0).at[1, :, 1].set(1.0)
    logits = logits.at[1, 4, 5].set(30.0)  # after the end
    assert jax.jit(recognition.likeliest_digit)(logits, jnp.array([5, 4])).tolist() == [7, 0]


def test_the_loss_of_a_digit_counts_digits(listener, key):
    _, params = listener
    held = made(2)
    loss = jax.jit(augmented_loss(network.forward_net), static_argnames="train")
    value, (state, metrics) = loss(params, (), held, key=key, train=False)
    assert 0 < float(value) < 500
    assert (state, metrics) == ((), {})
    assert float(loss(params, (), held, key=jax.random.key(1), train=False)[0]) != float(value)


def test_alignments_are_judged_by_where_digits_are():
    paths = np.array([[-1, 0, -1, 1], [0, -1, -1, -1]])
    middle = np.arange(4) * network.STRIDE * network.HOP + network.WINDOW // 2
    starts = np.array([[middle[1] - 5, middle[3] + 5], [0, 0]])
    said = strings.Strings(None, None, None, starts, starts + 200)
    assert recognition.alignment_accuracy(paths, said) == pytest.approx(2 / 3)


def test_figures_show_a_short_a_long_and_a_wrong_string():
    labels = np.zeros((9, 6), int)
    for row, n in enumerate((4, 6, 3, 5, 3, 6, 4, 4, 5)):
        labels[row, :n] = 1
    guesses = labels.copy()
    guesses[6, 0] = 2
    said = strings.Strings(None, None, labels, None, None)
    assert figures.choose_rows(guesses, said) == [2, 1, 6]
    assert len(set(figures.choose_rows(labels, said))) == 3
    assert figures.text(labels[2]) == "0 0 0"
