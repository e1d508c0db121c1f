import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn
from jaxnn.layers.noise import drop_path, dropout, gaussian_dropout, gaussian_noise

LAYERS = [dropout(0.3), drop_path(0.3), gaussian_noise(0.3), gaussian_dropout(0.3)]
X = jnp.ones((8, 3, 5, 4))
MANY = jnp.ones((1000, 1000))


def drawn(net, x=X, seed=0):
    return net((), x, key=jax.random.key(seed), train=True)


@pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.99])
def test_dropout_drops_the_rate_and_scales_up_the_rest(rate):
    y = drawn(dropout(rate), MANY)
    spread = (rate * (1 - rate) / MANY.size) ** 0.5
    assert abs((y == 0).mean() - rate) < 5 * spread
    assert jnp.allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)
    assert abs(y.mean() - 1) < 5 * spread / (1 - rate)


def test_a_rate_next_to_one_keeps_next_to_nothing():
    y = drawn(dropout(1 - 1e-12), MANY)
    assert (y != 0).sum() < 10


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_the_mask_is_the_same_in_every_dtype(dtype):
    y = drawn(dropout(0.5), X.astype(dtype))
    assert y.dtype == dtype
    assert ((y == 0) == (drawn(dropout(0.5)) == 0)).all()


def test_shared_axes_are_dropped_together():
    y = drawn(dropout(0.5, shared=(1, 2)))
    assert (y == y[:, :1, :1]).all()
    assert 0 < (y[:, 0, 0] == 0).sum() < 32
    assert (drawn(dropout(0.5, shared=(-3, -2))) == y).all()


def test_a_path_is_a_whole_row():
    y = drawn(drop_path(0.5), jnp.ones((64, 3, 5)))
    assert (y == y[:, :1, :1]).all()
    assert set(y[:, 0, 0].tolist()) == {0.0, 2.0}


def test_the_gradient_is_the_mask():
    mask = drawn(dropout(0.5))
    assert (jax.grad(lambda x: drawn(dropout(0.5), x).sum())(X) == mask).all()


def test_what_is_dropped_may_be_nan():
    y = drawn(dropout(0.5), jnp.full((64,), jnp.nan))
    assert (y == 0).any()


def test_gaussian_noise_has_its_standard_deviation():
    y = drawn(gaussian_noise(0.5), MANY)
    assert abs(y.mean() - 1) < 3e-3
    assert abs(y.std() - 0.5) < 3e-3


def test_half_precision_gets_the_noise_of_float32():
    zeros = jnp.zeros(1000)
    y = drawn(gaussian_noise(1.0), zeros.astype(jnp.bfloat16))
    assert (y == drawn(gaussian_noise(1.0), zeros).astype(jnp.bfloat16)).all()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_gaussian_dropout_has_the_mean_and_variance_of_dropout(rate):
    y, z = drawn(gaussian_dropout(rate), 3 * MANY), drawn(dropout(rate), 3 * MANY)
    assert abs(y.mean() - 3) < 0.02
    assert abs(y.std() / z.std() - 1) < 0.01


@pytest.mark.parametrize("net", LAYERS)
def test_other_keys_draw_otherwise_and_evaluation_does_not_draw(net):
    assert not (drawn(net) == drawn(net, seed=1)).all()
    assert (drawn(net) == drawn(net)).all()
    assert net((), X) is X


@pytest.mark.parametrize(
    "net", [dropout(0), drop_path(0.0), gaussian_noise(0.0), gaussian_dropout(0)]
)
def test_a_rate_of_zero_draws_nothing_and_needs_no_key(net):
    assert net((), X, train=True) is X


@pytest.mark.parametrize("net", LAYERS)
def test_a_missing_key_is_refused_in_training(net):
    with pytest.raises(ValueError, match="draws at random under train=True: pass key"):
        net((), X, train=True)


@pytest.mark.parametrize("make", [dropout, drop_path, gaussian_dropout])
@pytest.mark.parametrize("rate", [1, 1.5, -0.1, float("nan")])
def test_a_rate_out_of_range_is_refused(make, rate):
    with pytest.raises(ValueError, match=r"rate is the fraction dropped, in \[0, 1\)"):
        make(rate)


@pytest.mark.parametrize("stddev", [-1, float("inf"), float("nan")])
def test_a_negative_or_infinite_stddev_is_refused(stddev):
    with pytest.raises(ValueError, match="gaussian_noise: stddev must be finite, 0 or more"):
        gaussian_noise(stddev)


def test_axes_that_x_has_not_are_refused():
    with pytest.raises(ValueError, match=r"dropout is shared over the axes \(1, 4\), got float32"):
        nn.serial(dropout(0.5, shared=(1, 4))).init(jax.random.key(0), X)
    with pytest.raises(ValueError, match=r"drop_path takes \[batch, ..., features\]"):
        drop_path(0.5).init(jax.random.key(0), jnp.ones(4))


@pytest.mark.parametrize("net", LAYERS)
def test_integers_are_refused(net):
    with pytest.raises(TypeError, match="takes floating features"):
        net.init(jax.random.key(0), jnp.ones((8, 4), jnp.int32))
