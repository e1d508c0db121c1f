# pyright: reportArgumentType=false
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
    train = nn.training.init_train(net, optimizer, jax.random.key(seed), X)
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
    losses = []
    for _ in range(21):
        train, metrics = step(train, BATCH)
        losses.append(float(metrics["loss"]))
    assert np.isfinite(losses).all(), losses
    assert losses[-1] < losses[0], losses


def test_targets_that_would_broadcast_are_refused():
    step, train = begin(nn.dense(1), optax.sgd(0.1))
    with pytest.raises(ValueError, match=r"float32\[8,1\] against float32\[8\]"):
        step(train, (X, Y[:, 0]))


def test_a_train_that_was_given_to_a_step_is_refused_with_the_mend():
    step, train = begin(nn.dense(1), optax.sgd(0.1))
    step(train, BATCH)
    with pytest.raises(RuntimeError, match="go on with the Train that the step returned"):
        step(train, BATCH)
    with pytest.raises(RuntimeError, match="go on with the Train that the step returned"):
        nn.training.fit(step, train, BATCH, steps=2, batch_size=4)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"x": X, "y": Y}, r"a dict of \['x', 'y'\]: give pairs"),
        ((X, Y, jnp.ones(8)), r"got 3 items.*beside the target, \(x, \(y, weight\)\)"),
        (X, r"a batch is \(x, target\), got float32\[8,4\]"),
    ],
)
def test_a_batch_that_is_no_pair_is_refused(batch, message):
    step, train = begin(nn.dense(1), optax.sgd(0.1))
    with pytest.raises(ValueError, match=message):
        step(train, batch)


def measured(loss, prediction, target):
    identity = nn.training.supervised(lambda x: x, loss)
    return identity((), (), (prediction, target), key=None, train=False)[0]


def test_a_measure_that_broadcasts_rows_against_rows_is_refused():
    logits, labels = jnp.ones((32, 1)), jnp.ones(32)
    loss = optax.sigmoid_binary_cross_entropy
    with pytest.raises(ValueError, match=r"float32\[32,32\] for predictions float32\[32,1\]"):
        measured(loss, logits, labels)
    assert jnp.allclose(measured(loss, logits[:, 0], labels), jnp.log1p(jnp.exp(-1.0)))


@pytest.mark.parametrize("shape", [(8, 2), (8, 1), (2,), (1,), (8, 8), (2, 8)])
def test_a_measure_of_another_shape_than_rows_is_refused(shape):
    with pytest.raises(ValueError, match="loss must be one number or one a row"):
        measured(lambda p, t: jnp.ones(shape), jnp.ones((8, 2)), jnp.ones((8, 2)))


def test_one_output_a_row_is_one_number_a_row():
    logits, labels = jnp.full((8, 1), 0.5), jnp.ones((8, 1))
    found = measured(optax.sigmoid_binary_cross_entropy, logits, labels)
    assert jnp.allclose(found, jnp.log1p(jnp.exp(-0.5)))


@pytest.mark.parametrize("shape", [(), (8,), (8, 5)])
def test_the_mean_of_one_number_a_row_or_a_position_is_taken(shape):
    values = jnp.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    labels = jnp.zeros((8, 5), int)
    assert measured(lambda p, t: values, jnp.ones((8, 5, 3)), labels) == values.mean()


def test_a_metric_of_the_name_of_the_loss_is_refused():
    with pytest.raises(ValueError, match="give the metric another name"):
        nn.training.supervised(nn.dense(1), nn.mse, {"loss": nn.mse})


@pytest.mark.parametrize(
    ("net", "optimizer", "message"),
    [
        (nn.dense(1), "adam", r"got 'adam': give optax.adam\(1e-3\)"),
        (nn.dense(1), optax.adam, r"give adam\(\.\.\.\)"),
        (nn.dense, optax.adam(1e-3), r"dense makes layers.*dense\(\.\.\.\)"),
        (None, optax.adam(1e-3), "None is not a layer"),
    ],
)
def test_what_is_no_net_or_optimizer_is_refused_at_the_start(net, optimizer, message):
    with pytest.raises(TypeError, match=message):
        nn.training.init_train(net, optimizer, jax.random.key(0), X)


def test_a_cell_in_place_of_a_layer_is_refused():
    with pytest.raises(TypeError, match=r"nn.unroll\(cell\)"):
        nn.training.supervised(nn.gru(4), nn.mse)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (
            lambda p: p["w"].sum(),
            TypeError,
            r"returns \(value, \(state, metrics\)\), got float32\[\]",
        ),
        (lambda p: (p["w"].sum(), ((), {"loss": 7.0})), ValueError, 'one named "loss"'),
        (
            lambda p: (p["w"].sum(), ((), {"each": jnp.ones(3)})),
            ValueError,
            r"'each' is float32\[3\]",
        ),
    ],
)
def test_a_loss_that_returns_something_else_is_refused(made, error, message):
    step, train = begin(nn.dense(1), optax.sgd(0.1), lambda p, *_, **__: made(p))
    with pytest.raises(error, match=message):
        step(train, BATCH)


def test_an_optimizer_that_is_none_is_refused_by_the_step():
    with pytest.raises(TypeError, match=r"step takes an optimizer .* give adam\(\.\.\.\)"):
        nn.training.step(nn.training.supervised(nn.dense(1), nn.mse), optax.adam)


def test_a_seed_in_the_place_of_a_key_is_refused():
    with pytest.raises(TypeError, match="key must be one of jax.random.key"):
        nn.training.init_train(nn.dense(1), optax.sgd(0.1), 0, X)


def test_fewer_targets_than_predictions_are_refused():
    with pytest.raises(ValueError, match="as many targets as predictions"):
        measured(lambda p, t: p[:, 0] - t, jnp.ones((8, 1)), jnp.ones(1))


def test_a_measure_of_an_output_of_several_parts_is_told_to_take_one():
    said = nn.mixture.Mixture(X, X, X)
    for loss in (nn.mse, optax.squared_error, nn.accuracy):
        with pytest.raises(TypeError, match=r"prediction\.output"):
            measured(loss, said, X)


def test_a_loss_of_many_numbers_is_refused():
    def loss(params, state, batch, *, key, train):
        return params["w"], (state, {})

    step, train = begin(nn.dense(1), optax.sgd(0.1), loss)
    with pytest.raises(ValueError, match=r"a loss is one number, got float32\[4,1\]"):
        step(train, BATCH)
