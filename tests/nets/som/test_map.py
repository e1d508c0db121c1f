import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from minisom import MiniSom

import jaxnn as nn

GRID = nn.som.Grid(4, 5)


def rows(count=40, features=3, seed=0):
    return jax.random.normal(jax.random.key(seed), (count, features))


def begun(net, x, grid=GRID):
    _, state = net.init(jax.random.key(1), x)
    return state | {"weights": nn.som.map_of_pca(x, grid)}


def peer(x):
    found = MiniSom(4, 5, x.shape[1], 1.5, 0.5, random_seed=0)  # pyright: ignore
    found.pca_weights_init(np.asarray(x, float))
    return found


def test_a_map_on_the_principal_plane_is_the_peers():
    x = rows()
    theirs = peer(x).get_weights().reshape(20, 3)
    ours = np.asarray(nn.som.map_of_pca(x, GRID)).reshape(4, 5, 3)
    centre = np.asarray(x).mean(0)
    theirs = theirs.reshape(4, 5, 3)
    # An eigenvector's sign is anyone's choice.
    for axis in range(2):
        if np.dot(*(np.moveaxis(m, axis, 0)[0].mean(0) - centre for m in (ours, theirs))) < 0:
            ours = np.flip(ours, axis)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_online_training_is_the_peers_row_for_row():
    x = rows()
    net, them = nn.som.self_organizing_map(GRID, len(x), online=True, radius=1.5), peer(x)
    state = begun(net, x) | {"weights": jnp.asarray(them.get_weights().reshape(20, 3), jnp.float32)}
    _, state = net.apply((), state, x, train=True)
    them.train_batch(np.asarray(x, float), len(x))
    np.testing.assert_allclose(state["weights"], them.get_weights().reshape(20, 3), atol=1e-4)
    assert int(state["step"]) == len(x)


def test_batch_training_is_the_peers_step_for_step():
    x = rows()
    net, them = nn.som.self_organizing_map(GRID, 6, rate=0.5), peer(x)
    state = begun(net, x) | {"weights": jnp.asarray(them.get_weights().reshape(20, 3), jnp.float32)}
    state = nn.som.train_som(net, state, x, 6)
    them.train_batch_offline(np.asarray(x, float), 6)
    np.testing.assert_allclose(state["weights"], them.get_weights().reshape(20, 3), atol=1e-4)
    assert int(state["step"]) == 6


def test_chunks_teach_what_all_rows_would():
    x, weights = rows(), rows(20, seed=1)
    whole = nn.som.som_sums(weights, x)
    parts = [nn.som.som_sums(weights, part) for part in (x[:13], x[13:])]
    added = jax.tree.map(jnp.add, *parts)
    np.testing.assert_allclose(added.totals, whole.totals, atol=1e-5)
    np.testing.assert_array_equal(added.counts, whole.counts)


def test_devices_share_the_rows_and_find_the_same_map():
    x, mesh = rows(64), jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    net = nn.som.self_organizing_map(GRID, 5)
    state = begun(net, x)
    spread = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
    alone, shared = (nn.som.train_som(net, state, each, 5)["weights"] for each in (x, spread))
    np.testing.assert_allclose(shared, alone, atol=1e-5)


def plain_distance(x, w, distance):
    there = ~np.isnan(x)
    x, w = x[there], w[there]
    if distance == "euclidean":
        return np.linalg.norm(x - w)
    if distance == "manhattan":
        return np.abs(x - w).sum()
    return 1 - x @ w / (np.linalg.norm(x) * np.linalg.norm(w))


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "manhattan"])
def test_distances_are_over_the_features_that_are_there(distance):
    x, weights = np.array(rows(6)), np.asarray(rows(4, seed=1))
    x[0, 1] = x[3, 0] = np.nan
    found = nn.som.unit_distances(jnp.asarray(weights), jnp.asarray(x), distance)
    expected = [[plain_distance(row, w, distance) for w in weights] for row in x]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("online", [False, True])
