import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

RNG = np.random.default_rng(0)
A = RNG.normal(size=(300, 5)) @ RNG.normal(size=(5, 5)) + 1
B = RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 5))


def standard(rows, features):
    """Rows whose mean is exactly 0 and whose covariance is exactly the identity."""
    x = RNG.normal(size=(rows, features))
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    return x @ (vectors / np.sqrt(values)) @ vectors.T


# The Frechet distance


def test_the_distance_is_that_of_the_formula_with_a_matrix_root():
    linalg = pytest.importorskip("scipy.linalg", reason="pip install scikit-learn")
    one, other = np.cov(A, rowvar=False), np.cov(B, rowvar=False)
    root = linalg.sqrtm(one @ other).real
    expected = ((A.mean(0) - B.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root)
    assert nn.gan.frechet_distance(A, B) == pytest.approx(expected, rel=1e-9)
    assert nn.gan.frechet_distance(B, A) == pytest.approx(expected, rel=1e-9)
    found = nn.gan.frechet_distance(jnp.asarray(A, jnp.float32), jnp.asarray(B, jnp.float32))
    assert found == pytest.approx(expected, rel=1e-5)


def test_along_the_axes_it_is_a_distance_of_means_and_deviations():
    x, scale, shift = standard(50, 3), np.array([1.0, 2.0, 0.5]), np.array([0.0, 3.0, 4.0])
    expected = (shift**2).sum() + ((scale - 1) ** 2).sum()
    assert nn.gan.frechet_distance(x, x[::-1] * scale + shift) == pytest.approx(expected)


def test_of_a_set_to_itself_it_is_zero_even_with_fewer_rows_than_features():
    for x in (A, A[:3], np.ones((4, 2)), A[:, :1]):
        assert nn.gan.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


# Precision and recall of the manifold


def by_loops(real, generated, k):
    """Precision and recall, row by row."""

    def covered(known, rows):
        inside = 0
        for row in rows:
            for i, centre in enumerate(known):
                others = np.linalg.norm(np.delete(known, i, axis=0) - centre, axis=1)
                if np.linalg.norm(row - centre) <= np.sort(others)[k - 1]:
                    inside += 1
                    break
        return inside / len(rows)

    return covered(real, generated), covered(generated, real)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_plain_loops(k):
    real, generated = A[:40], A[40:70] * 1.5 + 1
    expected = by_loops(real, generated, k)
    assert min(expected) > 0.05
    assert max(expected) < 1
    found = nn.gan.manifold_precision_recall(real, generated, neighbours=k)
    assert found == pytest.approx(expected)


def test_one_mode_alone_is_precise_and_recalls_half():
    near, far = RNG.normal(size=(2, 100, 3))
    far = far + 50
    real = np.concatenate([near, far])
    precision, recall = nn.gan.manifold_precision_recall(real, near + 1e-3)
    assert precision == 1
    assert recall == pytest.approx(0.5, abs=0.01)
    assert nn.gan.manifold_precision_recall(near, far) == (0, 0)
    assert nn.gan.manifold_precision_recall(real, real) == (1, 1)


# Bad input


@pytest.mark.parametrize("measure", [nn.gan.frechet_distance, nn.gan.manifold_precision_recall])
def test_features_that_do_not_fit_are_refused(measure):
    for real, generated, error, said in [
        (
            A,
            B[:, :4],
            ValueError,
            r"the same width for both, got float64\[300,5\] and float64\[200,4\]",
        ),
        (A[:, 0], B[:, 0], ValueError, r"takes features \[rows, features\]"),
        (A, B[:1], ValueError, r"at least \d rows, got float64\[1,5\]"),
        (A, B.astype(int), TypeError, "takes floating features, got int64"),
        (A, np.full_like(B, np.nan), ValueError, "NaN or infinity"),
    ]:
        with pytest.raises(error, match=said):
            measure(real, generated)


def test_more_neighbours_than_rows_are_refused():
    with pytest.raises(ValueError, match=r"at least 301 rows"):
        nn.gan.manifold_precision_recall(A, B, neighbours=300)
    with pytest.raises(ValueError, match="neighbours must be a whole number of at least 1"):
        nn.gan.manifold_precision_recall(A, B, neighbours=0)
