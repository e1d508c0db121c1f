import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minisom import MiniSom

import jaxnn as nn


@pytest.mark.parametrize("hexagonal", [False, True])
def test_errors_are_the_peers(hexagonal):
    x = np.asarray(jax.random.normal(jax.random.key(0), (50, 3)), float)
    peer = MiniSom(6, 6, 3, topology="hexagonal" if hexagonal else "rectangular", random_seed=0)
    peer.train_random(x, 200)
    # The peer's first axis is along x, ours along y.
    weights = jnp.asarray(np.swapaxes(peer.get_weights(), 0, 1).reshape(36, 3), jnp.float32)
    rows = jnp.asarray(x, jnp.float32)
    np.testing.assert_allclose(
        nn.som.quantization_error(weights, rows), peer.quantization_error(x), rtol=1e-4
    )
    if not hexagonal:  # there the peer moves the other rows
        found = nn.som.topographic_error(nn.som.Grid(6, 6), weights, rows)
        np.testing.assert_allclose(found, peer.topographic_error(x), atol=1e-6)


def test_rows_without_features_have_no_error():
    weights, x = jnp.arange(4.0)[:, None], jnp.array([[1.5], [jnp.nan]])
    assert nn.som.quantization_error(weights, x) == 0.5
    assert nn.som.topographic_error(nn.som.Grid(2, 2), weights, x) == 0


def test_the_u_matrix_is_high_at_a_border():
    weights = jnp.array([[0.0], [0.1], [5.0], [5.1]])
    found = nn.som.u_matrix(nn.som.Grid(1, 4), weights)[0]
    np.testing.assert_allclose(found, [0.1, 2.5, 2.5, 0.1], atol=1e-3)
    assert nn.som.u_matrix(nn.som.Grid(1, 1), weights[:1]).tolist() == [[0.0]]


def test_hits_are_counted_and_rows_without_winner_left_out():
    found = nn.som.hit_map(nn.som.Grid(2, 2), jnp.array([3, 3, 0, -1]))
    assert found.tolist() == [[1, 0], [0, 2]]


def test_labels_are_those_of_most_rows_or_of_the_nearest_unit():
    found = nn.som.unit_labels(
        nn.som.Grid(1, 5), jnp.array([0, 0, 0, 4, -1]), jnp.array([2, 2, 1, 0, 1]), 3
    )
    assert found.tolist() == [2, 2, 2, 0, 0]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="a map of one unit has no second nearest unit"):
        nn.som.topographic_error(nn.som.Grid(1, 1), jnp.ones((1, 2)), jnp.ones((3, 2)))
    with pytest.raises(ValueError, match="takes one label per row"):
        nn.som.unit_labels(nn.som.Grid(1, 2), jnp.zeros(3, int), jnp.zeros(2, int), 2)
    with pytest.raises(ValueError, match="no row has a best-matching unit"):
        nn.som.unit_labels(nn.som.Grid(1, 2), jnp.full(2, -1), jnp.zeros(2, int), 2)


def test_a_map_of_another_grid_is_refused():
    grid, weights, index = nn.som.Grid(2, 3), jnp.ones((4, 2)), jnp.array([0, 5])
    for call in (
        lambda: nn.som.topographic_error(grid, weights, jnp.ones((3, 2))),
        lambda: nn.som.u_matrix(grid, weights),
        lambda: nn.som.component_planes(grid, weights),
    ):
        with pytest.raises(ValueError, match=r"takes weights \[6, features\] for this grid"):
            call()
    for call in (
        lambda: nn.som.hit_map(nn.som.Grid(1, 5), index),
        lambda: nn.som.unit_labels(nn.som.Grid(1, 5), index, jnp.array([0, 1]), 2),
    ):
        with pytest.raises(ValueError, match="the index 5 is out of range for a grid of 5 units"):
            call()
    net, x = nn.som.self_organizing_map(nn.som.Grid(2, 2), 3), jnp.ones((4, 2))
    with pytest.raises(ValueError, match="they belong to another grid"):
        net.apply((), {"weights": jnp.ones((6, 2)), "step": jnp.int32(0)}, x)
    with pytest.raises(ValueError, match="train_som: passes must be a whole number"):
        nn.som.train_som(net, net.init(jax.random.key(0), x)[1], x, 0)
