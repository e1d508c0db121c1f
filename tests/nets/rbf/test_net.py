import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

import jaxnn as nn

pytestmark = pytest.mark.ordinary


def drawn(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def start(layer, x, seed=1):
    return layer.init(jax.random.key(seed), x)[0]


def apart(x, centres):
    return np.square(np.asarray(x)[:, None] - np.asarray(centres)[None]).sum(-1)


@pytest.mark.parametrize(
    ("kernel", "of_r"),
    [
        (nn.rbf.gaussian_kernel, lambda r: np.exp(-(r**2) / 2)),
        (nn.rbf.multiquadric_kernel, lambda r: np.sqrt(1 + r**2)),
        (nn.rbf.inverse_multiquadric_kernel, lambda r: 1 / np.sqrt(1 + r**2)),
        (nn.rbf.thin_plate_kernel, lambda r: r**2 * np.log(r)),
    ],
)
def test_a_unit_answers_by_its_distance(kernel, of_r):
    layer, x = nn.rbf.rbf_layer(5, kernel=kernel, width=0.7), drawn(6, 3)
    params = start(layer, x)
    expected = of_r(np.sqrt(apart(x, params["centres"])) / 0.7)
    np.testing.assert_allclose(layer(params, x), expected, rtol=1e-4, atol=1e-6)


def test_every_centre_may_have_a_width_or_a_matrix():
    x = drawn(6, 3)
    layer = nn.rbf.rbf_layer(5, metric="centre", width=2.0)
    params = start(layer, x)
    params["log_width"] = jnp.log(jnp.arange(1.0, 6.0))
    u = apart(x, params["centres"]) / np.arange(1.0, 6.0) ** 2
    np.testing.assert_allclose(layer(params, x), np.exp(-u / 2), rtol=1e-4)
    full = nn.rbf.rbf_layer(5, metric="full", width=2.0)
    params = start(full, x)
    narrow = nn.rbf.rbf_layer(5, width=2.0)
    alike = {"centres": params["centres"], "log_width": jnp.log(2.0)}
    np.testing.assert_allclose(full(params, x), narrow(alike, x), rtol=1e-5)
    params["metric"] = drawn(5, 3, 3, seed=2)
    seen = np.einsum("kde,nke->nkd", params["metric"], x[:, None] - params["centres"][None])
    np.testing.assert_allclose(full(params, x), np.exp(-np.square(seen).sum(-1) / 2), rtol=1e-4)


@pytest.mark.parametrize("kernel", [nn.rbf.gaussian_kernel, nn.rbf.inverse_multiquadric_kernel])
def test_normalised_answers_add_up_to_one_however_far(kernel):
    layer, x = nn.rbf.rbf_layer(5, kernel=kernel, normalised=True), drawn(6, 3).at[0].set(1e3)
    y = layer(start(layer, x), x)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)
    assert (y >= 0).all()
    plain = nn.rbf.rbf_layer(5, kernel=kernel)(start(layer, x), x)[1:]
    np.testing.assert_allclose(y[1:], plain / plain.sum(-1, keepdims=True), rtol=1e-4)


def test_the_thin_plate_and_its_slope_are_zero_at_a_centre():
    assert nn.rbf.thin_plate_kernel(jnp.zeros(())) == 0
    assert jax.grad(nn.rbf.thin_plate_kernel)(0.0) == 0


def test_distances_far_from_zero_lose_nothing():
    x, centres = drawn(6, 3), drawn(5, 3, seed=1)
    near, far = nn.squared_distances(x, centres), nn.squared_distances(x + 1000, centres + 1000)
    np.testing.assert_allclose(near, apart(x, centres), rtol=1e-5)
    np.testing.assert_allclose(far, near, rtol=1e-3)
    assert (nn.squared_distances(centres, centres) >= 0).all()


def test_the_net_is_the_hidden_layer_and_a_dense_one():
    net, x = nn.rbf.rbf_net(7, 2, metric="centre"), drawn(6, 3)
    params = start(net, x)
    hidden = nn.rbf.rbf_layer(7, metric="centre")(params["rbf"], x)
    expected = hidden @ params["head"]["w"] + params["head"]["b"]
    np.testing.assert_allclose(net(params, x), expected, rtol=1e-5)


