import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans

import jaxnn as nn
from jaxnn.layers.distance import nearest, root, squared_distances

pytestmark = pytest.mark.ordinary

RNG = np.random.default_rng(0)


def groups(width, features, rows=60):
    """Rows of three groups, of standard deviation 1, `width` apart from zero on each side."""
    middle = np.array([-width, 0.0, width])[RNG.integers(0, 3, rows)][:, None]
    return middle + RNG.normal(size=(rows, features))


def exact(x, centres):
    x, centres = (np.asarray(each, np.float64) for each in (x, centres))
    return np.square(x[:, None] - centres[None]).sum(axis=-1)


@pytest.mark.parametrize("features", [1, 2, 8, 9, 50])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("width", [0.0, 1e4])
def test_distances_are_exact_near_zero_far_from_it_and_between_far_groups(width, dtype, features):
    x = jnp.asarray(groups(width, features) + width / 2, dtype)
    centres = jnp.asarray(np.concatenate([x[:5], groups(width, features, 7)]), dtype)
    found = squared_distances(x, centres)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact(x, centres), rtol=1e-5)
    assert (nearest(x, centres) == exact(x, centres).argmin(axis=1)).all()


def test_gradients_are_those_of_the_formula_also_at_zero():
    x, centres = (jnp.asarray(groups(1e3, 12, rows), jnp.float32) for rows in (6, 4))
    centres = centres.at[0].set(x[0])
    weights = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)

    def total(x, centres):
        return (weights * squared_distances(x, centres)).sum()

    by_x, by_centres = jax.grad(total, (0, 1))(x, centres)
    off = np.asarray(x, np.float64)[:, None] - np.asarray(centres, np.float64)
    pulls = 2 * np.asarray(weights)[..., None] * off
    np.testing.assert_allclose(by_x, pulls.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(by_centres, -pulls.sum(axis=0), rtol=1e-4)
    assert (jax.grad(lambda u: root(u).sum())(jnp.zeros(2)) == 0).all()


def test_no_array_of_rows_by_centres_by_features_is_kept():
    shapes = (
        jax.ShapeDtypeStruct((512, 256), jnp.float32),
        jax.ShapeDtypeStruct((128, 256), jnp.float32),
    )
    shapes = tuple(shapes)
    total = jax.grad(lambda *given: squared_distances(*given).sum(), (0, 1))
    for program in (squared_distances, total):
        memory = jax.jit(program).lower(*shapes).compile().memory_analysis()
        assert memory
        assert memory.temp_size_in_bytes < 512 * 128 * 256


@pytest.mark.parametrize("away", [0.0, 1e4])
def test_k_means_far_from_zero_finds_what_scikit_learn_finds(away):
    x = np.concatenate([RNG.normal(size=(50, 2)) * 0.5 + at for at in ((0, 0), (5, 0), (0, 5))])
    x = (x + away).astype(np.float32)
    runs = [nn.rbf.kmeans(jax.random.key(i), jnp.asarray(x), 3) for i in range(5)]
    best = min(runs, key=lambda run: float(run.inertia))
    assert best.steps < 100
    peer = KMeans(3, n_init=5, random_state=0)  # pyright: ignore[reportArgumentType]
    expected = peer.fit(x.astype(np.float64)).inertia_
    assert float(best.inertia) == pytest.approx(expected, rel=1e-4)


def test_codes_in_half_precision_are_the_nearest():
    z = jnp.asarray(RNG.normal(size=(200, 16)) + 10, jnp.bfloat16)
    book = jnp.asarray(RNG.normal(size=(32, 16)) + 10, jnp.float32)
    net = nn.autoencoder.vector_quantizer(32)
    found = net({"codebook": book}, z).index
    wanted = exact(z, book.astype(jnp.bfloat16)).argmin(axis=1)
    assert (found == wanted).all()


@pytest.mark.parametrize("distance", ["euclidean", "manhattan", "cosine"])
@pytest.mark.parametrize("away", [0.0, 1e4])
@pytest.mark.first(2)
def test_the_error_of_a_map_is_that_of_float64(away, distance):
    x = (RNG.normal(size=(80, 6)) + away).astype(np.float32)
    weights = (RNG.normal(size=(9, 6)) + away).astype(np.float32)
    a, b = x.astype(np.float64)[:, None], weights.astype(np.float64)[None]
    apart = {
        "euclidean": np.sqrt(np.square(a - b).sum(-1)),
        "manhattan": np.abs(a - b).sum(-1),
        "cosine": 1 - (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1)),
    }[distance]
    found = nn.som.unit_distances(weights, x, distance)
    # Far away 1 - cosine is 1e-9, of which float64 has seven digits and float32 three.
    np.testing.assert_allclose(found, apart, rtol=1e-2 if distance == "cosine" else 1e-5)
    error = nn.som.quantization_error(jnp.asarray(weights), jnp.asarray(x), distance)
    assert float(error) == pytest.approx(apart.min(axis=1).mean(), rel=1e-3)


