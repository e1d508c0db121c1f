import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from examples import capsule

X = jax.ShapeDtypeStruct((8, 28, 28, 1), jnp.float32)


def numbers(net):
    return nn.count_params(jax.eval_shape(net.init, jax.random.key(0), X)[0])


def test_both_networks_have_as_many_numbers():
    assert numbers(capsule.plain) == pytest.approx(numbers(capsule.reader), rel=0.01)


def test_points_lost_are_those_of_turned_digits():
    accuracies = np.where(capsule.ANGLES == 0, 0.98, 0.8)
    assert capsule.lost(accuracies) == pytest.approx(18)


def test_warps_are_always_the_same_and_within_their_limits():
    matrices = np.asarray(capsule.warps(500))
    assert (matrices == np.asarray(capsule.warps(500))).all()
    linear, moves = matrices[..., :2], matrices[..., 2]
    # The area grows with both scales alone; the longest axis with the shear as well.
    area = np.linalg.det(np.linalg.inv(linear))
    assert 0.8**2 <= area.min() < 0.75 < 1.3 < area.max() <= 1.2**2
    assert 1.5 < np.abs(moves).max() <= capsule.SHIFT
    assert np.abs(np.linalg.svd(linear)[1] - 1).max() < 0.5


def test_robustness_counts_over_all_parts(monkeypatch):
    monkeypatch.setattr(capsule, "QUICK_ROWS", 8)
    pictures = np.zeros((20, 28, 28, 1), np.float32)
    pictures[:, 13:15, 13:15] = np.arange(20).reshape(-1, 1, 1, 1) % 2  # a dot stays under turns

    def scores(x):
        dot = x[:, 10:18, 10:18].max((1, 2, 3)) > 0.2
        return jax.nn.one_hot(dot.astype(int), 2)

    labels = np.arange(20) % 2
    labels[0] = 1
    turned, warped = capsule.robustness(scores, pictures, labels)
    assert turned.shape == capsule.ANGLES.shape
    assert np.allclose(turned, 0.95)
    assert warped == pytest.approx(0.95)


def test_digits_are_moved_in_training_alone(key):
    x = jax.random.uniform(key, (8, 28, 28, 1))
    assert capsule.moved(x, None, False) is x
    assert not np.array_equal(capsule.moved(x, key, True), x)
