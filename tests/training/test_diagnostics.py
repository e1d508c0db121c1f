# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""What a step watches is what the formula and the schedule say."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = np.sin(X[:, :1])
NET = nn.mlp(5, 1)
LOSS = nn.training.supervised(NET, nn.mse)


def begin(optimizer, watch):
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
    return nn.training.step(LOSS, optimizer, watch=watch), train


def length(tree):
    return float(np.sqrt(sum(np.sum(np.float64(leaf) ** 2) for leaf in jax.tree.leaves(tree))))


def test_norms_are_those_of_the_gradient_the_update_and_the_new_params():
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.5))
    update, train = begin(optimizer, ["gradient_norm", "update_norm", "param_norm"])
    gradient = jax.grad(lambda params: nn.mse(NET(params, X), Y))(train.params)
    train, metrics = update(train, (X, Y))
    assert length(gradient) > 0.1
    assert np.isclose(metrics["gradient_norm"], length(gradient), rtol=1e-5)
    assert np.isclose(metrics["update_norm"], 0.5 * 0.1, rtol=1e-5)
    assert np.isclose(metrics["param_norm"], length(train.params), rtol=1e-5)


def test_the_learning_rate_is_that_which_the_step_used():
    schedule = optax.cosine_decay_schedule(0.1, 5)
    update, train = begin(optax.inject_hyperparams(optax.sgd)(schedule), ["learning_rate"])
    for t in range(7):
        before = jax.device_get(train.params)
        gradient = jax.grad(lambda params: nn.mse(NET(params, X), Y))(before)
        train, metrics = update(train, (X, Y))
        assert np.isclose(metrics["learning_rate"], schedule(t))
        by_hand = jax.tree.map(lambda p, g, t=t: p - schedule(t) * g, before, gradient)
        np.testing.assert_allclose(train.params[0]["w"], by_hand[0]["w"], rtol=1e-5, atol=1e-6)


def test_the_history_has_the_mean_of_what_is_watched():
    rate = optax.linear_schedule(0.1, 0.0, 10)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.inject_hyperparams(optax.adamw)(rate, weight_decay=0.01),
    )
    update, train = begin(optimizer, ("gradient_norm", "learning_rate", "weight_decay"))
    end = nn.training.fit(update, train, (X, Y), steps=10, batch_size=8, every=5)
    assert np.isclose(end.history[0]["learning_rate"], np.mean([rate(t) for t in range(5)]))
    assert np.isclose(end.history[1]["learning_rate"], np.mean([rate(t) for t in range(5, 10)]))
    assert np.isclose(end.history[0]["weight_decay"], 0.01)
    assert all(row["gradient_norm"] > 0 for row in end.history)


def test_each_of_several_optimizers_has_its_learning_rate_by_label():
    optimizer = optax.partition(
        {
            "first": optax.inject_hyperparams(optax.sgd)(0.1),
            "rest": optax.inject_hyperparams(optax.adam)(0.01),
        },
        lambda params: nn.label_params(params, {"0/*": "first"}, "rest"),
    )
    update, train = begin(optimizer, ["learning_rate"])
    _, metrics = update(train, (X, Y))
    rates = {title: float(value) for title, value in metrics.items() if title != "loss"}
    assert rates == pytest.approx({"learning_rate_first": 0.1, "learning_rate_rest": 0.01})


def test_rates_without_labels_have_their_path():
    optimizer = optax.chain(*[optax.inject_hyperparams(optax.sgd)(rate) for rate in (0.5, 0.25)])
    update, train = begin(optimizer, ["learning_rate"])
    _, metrics = update(train, (X, Y))
    assert metrics["learning_rate_0"] == 0.5
    assert metrics["learning_rate_1"] == 0.25


def test_a_scale_of_the_loss_is_watched():
    update, train = begin(nn.training.loss_scaled(optax.sgd(0.1), 4.0), ["loss_scale"])
    assert update(train, (X, Y))[1]["loss_scale"] == 4.0


@pytest.mark.parametrize(
    ("optimizer", "watch", "message"),
    [
        (optax.adam(1e-3), ["learning_rate"], r"which has none: for a learning rate write optax"),
        (
            optax.inject_hyperparams(optax.sgd)(0.1),
            ["rate"],
            r"'rate' is none of gradient_norm, .*, which has \['learning_rate'\]",
        ),
        (optax.sgd(0.1), ["loss_scale"], "'loss_scale' is none of"),
    ],
)
def test_what_is_not_there_is_refused(optimizer, watch, message):
    update, train = begin(optimizer, watch)
    with pytest.raises(ValueError, match=message):
        update(train, (X, Y))


def test_one_name_in_the_place_of_names_is_refused():
    with pytest.raises(TypeError, match="watch must be a sequence of which each is a string"):
        nn.training.step(LOSS, optax.sgd(0.1), watch="gradient_norm")


def test_a_metric_of_the_loss_with_a_watched_name_is_refused():
    loss = nn.training.supervised(NET, nn.mse, {"param_norm": nn.mse})
    train = nn.training.init_train(NET, optax.sgd(0.1), jax.random.key(0), X)
    update = nn.training.step(loss, optax.sgd(0.1), watch=["param_norm"])
    with pytest.raises(ValueError, match="'param_norm' is watched, and a metric of the loss"):
        update(train, (X, jnp.asarray(Y)))
