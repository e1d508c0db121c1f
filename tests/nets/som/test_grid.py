import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.nets.som.grid import check_grid


def test_a_square_grid_has_eight_neighbours_inside():
    near = nn.som.adjacent_units(nn.som.Grid(4, 5))
    assert (near == near.T).all()
    assert near.sum(axis=1).reshape(4, 5)[1:-1, 1:-1].tolist() == [[8] * 3] * 2
    assert near.sum(axis=1)[0] == 3


def test_a_hexagonal_grid_has_six_at_distance_one():
    grid = nn.som.Grid(4, 5, hexagonal=True)
    near = nn.som.adjacent_units(grid)
    assert near.sum(axis=1).reshape(4, 5)[1:-1, 1:-1].tolist() == [[6] * 3] * 2
    np.testing.assert_allclose(nn.som.grid_distances(grid)[near], 1)


@pytest.mark.parametrize(("hexagonal", "count"), [(False, 8), (True, 6)])
def test_on_a_torus_all_units_are_alike(hexagonal, count):
    grid = nn.som.Grid(4, 6, hexagonal, torus=True)
    assert (nn.som.adjacent_units(grid).sum(axis=1) == count).all()
    sums = nn.som.grid_distances(grid).sum(axis=1)
    np.testing.assert_allclose(sums, sums[0])


def test_neighbourhoods_at_some_distances():
    d = jnp.array([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        nn.som.gaussian_neighbourhood(d, 2.0), np.exp(-(d**2) / 8), rtol=1e-6
    )
    assert nn.som.bubble_neighbourhood(d, 2.0).tolist() == [1, 1, 1, 0]
    hat = nn.som.mexican_hat_neighbourhood(d, 2.0)
    assert hat[0] == 1
    assert hat[2] == 0
    assert hat[3] < 0
    assert nn.som.triangle_neighbourhood(d, 2.0).tolist() == [1, 0.5, 0, 0]


@pytest.mark.parametrize(
    ("decay", "end"),
    [
        (nn.som.asymptotic_decay, 2 / 3),
        (nn.som.linear_decay, 0.02),
        (nn.som.inverse_decay, 2 / 101),
        (nn.som.exponential_decay, 0.02),
        (nn.som.constant_decay, 2.0),
    ],
)
def test_decays_begin_at_the_value_and_never_rise(decay, end):
    values = jax.vmap(lambda t: decay(2.0, t, 100))(jnp.arange(101.0))
    np.testing.assert_allclose(values[0], 2.0, rtol=1e-6)
    np.testing.assert_allclose(values[-1], end, rtol=1e-4)
    assert (jnp.diff(values) <= 1e-6).all()


def test_a_grid_is_checked():
    with pytest.raises(ValueError, match="thing: columns of the grid must be"):
        check_grid(nn.som.Grid(2, 0), "thing")
