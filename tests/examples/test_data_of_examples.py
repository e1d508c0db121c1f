"""What the examples learn from: how it is read and split."""

import gzip

import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from examples import data
from examples.data import images, video


def test_digits_are_split_by_class():
    digits = data.digits()
    assert digits.x.shape == (4000, 784)
    assert digits.x.dtype == np.float32
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert np.bincount(digits.y).tolist() == [400] * 10
    assert np.bincount(digits.test_y).tolist() == [100] * 10


def test_every_patient_is_tested_once():
    folds = data.diabetes()
    assert [len(fold.test_y) for fold in folds] == [89, 89, 88, 88, 88]
    rows = np.concatenate([fold.test_x for fold in folds])
    assert len(np.unique(rows, axis=0)) == 442
    for fold in folds:
        both = np.concatenate([fold.x, fold.test_x])
        assert len(np.unique(both, axis=0)) == 442


def test_petals_are_split_by_class():
    petals = data.petals()
    assert np.bincount(petals.y).tolist() == np.bincount(petals.test_y).tolist() == [25] * 3


def test_clothes_say_what_to_install_or_are_split_by_class(monkeypatch, tmp_path):
    if images.FASHION.is_dir():
        clothes = data.fashion()
        assert clothes.x.shape == (60000, 784)
        assert (clothes.x.dtype, clothes.x.max()) == (np.float32, 1)
        assert np.bincount(clothes.y).tolist() == [6000] * 10
        assert np.bincount(clothes.test_y).tolist() == [1000] * 10
    monkeypatch.setattr(images, "FASHION", tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist"):
        data.fashion()


def test_idx_files_are_read(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    head = bytes([0, 0, 8, 3]) + np.array([2, 3, 4], ">i4").tobytes()
    path = tmp_path / "some.gz"
    path.write_bytes(gzip.compress(head + values.tobytes()))
    assert (images._idx(path) == values).all()


def test_pasted_digits_lie_in_their_boxes_and_apart():
    (made, _), (again, _) = data.pasted_digits(24, 1), data.pasted_digits(24, 1)
    assert (made.x == again.x).all()
    assert made.x.shape == (24, 96, 96)
    assert {len(each) for each in made.boxes} == {1, 2, 3, 4}
    objects = nn.detection.pack_objects(made.boxes, made.labels, size=(96, 96), classes=10)
    overlaps = np.asarray(nn.detection.pairwise_iou(*[jnp.asarray(objects.boxes)] * 2))
    assert (overlaps[:, ~np.eye(4, dtype=bool)] == 0).all()


def test_pasted_digits_to_test_have_photographs_and_digits_of_their_own(monkeypatch):
    from examples.data import scenes

    # To learn from are the left three quarters, here black, with digits of class 1.
    ones = np.ones((4, 28, 28), np.float32).reshape(4, -1)
    marked = data.Split(ones, np.full(4, 1), ones, np.full(4, 2))
    photograph = np.repeat([[0.0, 0.0, 0.0, 1.0]], 96, axis=0).repeat(96, axis=1)
    monkeypatch.setattr(scenes, "digits", lambda: marked)
    monkeypatch.setattr(scenes, "photographs", lambda: {"a": photograph.astype(np.float32)})
    for made, grey, label in zip(scenes.pasted_digits(5, 5), (0, 255), (1, 2), strict=True):
        assert {int(each) for labels in made.labels for each in labels} == {label}
        for image, boxes in zip(made.x, made.boxes, strict=True):
            outside = np.ones((96, 96), bool)
            for left, top, right, bottom in boxes.astype(int):
                outside[top:bottom, left:right] = False
            assert (image[outside] == grey).all()


def test_the_city_is_one_shot():
    clip = data.city()
    assert (clip.shape, clip.dtype) == ((115, 96, 176), np.float32)
    assert (clip.min() >= 0, clip.max() <= 1) == (True, True)
    changes = -10 * np.log10(np.square(clip[1:] - clip[:-1]).mean((1, 2)))
    assert changes.min() > 25  # at a cut it is 10
    assert changes[-23:].mean() == pytest.approx(28.11, abs=0.05)


def test_pixels_are_averaged_and_the_middle_is_kept():
    frames = np.zeros((1, 4 * 98 + 1, 4 * 178), np.uint8)
    frames[0, 4:6, 4:8] = 255  # half of the first block that is kept
    small = video._reduced(frames)
    assert small.shape == (1, 96, 176)
    assert small[0, 0, 0] == 0.5
    assert small.sum() == 0.5


def test_an_absent_clip_says_what_to_install():
    with pytest.raises(ImportError, match="need no-such-clips: pip install -e '..examples-video.'"):
        video._path("no-such-clips", "clip.mpg")


def test_tables_and_small_digits_are_split_by_class():
    for split, learned, tested in (
        (data.breast_cancer(), [148, 250], [64, 107]),
        (data.wine(), [41, 50, 33], [18, 21, 15]),
    ):
        assert np.bincount(split.y).tolist() == learned
        assert np.bincount(split.test_y).tolist() == tested
    small = data.small_digits()
    assert (small.x.shape, small.test_x.shape) == ((1297, 64), (500, 64))
    assert (small.x.min(), small.x.max()) == (0, 1)
