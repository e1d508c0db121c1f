import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn

pytestmark = pytest.mark.ordinary

X = jnp.ones((8, 4))


def test_dense_is_a_matmul_over_the_last_axis(key):
    params, _ = nn.dense(3).init(key, X)
    x = jax.random.normal(key, (2, 5, 4))
    by_hand = jnp.einsum("btf,fw->btw", x, params["w"]) + params["b"]
    assert jnp.allclose(nn.dense(3)(params, x), by_hand, atol=1e-6)


def test_one_row_needs_no_batch_axis(key):
    params, _ = nn.dense(3).init(key, X)
    assert nn.dense(3)(params, X[0]).shape == (3,)


def test_weights_keep_the_variance_of_their_input(key):
    params, _ = nn.dense(512).init(key, jnp.ones((1, 512)))
    assert abs(params["w"].var() * 512 - 1) < 0.02
    assert (params["b"] == 0).all()


def test_initialisers_are_arguments(key):
    ones = jax.nn.initializers.ones
    params, _ = nn.dense(3, w_init=ones, b_init=ones).init(key, X)
    assert (nn.dense(3)(params, X) == 5).all()


def test_without_bias_there_is_none(key):
    params, _ = nn.dense(3, bias=False).init(key, X)
    assert list(params) == ["w"]


def test_other_features_are_refused_with_the_mend(key):
    params, _ = nn.dense(3).init(key, X)
    with pytest.raises(ValueError, match="dense has params for 4 features.*init with an example"):
        nn.dense(3)(params, jnp.ones((8, 5)))


def test_integer_features_are_refused(key):
    with pytest.raises(TypeError, match="dense takes floating features, got int32"):
        nn.dense(3).init(key, jnp.ones((8, 4), jnp.int32))


def test_a_scalar_is_refused(key):
    with pytest.raises(ValueError, match="got a scalar"):
        nn.dense(3).init(key, jnp.float32(1))


def test_params_of_another_net_are_refused(key):
    params, _ = nn.mlp(3, 2).init(key, X)
    with pytest.raises(ValueError, match="dense takes params.*another net"):
        nn.dense(3)(params, X)
