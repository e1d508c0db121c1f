import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn


def test_it_is_two_dense_layers_with_an_activation_between(key):
    net, x = nn.feed_forward(16, activation=jnp.tanh), jax.random.normal(key, (2, 3, 8))
    params, _ = net.init(key, x)
    up, down = params["up"], params["down"]
    y = jnp.tanh(x @ up["w"] + up["b"]) @ down["w"] + down["b"]
    assert np.allclose(net(params, x), y, atol=1e-6)


def test_gated_it_is_swiglu(key):
    net = nn.feed_forward(16, activation=jax.nn.silu, gated=True, bias=False)
    x = jax.random.normal(key, (2, 3, 8))
    params, _ = net.init(key, x)
    assert jax.tree.map(jnp.shape, params) == {
        "gate": {"w": (8, 16)}, "up": {"w": (8, 16)}, "down": {"w": (16, 8)}
    }  # fmt: skip
    gate, up, down = (params[name]["w"] for name in ("gate", "up", "down"))
    h = x @ gate
    y = (h / (1 + jnp.exp(-h)) * (x @ up)) @ down
    assert np.allclose(net(params, x), y, atol=1e-6)


def test_hidden_features_are_dropped_in_training_alone(key):
    x = jnp.ones((64, 8))
    net = nn.feed_forward(4, activation=jnp.ones_like, dropout=0.25, bias=False)
    params = {"up": {"w": jnp.ones((8, 4))}, "down": {"w": jnp.ones((4, 8))}}
    assert (net(params, x) == 4).all()
    y = np.asarray(net(params, x, key=key, train=True))
    kept = y[:, 0] * 0.75
    assert np.allclose(kept, np.rint(kept), atol=1e-5)
    assert 2.5 < kept.mean() < 3.5
    assert (y == y[:, :1]).all()


def test_initialisers_go_where_they_belong(key):
    ones = jax.nn.initializers.ones
    net = nn.feed_forward(4, gated=True, w_init=ones, out_init=jax.nn.initializers.constant(3.0))
    params, _ = net.init(key, jnp.ones((2, 8)))
    assert {name: float(params[name]["w"].mean()) for name in params} == {
        "gate": 1, "up": 1, "down": 3
    }  # fmt: skip


def test_what_does_not_fit_is_refused(key):
    with pytest.raises(ValueError, match="feed_forward: width must be a whole number"):
        nn.feed_forward(0)
    with pytest.raises(ValueError, match="rate is the fraction dropped"):
        nn.feed_forward(4, dropout=1.0)
    net = nn.feed_forward(4)
    params, _ = net.init(key, jnp.ones((2, 8)))
    with pytest.raises(TypeError, match="feed_forward takes floating features"):
        net(params, jnp.ones((2, 8), int))
    with pytest.raises(ValueError, match="dense has params for 8 features"):
        net(params, jnp.ones((2, 6)))
