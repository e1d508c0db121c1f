"""A function whose params are gathered where they are used is the same function."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.training.gathering import gathering
from tests.parts import language_model

X = np.arange(8 * 16).reshape(8, 16) % 64


@pytest.mark.parametrize("remat", [True, pytest.param(False, marks=pytest.mark.long)])
def test_value_gradient_and_tangent_are_those_of_the_function(remat):
    net = language_model(64, 32, 2, 4, length=16, remat=remat)
    measured = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    params, _ = net.init(jax.random.key(0), X)
    sharding = nn.training.fully_sharded(jax.make_mesh((8,), ("data",)), smallest=64)

    def loss(params):
        return measured(params, (), (X, X), key=None, train=True)[0]

    spread = jax.device_put(params, nn.training.shardings(sharding, params))
    gathered = gathering(loss, params, sharding)
    value, gradient = jax.jit(jax.value_and_grad(gathered))(spread)
    for one, eight in zip(
        jax.tree.leaves(jax.jit(jax.value_and_grad(loss))(params)),
        jax.tree.leaves((value, gradient)),
        strict=True,
    ):
        np.testing.assert_allclose(eight, one, rtol=1e-4, atol=1e-6)
    tangents = [jax.jit(lambda p, f=f: jax.jvp(f, (p,), (p,)))(params) for f in (loss, gathered)]
    np.testing.assert_allclose(*tangents, rtol=1e-4)


def test_a_param_is_made_whole_in_the_loop_over_layers_and_not_before():
    net = nn.repeat(nn.dense(64), 3)
    params, _ = net.init(jax.random.key(0), jnp.ones((8, 64)))
    sharding = nn.training.fully_sharded(jax.make_mesh((8,), ("data",)), smallest=1024)
    loss = lambda params: net(params, jnp.ones((8, 64))).sum()  # noqa: E731
    program = jax.make_jaxpr(gathering(loss, params, sharding))(params)
    (scan,) = (eqn for eqn in program.eqns if eqn.primitive.name == "scan")
    assert "linear_call" in str(scan.params["jaxpr"])
    assert "linear_call" not in {eqn.primitive.name for eqn in program.eqns}


def test_without_fully_sharded_params_the_function_is_left_alone():
    sharding = nn.training.data_parallel(jax.make_mesh((8,), ("data",)))
    assert gathering(jnp.sum, jnp.ones(8), sharding) is jnp.sum
