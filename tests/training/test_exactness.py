# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""Errors against float64 are those of the dtype, by the formula."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

X = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
Y = np.sin(X[:, :1])
NET = nn.mlp(5, 1)
EXACT = nn.training.supervised(NET, nn.mse)
TRAIN = nn.training.init_train(NET, optax.sgd(0.1), jax.random.key(0), X)


def errors(net, loss=nn.mse, exact=EXACT):
    return nn.training.gradient_errors(nn.training.supervised(net, loss), TRAIN, (X, Y), exact)


def test_the_error_is_the_distance_over_the_length():
    net = nn.dense(1)
    train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), X)
    half = nn.training.supervised(nn.with_dtype(net, jnp.bfloat16), nn.mse)
    exact = nn.training.supervised(net, nn.mse)
    found = nn.training.gradient_errors(half, train, (X, Y), exact)
    gradient = jax.grad(lambda p: half(p, (), (X, Y), key=None, train=False)[0])(train.params)
    w, b = (np.float64(train.params[name]) for name in ("w", "b"))
    right = 2 * X.astype(np.float64).T @ (X @ w + b - Y) / len(X)
    off = np.linalg.norm(np.float64(gradient["w"]) - right) / np.linalg.norm(right)
    assert np.isclose(found["w"], off, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [(jnp.float32, 1e-9, 1e-5), (jnp.bfloat16, 1e-4, 5e-2), (jnp.float16, 1e-5, 5e-3)],
)
def test_each_dtype_has_errors_of_its_size(dtype, least, most):
    found = errors(nn.with_dtype(NET, dtype))
    assert set(found) == {"loss", "0/b", "0/w", "2/b", "2/w"}
    assert least < max(found.values()) < most


def test_a_gradient_that_is_taken_for_zero_has_an_error_of_one():
    def small(prediction, target):
        return 1e-9 * nn.mse(prediction, target)

    found = errors(nn.with_dtype(NET, jnp.float16), small, nn.training.supervised(NET, small))
    assert found["0/w"] == 1
    assert found["loss"] < 1e-2


def test_the_default_is_the_same_loss_in_float64():
    found = nn.training.gradient_errors(EXACT, TRAIN, (X, Y))
    assert 0 < max(found.values()) < 1e-5
    assert not jax.config.jax_enable_x64


def test_gradients_that_are_zero_in_both_have_no_error():
    loss = nn.training.supervised(NET, lambda prediction, target: 0 * nn.mse(prediction, target))
    assert set(nn.training.gradient_errors(loss, TRAIN, (X, Y)).values()) == {0.0}


def test_training_is_measured_where_it_is_asked_for():
    net = nn.serial(nn.dense(5), nn.batch_norm(), nn.dense(1))
    train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), X)
    loss = nn.training.supervised(net, nn.mse)
    found = nn.training.gradient_errors(loss, train, (X, Y), training=True)
    assert 0 < found["loss"] < 1e-5
