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
TRAIN = nn.training.init_train(NET, optax.sgd(0.1), jax.random.key(0), X)


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


def test_the_last_rows_are_measured_alone():
    def loss(params, state, batch, *, key, train):
        assert train is False
        assert key is None
        return jnp.mean(batch), (state, {})

    found = nn.training.evaluate(loss, TRAIN, jnp.arange(11.0), batch_size=4)
    assert found == {"loss": 5.0}


@pytest.mark.parametrize("batch_size", [2, 4, 5, 11])
def test_a_loss_of_the_whole_batch_is_the_same_for_arrays_and_batches(batch_size):
    def contrast(prediction, target):
        """Each row against all others: the cross entropy of its own place."""
        return optax.softmax_cross_entropy_with_integer_labels(
            prediction @ prediction.T, jnp.arange(len(prediction))
        ).mean()

    loss = nn.training.supervised(NET, contrast)
    batches = [(X[i : i + batch_size], Y[i : i + batch_size]) for i in range(0, 11, batch_size)]
    y = np.asarray(NET(TRAIN.params, X), np.float64)
    expected = 0.0
    for i in range(0, 11, batch_size):
        like = y[i : i + batch_size] @ y[i : i + batch_size].T
        expected += (np.log(np.exp(like).sum(axis=1)) - like.diagonal()).sum() / 11
    for found in (
        nn.training.evaluate(loss, TRAIN, (X, Y), batch_size=batch_size),
        nn.training.evaluate(loss, TRAIN, batches),
    ):
        assert found["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [4, None])
def test_a_metric_that_is_no_number_is_refused(batch_size):
    def loss(params, state, batch, *, key, train):
        return jnp.mean(batch[0]), (state, {"each": batch[0][0]})

    data = (X, Y) if batch_size else [(X, Y)]
    with pytest.raises(ValueError, match=r"the metric 'each' is float32\[4\]: return one number"):
        nn.training.evaluate(loss, TRAIN, data, batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_predict_joins_the_outputs_of_batches_in_order(batch_size):
    net = nn.parallel(whole=NET, half=lambda x: x[:, :2])
    params = {"whole": TRAIN.params, "half": ()}
    found = nn.training.predict(net, TRAIN._replace(params=params), X, batch_size=batch_size)
    np.testing.assert_allclose(found["whole"], NET(TRAIN.params, X), rtol=1e-6)
    assert (found["half"] == X[:, :2]).all()


def test_predict_takes_batches_and_state():
    net = nn.serial(nn.batch_norm(), nn.dense(1))
    train = nn.training.init_train(net, optax.sgd(0.1), jax.random.key(0), X)
    state = ({"mean": X.mean(axis=0), "variance": X.var(axis=0)}, ())
    train = train._replace(state=state)
    found = nn.training.predict(net, train, [X[:8], X[8:]])
    expected, _ = net.apply(train.params, state, X)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_outputs_that_are_not_one_a_row_are_refused():
    with pytest.raises(ValueError, match="4 rows give float32\\[3\\]"):
        nn.training.predict(lambda x: x.mean(axis=0)[:3], TRAIN, X, batch_size=4)


@pytest.mark.parametrize("data", [[], iter(())])
def test_no_batches_are_refused(data):
    with pytest.raises(ValueError, match="no batches to evaluate"):
        nn.training.evaluate(LOSS, TRAIN, data)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="data has no rows"):
        nn.training.evaluate(LOSS, TRAIN, (X[:0], Y[:0]), batch_size=4)
