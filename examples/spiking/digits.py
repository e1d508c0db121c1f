"""Digits as constant currents: a dense and a convolutional network, their sparsity and cost."""

from collections.abc import Callable

import jax
import numpy as np

import jaxnn as nn
from examples import Options, data
from examples.spiking.training import W_INIT, begin, neuron, readout, spiking_loss

SHIFT = 2  # pixels by which training images are moved at most
QUICK_ROWS = 200  # test digits of a quick run
TEST_BATCH = 200
BITS = (8, 6, 4, 3, 2)  # to which weights are rounded

# The dense network.
HIDDEN = 256  # neurons
TIME = 10  # steps for which a digit is presented
PENALTY = 1.0  # on spikes
BATCH = 128
STEPS = 1500
QUICK_STEPS = 60
RATE = 2e-3
EVERY = 50  # steps between rows of the history

# The convolutional network.
CHANNELS = (16, 32)
CONV_TIME = 8
CONV_PENALTY = 0.3
CONV_BATCH = 64
CONV_STEPS = 1600
QUICK_CONV_STEPS = 3
CONV_RATE = 3e-3

# Shorter runs of the dense network, one for each penalty, which show what sparsity costs.
PENALTIES = (0.0, 10.0, 100.0, 300.0)
SPARSE_STEPS = 400

dense = nn.unroll(
    nn.spiking.spiking_mlp(HIDDEN, 10, steps=TIME, neuron=neuron, readout=readout, w_init=W_INIT)
)
conv = nn.unroll(
    nn.spiking.spiking_cnn(
        10, *CHANNELS, steps=CONV_TIME, kernel_size=5, neuron=neuron, readout=readout, w_init=W_INIT
    )
)


def digits_loss(net: nn.Layer, *, flat: bool, penalty: float) -> Callable:
    """`spiking_loss` of images [batch, 28, 28, 1], in training each moved by up to SHIFT pixels.

    With `flat` the net takes images as rows [batch, 784].
    """
    plain = spiking_loss(net, penalty)

    def loss(params, state, batch, *, key, train):
        x, labels = batch
        if train:
            x = nn.augmentation.shift(jax.random.fold_in(key, 0), x, SHIFT)
        x = x.reshape(len(x), -1) if flat else x
        return plain(params, state, (x, labels), key=key, train=train)

    return loss


dense_loss = digits_loss(dense, flat=True, penalty=PENALTY)
conv_loss = digits_loss(conv, flat=False, penalty=CONV_PENALTY)


def images(x: np.ndarray) -> np.ndarray:
    """Digits [rows, 784] as images [rows, 28, 28, 1]."""
    return x.reshape(-1, 28, 28, 1)


def dense_steps(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def learn_dense(options: Options, step: Callable, train, digits: data.Split):
    """The run of the dense network, from the step and the start that `plan` returned."""
    steps = dense_steps(options)
    return nn.training.fit(
        step,
        train,
        (images(digits.x), digits.y),
        steps=steps,
        batch_size=BATCH,
        every=min(EVERY, steps),
    )


def learn_conv(options: Options, digits: data.Split) -> nn.training.TrainState:
    steps = QUICK_CONV_STEPS if options.quick else CONV_STEPS
    key = jax.random.fold_in(jax.random.key(options.seed), 1)
    x = images(digits.x)
    step, train = begin(conv, conv_loss, CONV_RATE, steps, key, x[:CONV_BATCH])
    end = nn.training.fit(
        step, train, (x, digits.y), steps=steps, batch_size=CONV_BATCH, every=steps
    )
    return end.train


def evaluate(loss: Callable, train: nn.training.TrainState, test: tuple) -> dict[str, float]:
    return nn.training.evaluate(loss, train, test, batch_size=TEST_BATCH)


def sparsity(options: Options, digits: data.Split, test: tuple) -> list[tuple[float, float]]:
    """(spikes per neuron and step, accuracy) of dense networks trained with each of PENALTIES."""
    points = []
    x = images(digits.x)
    for i, penalty in enumerate(PENALTIES):
        loss = digits_loss(dense, flat=True, penalty=penalty)
        key = jax.random.fold_in(jax.random.key(options.seed), 2 + i)
        step, train = begin(dense, loss, RATE, SPARSE_STEPS, key, digits.x[:BATCH])
        end = nn.training.fit(
            step,
            train,
            (x, digits.y),
            steps=SPARSE_STEPS,
            batch_size=BATCH,
            every=SPARSE_STEPS,
        )
        measured = evaluate(loss, end.train, test)
        points.append((measured["spike_rate"], measured["accuracy"]))
    return points


def quantized_accuracies(loss: Callable, train: nn.training.TrainState, test: tuple) -> list[float]:
    """The accuracy with weights of each of BITS."""
    accuracies = []
    for bits in BITS:
        params = nn.spiking.dequantize(nn.spiking.quantize(train.params, bits))
        accuracies.append(evaluate(loss, train._replace(params=params), test)["accuracy"])
    return accuracies


def quantized_share(params) -> float:
    """The bytes of params in 8 bits, as a share of their bytes now."""
    return nn.nbytes(nn.spiking.quantize(params)) / nn.nbytes(params)


def energy(train: nn.training.TrainState, x: np.ndarray) -> dict[str, float]:
    """Operations and energy per digit of the dense network, and of one with ReLUs instead."""
    spikes = jax.jit(dense)(train.params, x).spikes[0]
    head = train.params["head"][0]
    operations = float(nn.spiking.synaptic_operations(nn.dense(10), head, spikes).mean())
    # The first weights multiply currents, once per digit; the read-out adds and never multiplies.
    first, last = 784 * HIDDEN, HIDDEN * 10
    return {
        "synaptic_operations": operations,
        "microjoules": 1e6 * nn.spiking.energy(first + operations, first, kind="int8"),
        "microjoules_read_out": 1e6 * nn.spiking.energy(operations, kind="int8"),
        "microjoules_read_out_without_spikes": 1e6 * nn.spiking.energy(last, last, kind="int8"),
    }
