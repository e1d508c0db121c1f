import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

X = jnp.ones((8, 4))


def test_an_mlp_is_its_equation(key):
    net = nn.mlp(16, 3, activation=jnp.tanh)
    params, _ = net.init(key, X)
    first, last = (jax.tree.map(np.asarray, params[i]) for i in (0, 2))
    hidden = np.tanh(np.asarray(X) @ first["w"] + first["b"])
    assert np.allclose(net(params, X), hidden @ last["w"] + last["b"], atol=1e-6)


def test_one_width_is_a_dense_layer(key):
    params, _ = nn.mlp(3).init(key, X)
    assert len(params) == 1


def test_no_width_is_refused():
    with pytest.raises(ValueError, match="mlp takes the width of each layer"):
        nn.mlp()
