# pyright: reportArgumentType=false, reportCallIssue=false
"""Every public function says which of its arguments is of another kind than its signature says."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.arguments import checked

X = jnp.ones((4, 3))
WRONG = {
    "lstm: width must be a whole number, got 4.0": lambda: nn.lstm(4.0),
    "lstm: peepholes must be True or False, got 'no'": lambda: nn.lstm(4, peepholes="no"),
    "lstm: w_init must be a function, got None": lambda: nn.lstm(4, w_init=None),
    "layer_norm: epsilon must be a number, got '1e-5'": lambda: nn.layer_norm(epsilon="1e-5"),
    "conv: kernel_size must be a whole number or a sequence of which each is a whole number, "
    "got 'a'": lambda: nn.conv(3, "a"),
    "degrees: x must be a Graph, got float32": lambda: nn.graph.degrees(X),
    "bubble_neighbourhood: radius must be an array or a number, got [1.0]": (
        lambda: nn.som.bubble_neighbourhood(X, [1.0])
    ),
    "squash: x must be an array, got 1.0": lambda: nn.capsule.squash(1.0),
    "mse: missing a required argument: 'target'": lambda: nn.mse(X),
    "bidirectional: forward must be a Cell, got dense(3)": lambda: nn.bidirectional(nn.dense(3)),
    "with_dtype: dtype must be a dtype, got 0.5": lambda: nn.with_dtype(nn.dense(2), 0.5),
    "freeze: optimizer must be a GradientTransformation, got 'adam'": (
        lambda: nn.freeze("adam", "0/*")
    ),
    "init_train: key must be one of jax.random.key": (
        lambda: nn.training.init_train(nn.dense(2), optax.sgd(0.1), 0, X)
    ),
    "multi_task: towers must be a mapping, got": lambda: nn.mixture.multi_task(nn.dense(2), 3, [1]),
    "adaptive_lif: learn must be a sequence of which each is a string, got 'decay'": (
        lambda: nn.spiking.adaptive_lif(3, learn="decay")
    ),
}


@pytest.mark.parametrize("said", WRONG)
def test_an_argument_of_another_kind_is_named(said):
    with pytest.raises(TypeError) as caught:
        WRONG[said]()
    assert str(caught.value).startswith(said)


def test_numbers_of_numpy_and_of_jax_are_as_good(key):
    net = nn.serial(nn.dense(np.int64(2)), nn.dropout(np.float32(0.5)), nn.dense(jnp.int32(3)))
    assert net.init(key, X)[0][0]["w"].shape == (3, 2)

    def penalised(rate):
        return nn.som.asymptotic_decay(rate, jnp.ones(()), 2)

    assert jax.jit(penalised)(jnp.float32(3.0)) == 1.5


def test_an_error_from_within_names_the_function_that_was_called():
    with pytest.raises(ValueError, match="dense: width must be") as caught:
        nn.lenet(0)
    assert caught.value.__notes__ == ["in lenet"]


def test_public_functions_keep_their_names_and_can_be_pickled():
    assert (nn.mse.__name__, nn.mse.__module__) == ("mse", "jaxnn")
    assert pickle.loads(pickle.dumps(nn.mse)) is nn.mse
    assert pickle.loads(pickle.dumps(nn.training.fit)) is nn.training.fit


def test_each_of_many_arguments_is_looked_at():
    def total(*values: int, **named: float):
        return sum(values) + sum(named.values())

    total = checked(total, "tests")
    assert total(1, 2, a=0.5) == 3.5
    with pytest.raises(TypeError, match=r"total: values must be a whole number, got 0\.5"):
        total(1, 0.5)
    with pytest.raises(TypeError, match="total: named must be a number, got 'b'"):
        total(1, a="b")
