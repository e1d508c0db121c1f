"""A dense network classifies handwritten digits, trained on 4000 of them and on shifted copies.

Every step moves each digit by up to two pixels and adds a little noise. This happens on the device,
inside the loss and with the step's own key, so that the step stays one pure function. The labels
are smoothed, and the learning rate falls along a cosine to zero. All of these choices were made on
800 of the 4000 digits, held out from the other 3200; no choice was made on the 1000 test digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.common import figures
from examples.common.images import moved

THRESHOLD = 0.96  # accuracy on the 1000 test digits
NOISE = 0.3  # the standard deviation of what is added to a pixel
SMOOTHING = 0.1  # the share of a label that is spread over all classes
RATE = 1e-3  # the learning rate at the start
DECAY = 0.01  # of the weights
BATCH = 128
STEPS = 3000
QUICK_STEPS = 150


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross entropy of each row with its smoothed label."""
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), SMOOTHING)
    return optax.softmax_cross_entropy(logits, smooth)


net = nn.mlp(512, 512, 10)
plain_loss = nn.training.supervised(net, cross_entropy, {"accuracy": nn.accuracy})


def loss(params, state, batch, *, key, train):
    """The plain loss; in training, of moved and noisy copies."""
    x, labels = batch
    if train:
        x = moved(jax.random.fold_in(key, 0), x)
        x = x + NOISE * jax.random.normal(jax.random.fold_in(key, 1), x.shape, x.dtype)
    return plain_loss(params, state, (x, labels), key=key, train=train)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.cosine_decay_schedule(RATE, length(options))
    optimizer = optax.adamw(rate, weight_decay=DECAY)
    x = jax.ShapeDtypeStruct((BATCH, 784), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, (x, labels)


def run(options: Options) -> Result:
    digits = data.digits()
    step, train, _ = plan(options)
    rows, steps = (digits.x, digits.y), length(options)
    end = nn.training.fit(step, train, rows, steps=steps, batch_size=BATCH, every=50)
    test = nn.training.evaluate(loss, end.train, (digits.test_x, digits.test_y), batch_size=500)
    beliefs = jax.nn.softmax(net(end.train.params, jnp.asarray(digits.test_x)))
    drawn = figures.predictions(digits.test_x, digits.test_y, np.asarray(beliefs), "0123456789")
    machine = SVC().fit(digits.x, digits.y)
    return Result(
        checks=(Check("accuracy", test["accuracy"], THRESHOLD),),
        baseline="support vector machine with a radial kernel",
        baseline_value=float(machine.score(digits.test_x, digits.test_y)),
        steps=steps,
        parameters=nn.count_params(train.params),
        metrics={"test_loss": test["loss"], "train_loss": end.history[-1]["loss"]},
        history=end.history,
        figures={"digits": drawn},
    )