def test_weights_that_are_not_numbers_have_no_error_that_is_a_number():
    x, grid = jnp.ones((5, 2)), nn.som.Grid(2, 2)
    weights = jnp.full((4, 2), jnp.nan)
    assert jnp.isnan(nn.som.quantization_error(weights, x))
    assert jnp.isnan(nn.som.topographic_error(grid, weights, x))
    assert (nn.som.best_matching_units(weights, x).index == -1).all()
    with pytest.raises(ValueError, match="u_matrix: weights are NaN"):
        nn.som.u_matrix(grid, weights)
    one = jnp.zeros((4, 2)).at[0].set(jnp.nan)
    assert jnp.isnan(jax.jit(lambda w: nn.som.u_matrix(grid, w))(one)[0, 0])


@pytest.mark.parametrize("penalty", [1e-12, 1e-6, 1e-2, 10.0])
@pytest.mark.parametrize("repeated", [False, True])
def test_ridge_with_repeated_features_is_that_of_float64(penalty, repeated):
    x = RNG.normal(size=(60, 5)).astype(np.float32)
    x = np.concatenate([x, x[:, :2]], axis=1) if repeated else x
    y = (x @ RNG.normal(size=(x.shape[1], 2)) + 3).astype(np.float32)
    wide = x.astype(np.float64) - x.astype(np.float64).mean(axis=0)
    out = y.astype(np.float64) - y.astype(np.float64).mean(axis=0)
    u, s, vt = np.linalg.svd(wide, full_matrices=False)
    share = np.where(s > 1e-9, s / (s**2 + penalty), 0)
    w = vt.T @ (share[:, None] * (u.T @ out))
    found = nn.rbf.ridge(jnp.asarray(x), jnp.asarray(y), penalty)
    np.testing.assert_allclose(found["w"], w, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("labels", [[0, -1, 1], [0, 2, 1]])
def test_a_label_that_is_no_class_is_refused(labels):
    with pytest.raises(ValueError, match=r"unit_labels: labels are 0 to 1, got"):
        nn.som.unit_labels(nn.som.Grid(1, 2), jnp.array([0, 0, 1]), jnp.array(labels), 2)


def test_a_misspelt_distance_is_refused_everywhere():
    w = jnp.ones((4, 2))
    calls = [
        lambda: nn.som.best_matching_units(w, w, "cosin"),
        lambda: nn.som.quantization_error(w, w, "cosin"),
        lambda: nn.som.topographic_error(nn.som.Grid(2, 2), w, w, "cosin"),
        lambda: nn.som.u_matrix(nn.som.Grid(2, 2), w, "cosin"),
        lambda: nn.som.som_sums(w, w, "cosin"),
        lambda: nn.som.self_organizing_map(nn.som.Grid(2, 2), 5, distance="cosin"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="did you mean 'cosine'"):
            call()


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="takes x .* and centres"):
        squared_distances(jnp.ones((3, 2)), jnp.ones((4, 3)))
    with pytest.raises(TypeError, match="takes floating features"):
        squared_distances(jnp.ones((3, 2), int), jnp.ones((4, 2)))


@pytest.mark.parametrize("scale", [1e-25, 1e-20, 1.0, 1e18, 1e25])
@pytest.mark.parametrize("features", [2, 40])
@pytest.mark.first(3)
def test_the_nearest_is_that_of_float64_at_every_scale(features, scale):
    x = jnp.asarray(groups(3.0, features, 200) * scale, jnp.float32)
    centres = jnp.asarray(groups(3.0, features, 20) * scale, jnp.float32)
    assert (nearest(x, centres) == exact(x, centres).argmin(axis=1)).all()
    found = nn.som.best_matching_units(centres, x)
    np.testing.assert_allclose(found.distance, np.sqrt(exact(x, centres).min(axis=1)), rtol=1e-5)


@pytest.mark.parametrize("away", [0.0, 1e4])
@pytest.mark.parametrize("missing", [False, True])
def test_products_that_differences_decide_find_the_nearest(missing, away):
    x = (groups(1.0, 300, 150) + away * RNG.choice([-1, 1], (150, 1))).astype(np.float32)
    centres = x[:40] + np.float32(0.01)
    centres[5:9] = centres[4]  # as near as each other: the first
    there = RNG.uniform(size=x.shape) > 0.2 if missing else np.ones(x.shape, bool)
    off = x.astype(np.float64)[:, None] - centres.astype(np.float64)
    off = np.where(there[:, None], off, 0)
    wanted = np.square(off).sum(axis=-1)
    found = np.asarray(
        nn.som.best_matching_units(jnp.asarray(centres), jnp.where(there, x, jnp.nan)).index
    )
    least = wanted.min(axis=1)
    np.testing.assert_allclose(wanted[np.arange(150), found], least, rtol=1e-6, atol=1e-9)
    assert found[4] == 4
    assert not np.isin(found, [5, 6, 7, 8]).any()


def test_a_call_outside_of_jit_makes_no_array_of_rows_by_centres_by_features():
    x = jax.random.normal(jax.random.key(0), (8000, 2000))
    assert (nearest(x, x[:500])[:500] == jnp.arange(500)).all()  # it would take 32 GB


def test_forward_mode_and_second_derivatives_are_those_of_the_formula():
    x, centres = (jnp.asarray(groups(1.0, 12, rows), jnp.float32) for rows in (6, 4))
    along = jnp.asarray(RNG.normal(size=x.shape), jnp.float32)
    found = jax.jvp(lambda x: squared_distances(x, centres), (x,), (along,))[1]
    wanted = 2 * np.einsum("nf,nkf->nk", along, np.asarray(x)[:, None] - np.asarray(centres))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    curve = jax.hessian(lambda row: squared_distances(row, centres).sum())(x[0])
    np.testing.assert_allclose(curve, 2 * 4 * np.eye(12), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-20, 1e18])
