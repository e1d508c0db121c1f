import numpy as np
import pytest

from examples import data
from examples.data.split import folder


def test_photographs_are_grey_and_in_range():
    photographs = data.photographs()
    assert len(photographs) == 10
    assert photographs["camera"].shape == (512, 512)
    for image in photographs.values():
        assert image.dtype == np.float32
        assert image.ndim == 2
        assert image.min() >= 0
        assert image.max() <= 1
        assert image.std() > 0.05


def test_80_faces_are_learned_from_and_20_others_tested():
    x, test_x = data.faces()
    assert (x.shape, test_x.shape) == ((80, 25 * 25), (20, 25 * 25))
    both = np.concatenate([x, test_x])
    assert both.dtype == np.float32
    assert (both.min() >= 0, both.max() <= 1) == (True, True)
    assert both.std() > 0.1
    assert len(np.unique(both, axis=0)) == 100
    # A row is an image the right way up: faces are symmetric left to right, not up to down.
    mean = both.mean(axis=0).reshape(25, 25)
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