def test_missing_values_teach_nothing(online):
    x = rows(8).at[0].set(jnp.nan).at[1, 2].set(jnp.nan)
    net = nn.som.self_organizing_map(GRID, 8, online=online)
    _, state = net.init(jax.random.key(0), x)
    found, after = net.apply((), state, x, train=True)
    assert np.isfinite(after["weights"]).all()
    assert int(found.index[0]) == -1
    assert np.isnan(found.distance[0])
    without = net.apply((), state, x[1:], train=True)[1]["weights"]
    if not online:  # there the row still takes a tick of the clock
        np.testing.assert_allclose(after["weights"], without, rtol=1e-5)
    nothing = net.apply((), state, jnp.full((8, 3), jnp.nan), train=True)[1]["weights"]
    np.testing.assert_array_equal(nothing, state["weights"])


def test_a_map_of_one_unit_is_the_mean():
    x, net = rows(), nn.som.self_organizing_map(nn.som.Grid(1, 1), 3)
    _, state = net.init(jax.random.key(0), x)
    weights = nn.som.train_som(net, state, x, 3)["weights"]
    assert weights.shape == (1, 3)
    first = net.apply((), state, x, train=True)[1]["weights"]
    np.testing.assert_allclose(first[0], x.mean(0), atol=1e-5)


def test_learning_unfolds_the_map():
    x = jax.random.uniform(jax.random.key(0), (400, 2))
    grid = nn.som.Grid(6, 6)
    net = nn.som.self_organizing_map(grid, 40, radius=3.0, radius_decay=nn.som.exponential_decay)
    _, state = net.init(jax.random.key(1), x)
    before = nn.som.quantization_error(state["weights"], x)
    weights = nn.som.train_som(net, state | {"weights": nn.som.map_of_pca(x, grid)}, x, 40)[
        "weights"
    ]
    assert nn.som.quantization_error(weights, x) < 0.2 * before
    assert nn.som.topographic_error(grid, weights, x) < 0.1


def test_rows_start_a_map():
    x = rows()
    weights = np.asarray(nn.som.map_of_rows(jax.random.key(0), x, GRID))
    assert all((row == np.asarray(x)).all(axis=1).any() for row in weights)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda x: nn.som.self_organizing_map(nn.som.Grid(0, 3), 5),
            "rows of the grid must be a whole number",
        ),
        (
            lambda x: nn.som.self_organizing_map(nn.som.Grid(3, 3, True, True), 5),
            "needs an even number of rows, so that its top joins its bottom, got 3",
        ),
        (lambda x: nn.som.self_organizing_map(GRID, 0), "self_organizing_map: steps must be"),
        (
            lambda x: nn.som.self_organizing_map(GRID, 5, radius=0.0),
            "radius must be a finite number greater than 0, got 0.0",
        ),
        (
            lambda x: nn.som.self_organizing_map(GRID, 5, rate=0.0),
            "rate must be a finite number greater than 0, got 0.0",
        ),
        (
            lambda x: nn.som.self_organizing_map(GRID, 5, distance="far"),
            "one of 'euclidean', 'cosine', 'manhattan'",
        ),
        (
            lambda x: nn.som.self_organizing_map(GRID, 5).init(jax.random.key(0), x[0]),
            "self_organizing_map takes x [rows, features]",
        ),
        (lambda x: nn.som.map_of_pca(x[:, :1], GRID), "at least two rows and two features"),
        (lambda x: nn.som.map_of_pca(x * jnp.nan, GRID), "values are missing (NaN)"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        call(rows())


def test_rows_of_another_width_are_refused():
    net = nn.som.self_organizing_map(GRID, 5)
    _, state = net.init(jax.random.key(0), rows())
    with pytest.raises(ValueError, match=re.escape("takes x [rows, 3], got float32[4,2]")):
        net.apply((), state, jnp.ones((4, 2)))
    with pytest.raises(ValueError, match="keeps state and got none"):
        net(state, rows())
