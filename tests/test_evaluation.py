import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests.small import noise

X = np.random.default_rng(0).normal(size=(11, 4)).astype(np.float32)
Y = np.arange(11) % 3
NET = nn.serial(nn.dense(3), noise())
LOSS = nn.training.supervised(
    NET, optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
)
TRAIN = nn.training.start(NET, optax.sgd(0.1), jax.random.key(0), X)


def by_hand():
    logits = NET(TRAIN.params, jnp.asarray(X))
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, Y).mean()
    return {"loss": float(loss), "accuracy": float(nn.accuracy(logits, Y))}


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_every_row_weighs_the_same_whatever_the_batch(batch_size):
    found = nn.training.evaluate(LOSS, TRAIN, (X, Y), batch_size=batch_size)
    assert found == pytest.approx(by_hand(), rel=1e-5)


def test_batches_weigh_by_their_rows():
    batches = [(X[:8], Y[:8]), (X[8:], Y[8:])]
    assert nn.training.evaluate(LOSS, TRAIN, batches) == pytest.approx(by_hand(), rel=1e-5)


def test_a_loss_without_weight_sees_the_last_rows_alone():
    def loss(params, state, batch, *, key, train):
        assert train is False
        assert key is None
        return jnp.mean(batch), (state, {})

    found = nn.training.evaluate(loss, TRAIN, jnp.arange(11.0), batch_size=4)
    assert found == {"loss": 5.0}


@pytest.mark.parametrize("data", [[], iter(())])
def test_no_batches_are_refused(data):
    with pytest.raises(ValueError, match="no batches to evaluate"):
        nn.training.evaluate(LOSS, TRAIN, data)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="data has no rows"):
        nn.training.evaluate(LOSS, TRAIN, (X[:0], Y[:0]), batch_size=4)
