# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""The average of the params follows its formula; it is what is evaluated and kept as the best."""

from functools import partial

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
SGD = optax.sgd(0.3)


def path(optimizer, steps, batch=(X, Y)):
    """The `TrainState` after `steps` steps, and the params after each."""
    update = nn.training.step(LOSS, optimizer)
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
    seen = []
    for _ in range(steps):
        train, _ = update(train, batch)
        seen.append(jax.device_get(train.params))
    return train, seen


def close(one, other, rtol=1e-5):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=1e-6), one, other)


@pytest.mark.parametrize(("decay", "start"), [(0.8, 3), (0.0, 0), (1.0, 4)])
def test_the_average_is_that_of_the_formula(decay, start):
    train, seen = path(nn.training.averaged(SGD, decay, start), 12)
    average = None
    for t, params in enumerate(seen, 1):
        params = jax.tree.map(np.float64, params)
        kept = min(decay, (t - start - 1) / (t - start)) if t > start else 0.0
        average = jax.tree.map(
            lambda old, new, kept=kept: kept * old + (1 - kept) * new, average or params, params
        )
    close(nn.training.average(train).params, average)
    if decay == 1:
        mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *seen[start:])
        close(nn.training.average(train).params, mean)


def test_the_params_train_as_without_an_average():
    with_average, _ = path(nn.training.averaged(SGD), 5)
    without, _ = path(SGD, 5)
    close(with_average.params, without.params)


def test_inside_of_multi_steps_it_counts_updates():
    parts, _ = path(optax.MultiSteps(nn.training.averaged(SGD, 0.5), 3), 12)
    whole, _ = path(nn.training.averaged(SGD, 0.5), 4)
    close(nn.training.average(parts).params, nn.training.average(whole).params)


def test_frozen_params_have_no_average_and_are_taken_as_they_are():
    train, _ = path(nn.freeze(nn.training.averaged(SGD, 0.5), "0/*"), 5)
    average = nn.training.average(train)
    jax.tree.map(np.testing.assert_array_equal, average.params[0], train.params[0])
    assert not np.allclose(average.params[-1]["w"], train.params[-1]["w"])


def test_each_of_several_optimizers_has_its_own_average():
    def both(of):
        return optax.partition(
            {"first": of(SGD), "rest": of(optax.sgd(0.1))},
            lambda params: nn.label_params(params, {"0/*": "first"}, "rest"),
        )

    apart, _ = path(both(partial(nn.training.averaged, decay=0.5)), 5)
    whole, _ = path(nn.training.averaged(both(lambda optimizer: optimizer), 0.5), 5)
    close(nn.training.average(apart).params, nn.training.average(whole).params)


def test_the_average_of_half_precision_is_kept_in_float32():
    optimizer = nn.training.averaged(optax.sgd(1.0), 1.0)
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    state = optimizer.init(params)
    for step in (1.0, 2.0, 4.0):
        updates, state = optimizer.update({"w": jnp.full(3, -step, jnp.bfloat16)}, state, params)
        params = optax.apply_updates(params, updates)
    assert state.average["w"].dtype == jnp.float32
    np.testing.assert_allclose(state.average["w"], (2.0 + 4.0 + 8.0) / 3, rtol=1e-6)
    train = nn.training.TrainState(params, (), state, jnp.zeros((), jnp.int32), jax.random.key(0))
    assert nn.training.average(train).params["w"].dtype == jnp.bfloat16


def test_the_averaged_params_are_validated_and_kept_as_the_best(tmp_path):
    optimizer = nn.training.averaged(optax.sgd(0.5), 0.9)
    update = nn.training.step(LOSS, optimizer)
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)

    def validate(train):
        return nn.training.evaluate(LOSS, train, (X, Y), batch_size=16)

    fit = partial(
        nn.training.fit, update, train, (X, Y), batch_size=4, every=10, validate=validate,
        evaluate_as=nn.training.average,
    )  # fmt: skip
    end = fit(steps=30)
    average = nn.training.average(end.train)
    assert end.history[-1]["validation_loss"] == validate(average)["loss"]
    assert end.history[-1]["validation_loss"] != validate(end.train)["loss"]
    lowest = min(row["validation_loss"] for row in end.history)
    assert validate(end.best)["loss"] == lowest
    fit(steps=20, checkpoint=tmp_path)
    resumed = fit(steps=30, checkpoint=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, resumed.best.params, end.best.params)
    same = nn.training.average(resumed.train).params
    jax.tree.map(np.testing.assert_array_equal, same, average.params)


def test_without_validation_the_best_is_the_last_average():
    optimizer = nn.training.averaged(SGD, 0.9)
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
    end = nn.training.fit(
        nn.training.step(LOSS, optimizer), train, [(X, Y)], steps=5,
        evaluate_as=nn.training.average,
    )  # fmt: skip
    average = nn.training.average(end.train)
    jax.tree.map(np.testing.assert_array_equal, end.best.params, average.params)
    assert end.best.opt_state == ()


def test_an_average_remains_when_its_train_is_donated():
    train, _ = path(nn.training.averaged(SGD), 1)
    average = nn.training.average(train)
    nn.training.step(LOSS, nn.training.averaged(SGD))(train, (X, Y))
    assert np.isfinite(nn.training.evaluate(LOSS, average, [(X, Y)])["loss"])


def test_a_train_without_an_average_is_refused():
    train, _ = path(SGD, 1)
    with pytest.raises(ValueError, match="no averaged params: train with the optimizer"):
        nn.training.average(train)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 1.5}, "averaged: decay must be a finite number"),
        ({"start": -1}, "averaged: start must be a whole number of at least 0"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nn.training.averaged(SGD, **options)


def test_an_update_without_params_is_refused():
    optimizer = nn.training.averaged(SGD)
    params = {"w": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"call update\(updates, state, params\)"):
        optimizer.update(params, optimizer.init(params))
