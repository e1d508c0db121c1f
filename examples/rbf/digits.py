"""Handwritten digits."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.svm import SVC

import jaxnn as nn
from examples import Options, data
from examples.common.images import moved
from examples.rbf.task import Task, closed_form, descent, tuned

SHARPNESS = 10.0  # from the closed form's outputs, nearly 0 or 1, to logits
QUICK_ROWS = 1000
TASK = Task(
    centers=600,
    outputs=10,
    penalty=1e-3,
    overlap=1.0,
    rate=3e-3,
    batch=128,
    steps=4000,
    quick_steps=60,
)
plain_loss = nn.training.supervised(
    TASK.net(), optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
)


class Classifier(NamedTuple):
    """The tuned network.

    beliefs: [rows, 10], the probabilities of the classes of the test digits.
    accuracy, nats: on the test digits.
    closed_form_accuracy: on the test digits, before tuning.
    """

    params: Any
    beliefs: np.ndarray
    accuracy: float
    nats: float
    closed_form_accuracy: float
    history: list[dict[str, float]]


def loss(params: Any, state: Any, batch: tuple, *, key, train):
    """The cross entropy; in training, of digits moved by up to two pixels."""
    x, labels = batch
    if train:
        x = moved(jax.random.fold_in(key, 0), x)
    return plain_loss(params, state, (x, labels), key=key, train=train)


def plan(options: Options):
    step, optimizer = descent(TASK, loss, options)
    x = jax.ShapeDtypeStruct((TASK.batch, 784), jnp.float32)
    labels = jax.ShapeDtypeStruct((TASK.batch,), jnp.int32)
    train = nn.training.init_train(TASK.net(), optimizer, jax.random.key(options.seed), x)
    return step, train, (x, labels)


def training_rows(options: Options, rows: data.Split) -> tuple[np.ndarray, np.ndarray]:
    some = slice(QUICK_ROWS if options.quick else None)
    return rows.x[some], rows.y[some]


def learned(options: Options, rows: data.Split) -> Classifier:
    """Find the network in closed form, and tune it."""
    x, labels = training_rows(options, rows)
    targets = np.eye(10, dtype=np.float32)[labels]
    start = closed_form(TASK, x, targets, jax.random.key(options.seed))
    net = jax.jit(TASK.net())
    closed_form_accuracy = float(nn.accuracy(net(start, rows.test_x), jnp.asarray(rows.test_y)))
    sharp = start | {"head": jax.tree.map(lambda leaf: SHARPNESS * leaf, start["head"])}
    end = tuned(TASK, descent(TASK, loss, options), sharp, (x, labels), options, every=100)
    beliefs = np.asarray(jax.nn.softmax(net(end.train.params, rows.test_x)))
    right = beliefs[np.arange(len(rows.test_y)), rows.test_y]
    return Classifier(
        params=end.train.params,
        beliefs=beliefs,
        accuracy=float((beliefs.argmax(axis=1) == rows.test_y).mean()),
        nats=float(-np.log(right).mean()),
        closed_form_accuracy=closed_form_accuracy,
        history=end.history,
    )


def machine_accuracy(options: Options, rows: data.Split) -> float:
    """The accuracy of a support vector machine on the test digits."""
    machine = SVC().fit(*training_rows(options, rows))
    return float(machine.score(rows.test_x, rows.test_y))
