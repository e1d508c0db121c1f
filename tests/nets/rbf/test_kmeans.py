import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

import jaxnn as nn


def blobs(rows=60, seed=0):
    middles = 10 * jax.random.normal(jax.random.key(seed), (3, 2))
    noise = 0.1 * jax.random.normal(jax.random.key(seed + 1), (rows, 2))
    return jnp.tile(middles, (rows // 3, 1)) + noise, middles


def test_rows_are_drawn_once_each():
    x = jnp.arange(20.0).reshape(10, 2)
    drawn = nn.rbf.rows_as_centres(jax.random.key(0), x, 10)
    assert sorted(drawn[:, 0].tolist()) == x[:, 0].tolist()
    few = [nn.rbf.rows_as_centres(jax.random.key(i), x, 3) for i in range(2)]
    assert (few[0] != few[1]).any()


def test_kmeans_finds_what_lies_apart():
    x, middles = blobs()
    found = nn.rbf.kmeans(jax.random.key(2), x, 3)
    apart = np.square(np.asarray(found.centres)[:, None] - np.asarray(middles)[None]).sum(-1)
    assert (apart.min(axis=0) < 0.01).all()
    assert found.counts.tolist() == [20, 20, 20]
    assert len(set(np.asarray(found.index[:3]).tolist())) == 3


def test_kmeans_ends_where_no_row_changes_and_measures_itself():
    x = jax.random.normal(jax.random.key(0), (200, 4))
    found = nn.rbf.kmeans(jax.random.key(1), x, 8)
    assert 1 < int(found.steps) < 100
    for i in range(8):
        mean = np.asarray(x)[np.asarray(found.index) == i].mean(axis=0)
        np.testing.assert_allclose(found.centres[i], mean, atol=1e-5)
    inertia = nn.squared_distances(x, found.centres).min(axis=1).sum()
    np.testing.assert_allclose(found.inertia, inertia, rtol=1e-5)
    assert int(nn.rbf.kmeans(jax.random.key(1), x, 8, steps=1).steps) == 1


def test_kmeans_is_as_good_as_the_peer():
    x = jax.random.normal(jax.random.key(0), (300, 4))
    ours = jax.vmap(lambda key: nn.rbf.kmeans(key, x, 10).inertia)(
        jax.random.split(jax.random.key(1), 10)
    )
    runs = [KMeans(10, n_init=1, random_state=i).fit(np.asarray(x)) for i in range(10)]  # pyright: ignore[reportArgumentType]
    theirs = np.array([float(run.inertia_ or 0) for run in runs])
    assert ours.mean() < 1.03 * theirs.mean()
    assert ours.min() < 1.01 * theirs.min()


def test_fewer_different_rows_than_centres_leave_centres_without_rows():
    x = jnp.tile(jnp.array([[0.0, 1.0], [2.0, 3.0]]), (5, 1))
    found = nn.rbf.kmeans(jax.random.key(0), x, 4)
    assert np.isfinite(found.centres).all()
    assert sorted(found.counts.tolist()) == [0, 0, 5, 5]
    assert float(found.inertia) == 0
    same = nn.rbf.kmeans(jax.random.key(0), jnp.ones((6, 2)), 3)
    np.testing.assert_array_equal(same.centres, 1)


def greedy(features, targets, k):
    """By solving anew for every candidate."""
    chosen = []
    for _ in range(k):
        left = []
        for column in range(features.shape[1]):
            part = features[:, [*chosen, column]]
            fit = part @ np.linalg.lstsq(part, targets, rcond=None)[0]
            left.append(np.inf if column in chosen else np.square(targets - fit).sum())
        chosen.append(int(np.argmin(left)))
    return chosen


def test_orthogonal_least_squares_choose_what_explains_most():
    features = np.asarray(jax.random.normal(jax.random.key(0), (40, 12)))
    targets = np.asarray(jax.random.normal(jax.random.key(1), (40, 2)))
    found = nn.rbf.orthogonal_least_squares(jnp.asarray(features), jnp.asarray(targets), 6)
    assert found.tolist() == greedy(features, targets, 6)


def test_a_repeated_column_is_not_chosen_twice():
    column = jax.random.normal(jax.random.key(0), (20, 1))
    other = jax.random.normal(jax.random.key(1), (20, 1))
    features = jnp.concatenate([column, column, other], axis=1)
    found = nn.rbf.orthogonal_least_squares(features, 3 * column + 0.1 * other, 2)
    assert sorted(found.tolist()) == [0, 2]


def test_widths_are_distances_to_neighbours():
    centres = jnp.array([[0.0], [1.0], [3.0], [7.0]])
    found = nn.rbf.rbf_widths(centres, neighbours=2, overlap=2.0)
    expected = 2 * np.sqrt([(1 + 9) / 2, (1 + 4) / 2, (4 + 9) / 2, (16 + 36) / 2])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    coinciding = nn.rbf.rbf_widths(jnp.array([[0.0], [0.0], [2.0]]), neighbours=1)
    np.testing.assert_allclose(coinciding, 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: nn.rbf.kmeans(jax.random.key(0), x, 0), "k, the number of centres, must be"),
        (
            lambda x: nn.rbf.kmeans(jax.random.key(0), x, 5),
            "kmeans: k=5 centres were requested from 4 rows",
        ),
        (lambda x: nn.rbf.kmeans(jax.random.key(0), x[0], 1), "kmeans takes x [rows, features]"),
        (
            lambda x: nn.rbf.rows_as_centres(jax.random.key(0), x, 5),
            "k=5 centres were requested from 4 rows",
        ),
        (
            lambda x: nn.rbf.orthogonal_least_squares(x, x, 3),
            "k=3 centres were requested from 2 columns",
        ),
        (
            lambda x: nn.rbf.orthogonal_least_squares(x, x[:3], 1),
            "got float32[4,2] and float32[3,2]",
        ),
        (lambda x: nn.rbf.rbf_widths(x, neighbours=4), "with k greater than neighbours=4"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(call, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        call(jnp.arange(8.0).reshape(4, 2))
