import chex
import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn
from tests.small import counter, decay

X = jnp.ones((8, 4))


def test_repeat_stacks_params_and_runs_them_in_turn(key):
    net = nn.repeat(nn.dense(4, bias=False), 3)
    params, _ = net.init(key, X)
    w = params["w"]
    assert w.shape == (3, 4, 4)
    chex.assert_trees_all_close(net(params, X), X @ w[0] @ w[1] @ w[2], rtol=1e-5)


def test_repeat_gives_each_layer_a_key_of_its_own(key):
    w = nn.repeat(nn.dense(4), 3).init(key, X)[0]["w"]
    assert not (w[0] == w[1]).any()
    alone = nn.dense(4).init(jax.random.fold_in(key, 1), X)[0]["w"]
    chex.assert_trees_all_close(w[1], alone, rtol=1e-6)


def test_repeat_compiles_no_larger_for_more_layers(key):
    def size(n):
        net = nn.repeat(nn.dense(4), n)
        params = jax.eval_shape(net.init, key, X)[0]
        return len(jax.jit(net).lower(params, X).as_text().splitlines())

    assert size(50) == size(2)


@pytest.mark.parametrize("unroll", [2, 3, 7])
def test_layers_written_out_are_the_same_net(key, unroll):
    layer = nn.serial(nn.dense(4), nn.dropout(0.5), counter())
    scanned, written = nn.repeat(layer, 3), nn.repeat(layer, 3, unroll=unroll)
    params, state = scanned.init(key, X)

    def slope(net):
        def loss(params):
            y, after = net.apply(params, state, X, key=key, train=True)
            return jnp.square(y).sum(), after

        return jax.jit(jax.value_and_grad(loss, has_aux=True))

    chex.assert_trees_all_equal(written.init(key, X), (params, state))
    chex.assert_trees_all_close(slope(written)(params), slope(scanned)(params), rtol=1e-5)


@pytest.mark.parametrize(("unroll", "loops"), [(1, True), (2, True), (3, False), (7, False)])
def test_all_layers_written_out_are_no_loop(key, unroll, loops):
    net = nn.repeat(nn.dense(4), 3, unroll=unroll)
    slope = jax.grad(lambda params: net(params, X).sum())
    text = jax.jit(slope).lower(jax.eval_shape(net.init, key, X)[0]).as_text()
    assert ("stablehlo.while" in text) == loops


def test_at_least_one_layer_is_written_out():
    with pytest.raises(ValueError, match="repeat: unroll must be a whole number of at least 1"):
        nn.repeat(nn.dense(4), 3, unroll=0)


@pytest.mark.parametrize("layer", [nn.dense(5), lambda x: x.astype(jnp.bfloat16)])
def test_repeat_refuses_an_output_unlike_its_input(key, layer):
    with pytest.raises(ValueError, match="repeat takes a layer whose output equals its input"):
        nn.repeat(layer, 2).init(key, X)


@pytest.mark.parametrize("make", [nn.repeat, nn.ensemble])
@pytest.mark.parametrize("n", [0, -1, 1.5])
def test_there_is_at_least_one(make, n):
    with pytest.raises((TypeError, ValueError), match="n must be a whole number"):
        make(nn.dense(4), n)


@pytest.mark.parametrize("make", [nn.repeat, nn.ensemble])
def test_params_of_another_number_are_refused(key, make):
    params, _ = make(nn.dense(4), 3).init(key, X)
    with pytest.raises(ValueError, match="leading axis of 2.*another net"):
        make(nn.dense(4), 2)(params, X)


def test_state_under_repeat_is_one_a_layer(key):
    net = nn.repeat(counter(), 3)
    params, state = net.init(key, X)
    _, state = net.apply(params, state, X)
    assert state.tolist() == [1, 1, 1]


def test_members_lead_the_output_of_an_ensemble(key):
    net = nn.ensemble(nn.dense(2), 5)
    params, _ = net.init(key, X)
    y = net(params, X)
    assert y.shape == (5, 8, 2)
    assert not (y[0] == y[1]).any()


def test_remat_gives_the_same_gradient_and_computes_forward_twice(key):
    net = nn.mlp(8, 2)
    again = nn.remat(net)
    params, _ = again.init(key, X)

    def loss(net):
        return lambda params: jnp.sum(net(params, X) ** 2)

    chex.assert_trees_all_close(
        jax.grad(loss(net))(params), jax.grad(loss(again))(params), rtol=1e-5
    )

    def matmuls(net):
        return str(jax.make_jaxpr(jax.grad(loss(net)))(params)).count("dot_general")

    assert "checkpoint" in str(jax.make_jaxpr(loss(again))(params)) or "remat" in str(
        jax.make_jaxpr(loss(again))(params)
    )
    assert matmuls(again) > matmuls(net)


def test_with_dtype_computes_in_it_and_casts_back(key):
    seen = []

    def spy(x):
        seen.append(x.dtype)
        return x

    net = nn.with_dtype(nn.serial(nn.dense(4), spy, counter()), jnp.bfloat16)
    params, state = net.init(key, X)
    assert params[0]["w"].dtype == jnp.float32
    seen.clear()
    y, after = net.apply(params, state, X)
    assert seen == [jnp.bfloat16]
    assert y.dtype == jnp.float32
    assert after[2].dtype == jnp.int32
    assert net.apply(params, state, X.astype(jnp.float16))[0].dtype == jnp.float16


def test_with_dtype_gives_float32_for_tokens(key):
    net = nn.with_dtype(lambda tokens: jax.nn.one_hot(tokens, 4, dtype=jnp.bfloat16), jnp.bfloat16)
    assert net((), jnp.zeros((2, 3), jnp.int32)).dtype == jnp.float32


def test_the_carry_under_with_dtype_has_that_dtype(key):
    net = nn.with_dtype(decay(), jnp.bfloat16)
    x = jnp.ones((8, 3, 4))
    params, _ = net.init(key, x)
    assert net.carry(params, x).dtype == jnp.bfloat16
