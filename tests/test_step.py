import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests.small import counter, noise

X = jnp.asarray(np.random.default_rng(0).normal(size=(8, 4)), jnp.float32)
Y = jnp.sin(X[:, :1])
BATCH = (X, Y)


def begin(net, optimizer, loss=None, seed=0):
    loss = loss or nn.training.supervised(net, nn.mse)
    train = nn.training.start(net, optimizer, jax.random.key(seed), X)
    return nn.training.step(loss, optimizer), train


def test_a_step_of_sgd_is_params_minus_rate_times_gradient():
    net = nn.mlp(8, 1)
    step, train = begin(net, optax.sgd(0.1))
    params = jax.tree.map(jnp.copy, train.params)
    value, gradient = jax.value_and_grad(lambda p: nn.mse(net(p, X), Y))(params)
    train, metrics = step(train, BATCH)
    by_hand = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    chex.assert_trees_all_close(train.params, by_hand, rtol=1e-5, atol=1e-7)
    assert jnp.allclose(metrics["loss"], value)
    assert train.step == 1


def test_a_step_reuses_the_buffers_it_is_given():
    step, train = begin(nn.dense(1), optax.sgd(0.1))
    given = train.params["w"]
    step(train, BATCH)
    assert given.is_deleted()


def test_a_step_from_the_start_is_traced_once():
    traces, net = [], nn.mlp(8, 1)

    def loss(params, state, batch, *, key, train):
        traces.append(1)
        return nn.mse(net(params, batch[0]), batch[1]), (state, {})

    step, train = begin(net, optax.adam(1e-2), loss)
    for _ in range(3):
        train, _ = step(train, BATCH)
    assert len(traces) == 1


def test_the_step_draws_anew_each_time_and_the_same_from_one_seed():
    net = nn.serial(nn.dense(1), noise())

    def losses(seed):
        step, train = begin(net, optax.sgd(0.0), seed=seed)
        found = []
        for _ in range(3):
            train, metrics = step(train, BATCH)
            found.append(float(metrics["loss"]))
        return found

    assert len(set(losses(0))) == 3
    assert losses(0) == losses(0)


def test_state_and_metrics_come_along():
    net = nn.serial(nn.dense(3), counter())
    loss = nn.training.supervised(
        net, optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
    )
    step, train = begin(net, optax.sgd(0.1), loss)
    labels = jnp.arange(8) % 3
    for _ in range(2):
        train, metrics = step(train, (X, labels))
    assert train.state[1] == 2
    assert set(metrics) == {"loss", "accuracy"}


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adamw(optax.cosine_decay_schedule(1e-2, 100)),
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9)),
        optax.lbfgs(),
        optax.chain(optax.adam(1e-2), optax.contrib.reduce_on_plateau()),
    ],
    ids=["adamw", "clipped", "lbfgs", "plateau"],
)
def test_any_optimizer_of_optax_lowers_the_loss(optimizer):
    step, train = begin(nn.mlp(8, 1), optimizer)
    train, first = step(train, BATCH)
    for _ in range(20):
        train, last = step(train, BATCH)
    assert last["loss"] < first["loss"]


def test_rows_of_weight_zero_count_for_nothing():
    net = nn.dense(1)
    padded = tuple(jnp.concatenate([leaf, 1e3 * jnp.ones((3, leaf.shape[1]))]) for leaf in BATCH)
    weight = jnp.arange(11) < 8
    step, train = begin(net, optax.sgd(0.1))
    alone, by_itself = step(jax.tree.map(jnp.copy, train), BATCH)
    together, measured = step(train, padded, weight)
    chex.assert_trees_all_close(alone.params, together.params, rtol=1e-5)
    chex.assert_trees_all_close(by_itself, measured, rtol=1e-5)


def test_a_loss_that_takes_no_weight_makes_a_step_that_takes_none():
    def loss(params, state, batch, *, key, train):
        return jnp.sum(params["w"] ** 2), (state, {})

    step, train = begin(nn.dense(1), optax.sgd(0.1), loss)
    with pytest.raises(TypeError):
        step(train, BATCH, jnp.ones(8))


def test_targets_that_would_broadcast_are_refused():
    step, train = begin(nn.dense(1), optax.sgd(0.1))
    for weight in (None, jnp.ones(8)):
        with pytest.raises(ValueError, match=r"float32\[8,1\] against float32\[8\]"):
            step(train, (X, Y[:, 0]), weight)


def test_a_loss_of_many_numbers_is_refused():
    def loss(params, state, batch, *, key, train):
        return params["w"], (state, {})

    step, train = begin(nn.dense(1), optax.sgd(0.1), loss)
    with pytest.raises(ValueError, match=r"a loss is one number, got float32\[4,1\]"):
        step(train, BATCH)