# Closed form


def test_ridge_is_ridge_regression():
    x, y = drawn(50, 6), drawn(50, 2, seed=1)
    found, peer = (
        nn.rbf.ridge(x, y, 0.3),
        Ridge(0.3).fit(np.asarray(x, float), np.asarray(y, float)),
    )
    np.testing.assert_allclose(found["w"], peer.coef_.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["b"], peer.intercept_, rtol=1e-4, atol=1e-6)


def test_a_centre_at_every_row_is_kernel_ridge():
    x = drawn(40, 2)
    y = jnp.sin(3 * x[:, :1])
    layer = nn.rbf.rbf_layer(40, width=0.5)
    features = layer({"centres": x, "log_width": jnp.log(0.5)}, x)
    found = nn.rbf.ridge(features, y, 1e-5)
    peer = KernelRidge(
        alpha=1e-3,  # pyright: ignore[reportArgumentType]
        kernel="rbf",
        gamma=1 / (2 * 0.25),
    ).fit(x, y)
    np.testing.assert_allclose(features @ found["w"] + found["b"], peer.predict(x), atol=0.02)


def test_repeated_features_share_their_weight():
    x = drawn(30, 2)
    twice = jnp.concatenate([x, x], axis=1)
    found = nn.rbf.ridge(twice, x[:, :1] * 2, 1e-4)
    np.testing.assert_allclose(found["w"][:2], found["w"][2:], atol=1e-3)
    np.testing.assert_allclose(twice @ found["w"] + found["b"], 2 * x[:, :1], atol=1e-3)


def test_the_closed_form_has_a_gradient():
    x, y = drawn(20, 2), drawn(20, 1, seed=1)

    def left(width):
        layer = nn.rbf.rbf_layer(4)
        hidden = {"centres": x[:4], "log_width": width}
        features = layer(hidden, x)
        head = nn.rbf.ridge(features, y, 1e-3)
        return nn.mse(features @ head["w"] + head["b"], y)

    slope = (left(0.01) - left(-0.01)) / 0.02
    np.testing.assert_allclose(jax.grad(left)(0.0), slope, rtol=0.05, atol=1e-4)


# What it refuses


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.rbf.rbf_layer(0),
            "rbf_layer: centres must be a whole number of at least 1, got 0",
        ),
        (
            lambda: nn.rbf.rbf_layer(3, width=0.0),
            "width must be a finite number greater than 0, got 0.0",
        ),
        (
            lambda: nn.rbf.rbf_layer(3, metric="all"),
            "metric is one of 'net', 'centre', 'full', got 'all'",
        ),
        (
            lambda: nn.rbf.rbf_layer(3, kernel=nn.rbf.thin_plate_kernel, normalised=True),
            "normalize another",
        ),
        (lambda: nn.rbf.ridge(jnp.ones((3, 2)), jnp.ones(3), 0.1), "targets [rows, outputs], got"),
        (lambda: nn.rbf.ridge(jnp.ones((3, 2)), jnp.ones((4, 1)), 0.1), "got float32[3,2] and"),
        (lambda: nn.rbf.ridge(jnp.ones((0, 2)), jnp.ones((0, 1)), 0.1), "no rows to learn from"),
        (
            lambda: nn.rbf.ridge(jnp.ones((3, 2)), jnp.ones((3, 1)), 0.0),
            "penalty must be a finite number greater",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


def test_x_of_another_width_is_refused():
    layer = nn.rbf.rbf_layer(3)
    params = start(layer, drawn(4, 2))
    with pytest.raises(ValueError, match="has centres of 2 features"):
        layer(params, drawn(4, 3))
    with pytest.raises(TypeError, match="rbf_layer takes floating features"):
        layer(params, jnp.ones((4, 2), int))
    with pytest.raises(ValueError, match="rbf_layer takes"):
        layer.init(jax.random.key(0), drawn(4))
