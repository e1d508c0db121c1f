from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests.small import drawn_params

NORMAL = jax.nn.initializers.normal(0.1)
model = nn.gpt2(11, 8, 2, 2, length=8)
tuned = nn.lora(model, 2, "*/qkv/w", "*/up/w")


@partial(jax.jit, static_argnums=0)
def begin(net, key, x):
    return net.init(key, x)[0]


@partial(jax.jit, static_argnums=0)
def call(net, params, x):
    return net(params, x)


@pytest.mark.parametrize("alpha", [None, 6.0])
def test_the_weight_is_the_sum(alpha, key):
    net, x = nn.lora(nn.dense(5), 2, alpha=alpha, b_init=NORMAL), jax.random.normal(key, (3, 4))
    params, _ = net.init(key, x)
    base, pair = params["base"], params["lora"]["w"]
    w = base["w"] + (1 if alpha is None else 3) * pair["a"] @ pair["b"]
    assert np.allclose(net(params, x), x @ w + base["b"], atol=1e-6)
    merged = nn.merge_lora(params, alpha=alpha)
    assert np.allclose(nn.dense(5)(merged, x), net(params, x), atol=1e-6)


def test_it_begins_as_the_net_is(key):
    x = jax.random.randint(key, (2, 6), 0, 11)
    params = begin(tuned, key, x)
    assert (call(tuned, params, x) == call(model, params["base"], x)).all()


def test_every_slice_of_depth_has_its_own(key):
    params = begin(tuned, key, jnp.ones((2, 6), int))
    assert jax.tree.map(jnp.shape, params["lora"]) == {
        "body/blocks/attention/qkv/w": {"a": (2, 8, 2), "b": (2, 2, 24)},
        "body/blocks/mlp/up/w": {"a": (2, 8, 2), "b": (2, 2, 32)},
    }
    a = params["lora"]["body/blocks/mlp/up/w"]["a"]
    assert float(jnp.abs(a[0] - a[1]).min()) > 0


def test_a_begins_with_the_variance_of_a_weight(key):
    net = nn.lora(nn.repeat(nn.serial(nn.dense(64), jax.nn.tanh), 8), 16)
    a = begin(net, key, jnp.ones((2, 64)))["lora"]["0/w"]["a"]
    assert float(a.std()) == pytest.approx(1 / 8, rel=0.05)


def test_by_default_all_matrices_are_tuned():
    params = drawn_params(nn.lora(model, 2), jnp.ones((2, 6), int))
    assert {path.split("/")[-1] for path in params["lora"]} == {"w"}
    assert {"embed/w", "positions/w", "body/blocks/attention/out/w"} <= set(params["lora"])


def test_only_what_is_beside_the_weights_learns(key):
    x = jnp.tile(jnp.arange(6), (4, 1))
    loss = nn.training.supervised(tuned, optax.softmax_cross_entropy_with_integer_labels)
    optimizer = nn.freeze(optax.adam(3e-2), "base/*")
    train = nn.training.init_train(tuned, optimizer, key, x)
    moments = nn.count_params(train.opt_state)
    assert moments < 3 * nn.count_params(train.params["lora"])
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(step, train, (x, x + 1), steps=40, batch_size=4)
    for before, after in zip(
        *(jax.tree.leaves(each.params["base"]) for each in (train, end.train)), strict=True
    ):
        assert (before == after).all()
    for before, after in zip(
        *(jax.tree.leaves(each.params["lora"]) for each in (train, end.train)), strict=True
    ):
        assert (before != after).any()
    losses = [nn.training.evaluate(loss, each, (x, x + 1), batch_size=4)["loss"]
              for each in (train, end.train)]  # fmt: skip
    assert losses[1] < losses[0] - 0.1
    merged = nn.merge_lora(end.train.params, alpha=None)
    y = call(tuned, end.train.params, x)
    assert np.allclose(call(model, merged, x), y, atol=1e-5)


def test_a_cell_is_tuned_and_generates(key):
    cell = nn.lora(nn.gpt2(11, 8, 2, 2, length=8, capacity=8), 2, "*/qkv/w", "*/up/w")
    x = jax.random.randint(key, (2, 3), 0, 11)
    params = drawn_params(tuned, x)
    assert np.allclose(call(nn.unroll(cell), params, x), call(tuned, params, x), atol=1e-5)
    drawn = nn.generate(cell, params, (), x, steps=1, temperature=0)
    assert (drawn.tokens[:, 0] == call(tuned, params, x)[:, -1].argmax(-1)).all()


def test_a_trained_net_enters(key):
    x = jax.random.randint(key, (2, 6), 0, 11)
    trained = drawn_params(model, x)
    params = begin(tuned, key, x) | {"base": trained}
    assert (call(tuned, params, x) == call(model, trained, x)).all()


def test_what_does_not_fit_is_refused(key):
    x = jnp.ones((2, 4))
    with pytest.raises(ValueError, match="lora: rank must be a whole number"):
        nn.lora(nn.dense(4), 0)
    with pytest.raises(ValueError, match="rank 5 exceeds a side of w, float32"):
        nn.lora(nn.dense(5), 5).init(key, x)
    with pytest.raises(ValueError, match="no path matches 'v'"):
        nn.lora(nn.dense(4), 2, "v").init(key, x)
    with pytest.raises(ValueError, match="lora takes matrices, got .'b': 'float32.4.'."):
        nn.lora(nn.dense(4), 2, "*").init(key, x)
    with pytest.raises(ValueError, match="lora takes matrices, got none"):
        nn.lora(nn.layer_norm(), 2).init(key, x)
    net = nn.lora(nn.dense(4), 2)
    params, _ = net.init(key, x)
    with pytest.raises(ValueError, match="lora takes params .'base', 'lora'., got .'b', 'w'."):
        net(params["base"], x)
    with pytest.raises(ValueError, match="lora takes params"):
        nn.merge_lora(params["base"], alpha=None)
    params["lora"] = {"0/w": params["lora"]["w"]}
    with pytest.raises(ValueError, match="match no weight"):
        net(params, x)
