"""The run of the example: train the networks for digits and for events, and measure them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.spiking import digits, events, figures
from examples.spiking.training import DECAY, begin

THRESHOLD = 0.94  # accuracy of the dense network
CONV_THRESHOLD = 0.97  # accuracy of the convolutional network
RATE_THRESHOLD = 0.2  # spikes per neuron and step, of both
QUICK_SVM_STRIDE = 4  # a quick run trains the support vector machine on every fourth digit


def plan(options: Options):
    x = jax.ShapeDtypeStruct((digits.BATCH, 28, 28, 1), jnp.float32)
    row = jax.ShapeDtypeStruct((digits.BATCH, 784), jnp.float32)
    labels = jax.ShapeDtypeStruct((digits.BATCH,), jnp.int32)
    key, steps = jax.random.key(options.seed), digits.dense_steps(options)
    step, train = begin(digits.dense, digits.dense_loss, digits.RATE, steps, key, row)
    return step, train, (x, labels)


class DigitResults(NamedTuple):
    """The trained networks for digits, and what they reach on the test rows.

    end: the run of the dense network.
    dense, conv: the measurements of each network.
    conv_train: the trained convolutional network.
    sparsity: (spikes per neuron and step, accuracy) of runs with penalties of various strengths.
    dense_bits, conv_bits: the accuracy with weights of each of `digits.BITS`.
    """

    end: nn.training.FitResult
    dense: dict[str, float]
    conv: dict[str, float]
    conv_train: nn.training.TrainState
    sparsity: list[tuple[float, float]]
    dense_bits: list[float]
    conv_bits: list[float]


class EventResults(NamedTuple):
    """The trained network for events, the test events, and accuracies on them."""

    train: nn.training.TrainState
    test: tuple[jax.Array, jax.Array]
    measured: dict[str, float]
    linear_accuracy: float


def run(options: Options) -> Result:
    split = data.digits()
    spiking = learn_digits(options, split)
    motion = learn_events(options)
    rate = max(spiking.dense["spike_rate"], spiking.conv["spike_rate"])
    return Result(
        checks=(
            Check("accuracy", spiking.dense["accuracy"], THRESHOLD),
            Check("conv_accuracy", spiking.conv["accuracy"], CONV_THRESHOLD),
            Check("spike_rate", rate, RATE_THRESHOLD, higher_is_better=False),
        ),
        baseline="support vector machine with a radial kernel",
        baseline_value=svm_accuracy(options, split),
        steps=digits.dense_steps(options),
        parameters=nn.count_params(spiking.end.train.params),
        metrics=measurements(spiking, motion) | digits.energy(spiking.end.train, split.test_x),
        history=spiking.end.history,
        figures=draw(spiking, motion, split),
    )


def test_rows(options: Options) -> slice:
    return slice(digits.QUICK_ROWS if options.quick else None)


def learn_digits(options: Options, split: data.Split) -> DigitResults:
    rows = test_rows(options)
    test = digits.images(split.test_x)[rows], split.test_y[rows]
    step, train, _ = plan(options)
    end = digits.learn_dense(options, step, train, split)
    conv_train = digits.learn_conv(options, split)
    dense = digits.evaluate(digits.dense_loss, end.train, test)
    conv = digits.evaluate(digits.conv_loss, conv_train, test)
    bits = digits.quantized_accuracies(digits.dense_loss, end.train, test)
    if options.quick:  # one point of sparsity, and the bits of one network
        sparsity, conv_bits = [(dense["spike_rate"], dense["accuracy"])], bits
    else:
        sparsity = digits.sparsity(options, split, test)
        conv_bits = digits.quantized_accuracies(digits.conv_loss, conv_train, test)
    return DigitResults(end, dense, conv, conv_train, sparsity, bits, conv_bits)


def learn_events(options: Options) -> EventResults:
    clip = events.log_brightness(data.city())
    training, rest = clip[: events.TRAINING_FRAMES], clip[events.TRAINING_FRAMES :]
    train = events.learn(options, training)
    count = events.QUICK_WINDOWS if options.quick else events.WINDOWS
    test = events.jitted_pan(jax.random.key(0), rest, count)
    known = events.jitted_pan(jax.random.key(1), training, count)
    return EventResults(
        train, test, events.evaluate(train, test), events.linear_accuracy(known, test)
    )


def svm_accuracy(options: Options, split: data.Split) -> float:
    some = slice(None, None, QUICK_SVM_STRIDE if options.quick else 1)
    svm, rows = SVC().fit(split.x[some], split.y[some]), test_rows(options)
    return float(svm.score(split.test_x[rows], split.test_y[rows]))


def measurements(spiking: DigitResults, motion: EventResults) -> dict[str, float]:
    return {
        "conv_parameters": float(nn.count_params(spiking.conv_train.params)),
        "dense_spike_rate": spiking.dense["spike_rate"],
        "conv_spike_rate": spiking.conv["spike_rate"],
        "accuracy_in_8_bits": spiking.dense_bits[0],
        "conv_accuracy_in_8_bits": spiking.conv_bits[0],
        "bytes_in_8_bits_share": digits.quantized_share(spiking.end.train.params),
        "way_accuracy": motion.measured["accuracy"],
        "way_accuracy_by_counts": motion.linear_accuracy,
        "way_spike_rate": motion.measured["spike_rate"],
        "event_rate": float(nn.spiking.spike_rate(motion.test[0])),
    }


def draw(spiking: DigitResults, motion: EventResults, split: data.Split) -> dict:
    chosen = spiking.dense["spike_rate"], spiking.dense["accuracy"]
    bits = {"dense": spiking.dense_bits, "convolutional": spiking.conv_bits}
    return {
        "spikes": figures.draw_digits(spiking.end.train, digits.dense, split, DECAY),
        "sparsity": figures.draw_sparsity(
            spiking.sparsity, chosen, RATE_THRESHOLD, digits.BITS, bits
        ),
        "events": figures.draw_events(motion.train, events.net, motion.test, events.DIRECTIONS),
    }
