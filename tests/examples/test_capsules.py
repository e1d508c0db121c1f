import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from examples.capsule import network, robustness

X = jax.ShapeDtypeStruct((8, 28, 28, 1), jnp.float32)


def numbers(net):
    return nn.count_params(jax.eval_shape(net.init, jax.random.key(0), X)[0])


def test_both_networks_have_as_many_params():
    assert numbers(network.plain) == pytest.approx(numbers(network.reader), rel=0.01)


def test_points_lost_are_those_of_changed_digits():
    accuracies = np.where(robustness.ANGLES == 0, 0.98, 0.8)
    found = robustness.Robustness(accuracies, 0.9)
    assert found.upright == 0.98
    assert found.lost_rotated == pytest.approx(18)
    assert found.lost_warped == pytest.approx(8)


def test_warps_are_always_the_same_and_within_their_limits():
    matrices = np.asarray(robustness.warps(500))
    assert (matrices == np.asarray(robustness.warps(500))).all()
    linear, moves = matrices[..., :2], matrices[..., 2]
    # The area grows with both scales alone; the longest axis with the shear as well.
    area = np.linalg.det(np.linalg.inv(linear))
    assert 0.8**2 <= area.min() < 0.75 < 1.3 < area.max() <= 1.2**2
    assert 1.5 < np.abs(moves).max() <= 2
    assert np.abs(np.linalg.svd(linear)[1] - 1).max() < 0.5


def test_robustness_counts_over_all_parts(monkeypatch):
    monkeypatch.setattr(robustness, "ROWS", 8)
    images = np.zeros((20, 28, 28, 1), np.float32)
    images[:, 13:15, 13:15] = np.arange(20).reshape(-1, 1, 1, 1) % 2  # a dot in the center

    def scores(x):
        dot = x[:, 10:18, 10:18].max((1, 2, 3)) > 0.2
        return jax.nn.one_hot(dot.astype(int), 2)

    labels = np.arange(20) % 2
    labels[0] = 1
    found = robustness.measured(scores, images, labels)
    assert found.rotated.shape == robustness.ANGLES.shape
    assert np.allclose(found.rotated, 0.95)
    assert found.warped == pytest.approx(0.95)


def test_digits_are_moved_only_in_training(key):
    x = jax.random.uniform(key, (8, 28, 28, 1))
    assert network.moved(x, None, False) is x
    assert not np.array_equal(network.moved(x, key, True), x)