def test_k_means_finds_the_clusters_at_every_scale(scale):
    x = np.concatenate([RNG.normal(size=(50, 2)) * 0.1 + at for at in ((0, 0), (5, 0), (0, 5))])
    found = nn.rbf.kmeans(jax.random.key(0), jnp.asarray(x * scale, jnp.float32), 3)
    assert sorted(found.counts.tolist()) == [50, 50, 50]
    middles = np.sort([x[i : i + 50].sum(axis=1).mean() for i in (0, 50, 100)])
    np.testing.assert_allclose(np.sort(found.centres.sum(axis=1)) / scale, middles, atol=1e-4)


def test_k_means_of_rows_that_are_not_numbers_is_refused():
    with pytest.raises(ValueError, match="kmeans: x has values that are NaN or infinite"):
        nn.rbf.kmeans(jax.random.key(0), jnp.ones((4, 2)).at[0, 0].set(jnp.nan), 2)
    with pytest.raises(TypeError, match=r"key must be one of jax.random.key"):
        nn.rbf.kmeans(0, jnp.ones((4, 2)), 2)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("size", [1e-15, 1e25])
def test_cosine_does_not_know_the_length(size):
    x, weights = (jnp.asarray(RNG.normal(size=(n, 5)), jnp.float32) for n in (8, 3))
    found = nn.som.unit_distances(weights * size, x * size, "cosine")
    np.testing.assert_allclose(found, nn.som.unit_distances(weights, x, "cosine"), rtol=1e-4)
