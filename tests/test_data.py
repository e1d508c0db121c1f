import numpy as np
import pytest

from examples import data
from examples.data.split import folder


def test_photographs_are_grey_and_in_range():
    photographs = data.photographs()
    assert len(photographs) == 10
    assert photographs["camera"].shape == (512, 512)
    for picture in photographs.values():
        assert picture.dtype == np.float32
        assert picture.ndim == 2
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert picture.std() > 0.05


def test_every_person_has_five_faces_on_either_side():
    faces = data.faces()
    assert faces.x.shape == faces.test_x.shape == (200, 56 * 46)
    assert np.bincount(faces.y).tolist() == np.bincount(faces.test_y).tolist() == [5] * 40
    both = np.concatenate([faces.x, faces.test_x])
    assert both.dtype == np.float32
    assert (both.min() >= 0, both.max() <= 1) == (True, True)
    assert len(np.unique(both, axis=0)) == 400
    # A row is a picture the right way up: faces are symmetric left to right, not up to down.
    mean = both.mean(axis=0).reshape(56, 46)
    assert np.abs(mean - mean[:, ::-1]).mean() < np.abs(mean - mean[::-1]).mean()


def test_the_shuttle_learns_from_normal_rows_alone():
    shuttle = data.shuttle()
    assert len(shuttle.x) == (49097 - 3511) // 2
    assert len(shuttle.validation_x) == len(shuttle.validation_y) == 4910
    assert shuttle.validation_y.sum() + shuttle.test_y.sum() == 3511
    rows = [shuttle.x, shuttle.validation_x, shuttle.test_x]
    assert sum(map(len, rows)) == 49097
    assert {each.dtype for each in rows} == {np.dtype(np.float32)}
    share = [y.mean() for y in (shuttle.validation_y, shuttle.test_y)]
    assert abs(share[0] - share[1]) < 1e-3


def test_an_absent_package_says_what_to_install():
    with pytest.raises(ImportError, match="need no_such_package: pip install -e '..examples.'"):
        folder("no_such_package")
