"""Networks that spike read digits, and name the way of a camera from events alone.

Digits are shown as currents all the time. A dense and a convolutional network of leaky neurons read
them in a few steps; what answers is the membranes of a read-out. A penalty on spikes keeps neurons
quiet, and how far it can go before accuracy falls is drawn. The weights are then rounded to few
bits, and the additions that spikes set off are counted, which on a chip made for them is what
energy goes into.

Events are what a camera sends that sees nothing but change: a pixel that became lighter, or darker.
They are made of a real clip, through a window that pans over it in one of eight directions while
the clip goes on; the network names the direction. The last fifth of the clip tests it.

The dense network was chosen on 800 of the 4000 digits, held out from the other 3200. The kernel,
the penalty and the steps of the convolutional one, and all of the network of events, were fixed
before any test row was looked at, and not compared with others.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.linear_model import RidgeClassifier
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.spiking_pictures import draw_digits, draw_events, draw_sparsity

BAR, CONV_BAR, RATE_BAR = 0.94, 0.97, 0.2  # accuracies; spikes a neuron a step
SHIFT, BATCH, QUICK_ROWS = 2, 128, 200  # pixels a digit is moved by; rows a step; tested
DECAY = 0.9  # of membranes a step
PENALTY, CONV_PENALTY = 1.0, 0.3  # the weights of the penalty on spikes
TIME, STEPS, QUICK_STEPS, RATE = 10, 1500, 60, 2e-3
CONV_TIME, CONV_BATCH, CONV_STEPS, QUICK_CONV_STEPS, CONV_RATE = 8, 64, 1600, 3, 3e-3
PENALTIES, SPARSE_STEPS = (0.0, 10.0, 100.0, 300.0), 400
BITS = (8, 6, 4, 3, 2)
TAUGHT = 92  # frames of the clip to learn from
WINDOW, WAY_TIME, THRESHOLD = 32, 8, 0.15  # pixels, steps, change of the logarithm of light
WAYS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")
MOVES = np.array([(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)])
WAY_BATCH, WAY_STEPS, QUICK_WAY_STEPS, WAY_DECAY, WAY_RATE = 64, 800, 4, 0.7, 3e-3

he = jax.nn.initializers.he_normal()
neuron, readout = partial(nn.lif, DECAY), partial(nn.leaky_integrator, DECAY)
dense = nn.unroll(nn.spiking_mlp(256, 10, steps=TIME, neuron=neuron, readout=readout, w_init=he))
conv = nn.unroll(
    nn.spiking_cnn(
        *(10, 16, 32), steps=CONV_TIME, kernel_size=5, neuron=neuron, readout=readout, w_init=he
    )
)
ways = nn.unroll(
    nn.spiking_cnn(len(WAYS), 16, 32, kernel_size=5, neuron=partial(nn.lif, WAY_DECAY), w_init=he)
)


# Digits


def spiking_loss(net, penalty: float = PENALTY):
    """The cross entropy of the read-out's mean membrane, and the penalty on spikes."""

    def loss(params, state, batch, *, key, train):
        x, labels = batch
        y, state = net.apply(params, state, x, key=key, train=train)
        metrics = {
            "entropy": jnp.mean(nn.membrane_loss(y.output, labels)),
            "accuracy": nn.accuracy(y.output.mean(axis=1), labels),
            "spike_rate": nn.spike_rate(y.spikes),
        }
        return metrics["entropy"] + penalty * nn.spike_penalty(y.spikes), (state, metrics)

    return loss


def digits_loss(net, flat: bool, penalty: float = PENALTY):
    """`spiking_loss` of pictures [batch, 28, 28, 1], in training each moved by up to SHIFT."""
    plain = spiking_loss(net, penalty)

    def loss(params, state, batch, *, key, train):
        x, labels = batch
        if train:
            x = nn.augmentation.shift(jax.random.fold_in(key, 0), x, SHIFT)
        x = x.reshape(len(x), -1) if flat else x
        return plain(params, state, (x, labels), key=key, train=train)

    return loss


def begin(net, loss, rate: float, steps: int, key: jax.Array, x):
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    return nn.training.step(loss, optimizer), nn.training.start(net, optimizer, key, x)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    row = jax.ShapeDtypeStruct((BATCH, 784), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    key, loss = jax.random.key(options.seed), digits_loss(dense, True)
    return *begin(dense, loss, RATE, length(options), key, row), (x, labels)


def learn_conv(options: Options, x: np.ndarray, y: np.ndarray) -> nn.training.Train:
    steps = QUICK_CONV_STEPS if options.quick else CONV_STEPS
    key = jax.random.fold_in(jax.random.key(options.seed), 1)
    step, train = begin(
        conv, digits_loss(conv, False, CONV_PENALTY), CONV_RATE, steps, key, x[:CONV_BATCH]
    )
    end = nn.training.fit(step, train, (x, y), steps=steps, batch_size=CONV_BATCH, every=steps)
    return end.train


def sparser(options: Options, digits: data.Split, test: tuple) -> list[tuple[float, float]]:
    """(spikes a neuron a step, accuracy) of dense nets that learned under each of PENALTIES."""
    found = []
    x = digits.x.reshape(-1, 28, 28, 1)
    for i, penalty in enumerate(PENALTIES):
        loss = digits_loss(dense, True, penalty)
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
        measured = nn.training.evaluate(loss, end.train, test, batch_size=200)
        found.append((measured["spike_rate"], measured["accuracy"]))
    return found


def rounded(loss, train: nn.training.Train, test: tuple) -> list[float]:
    """The accuracy with weights of each of BITS."""
    found = []
    for bits in BITS:
        params = nn.dequantize(nn.quantize(train.params, bits))
        less = train._replace(params=params)
        found.append(nn.training.evaluate(loss, less, test, batch_size=200)["accuracy"])
    return found


def costs(train: nn.training.Train, x: np.ndarray) -> dict[str, float]:
    """Operations and energy of the dense net a digit, and of one with ReLUs in its place."""
    spikes = jax.jit(dense)(train.params, x).spikes[0]
    head = train.params["head"][0]
    operations = float(nn.synaptic_operations(nn.dense(10), head, spikes).mean())
    # The first weights meet currents, once; the read-out adds and does not multiply.
    first, last = 784 * 256, 256 * 10
    return {
        "synaptic_operations": operations,
        "microjoules": 1e6 * nn.energy(first + operations, first, kind="int8"),
        "microjoules_read_out": 1e6 * nn.energy(operations, kind="int8"),
        "microjoules_read_out_without_spikes": 1e6 * nn.energy(last, last, kind="int8"),
    }


# Events


def panned(key: jax.Array, light: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """Events [rows, WAY_TIME, WINDOW, WINDOW, 2] of windows that pan, and their ways.

    Each goes over WAY_TIME + 1 frames of `light` [frames, height, width], by one or two pixels a
    frame.
    """
    keys = (jax.random.fold_in(key, i) for i in range(4))
    way = jax.random.randint(next(keys), (rows,), 0, len(WAYS))
    moves = jnp.asarray(MOVES)[way] * jax.random.randint(next(keys), (rows, 1), 1, 3)
    far = 2 * WAY_TIME  # the most a window moves
    room = jnp.array([light.shape[1], light.shape[2]]) - WINDOW - 2 * far
    corner = far + (jax.random.uniform(next(keys), (rows, 2)) * room).astype(int)
    begins = jax.random.randint(next(keys), (rows,), 0, len(light) - WAY_TIME)

    def frame(begin, corner, move, time):
        at = (begin + time, *(corner + time * move))
        return jax.lax.dynamic_slice(light, at, (1, WINDOW, WINDOW))[0]

    every = jax.vmap(jax.vmap(frame, (None, None, None, 0)), (0, 0, 0, None))
    seen = every(begins, corner, moves, jnp.arange(WAY_TIME + 1))
    return nn.delta_code(seen[..., None], THRESHOLD)[:, 1:], way


def logarithm(clip: np.ndarray) -> jax.Array:
    return jnp.log(jnp.asarray(clip) + 0.05)


def learn_ways(options: Options, light: jax.Array) -> nn.training.Train:
    """A net that learned from the frames of `light`, through windows drawn anew at every step."""
    steps = QUICK_WAY_STEPS if options.quick else WAY_STEPS
    plain = spiking_loss(ways)

    def loss(params, state, light, *, key, train):
        batch = panned(jax.random.fold_in(key, 0), light, WAY_BATCH)
        return plain(params, state, batch, key=key, train=train)

    key = jax.random.fold_in(jax.random.key(options.seed), 10)
    x = jax.ShapeDtypeStruct((WAY_BATCH, WAY_TIME, WINDOW, WINDOW, 2), jnp.float32)
    step, train = begin(ways, loss, WAY_RATE, steps, key, x)
    # Every batch is all of the clip: the loss draws windows of it.
    end = nn.training.fit(step, train, (light for _ in range(steps)), steps=steps, every=steps)
    return end.train


def by_counts(taught: tuple, test: tuple) -> float:
    """The accuracy of a linear model of how often each pixel sent an event, whatever the order."""
    (x, y), (test_x, test_y) = (
        (np.asarray(events).sum(axis=1).reshape(len(events), -1), np.asarray(way))
        for events, way in (taught, test)
    )
    return float(RidgeClassifier(100.0).fit(x, y).score(test_x, test_y))


# Both


def run(options: Options) -> Result:
    digits = data.digits()
    x, test_x = (each.reshape(-1, 28, 28, 1) for each in (digits.x, digits.test_x))
    rows = slice(QUICK_ROWS if options.quick else None)
    test = test_x[rows], digits.test_y[rows]
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        (x, digits.y),
        steps=length(options),
        batch_size=BATCH,
        every=min(50, length(options)),
    )
    loss, conv_loss = digits_loss(dense, True), digits_loss(conv, False, CONV_PENALTY)
    found = nn.training.evaluate(loss, end.train, test, batch_size=200)
    conv_train = learn_conv(options, x, digits.y)
    conv_found = nn.training.evaluate(conv_loss, conv_train, test, batch_size=200)
    chosen = found["spike_rate"], found["accuracy"]
    sparse = [chosen] if options.quick else sparser(options, digits, test)
    bits = rounded(loss, end.train, test)
    conv_bits = bits if options.quick else rounded(conv_loss, conv_train, test)

    light = logarithm(data.city())
    way_train = learn_ways(options, light[:TAUGHT])
    many = QUICK_ROWS if options.quick else 2000
    draw = jax.jit(panned, static_argnums=2)
    events = draw(jax.random.key(0), light[TAUGHT:], many)
    way_found = nn.training.evaluate(spiking_loss(ways), way_train, events, batch_size=100)
    counted = by_counts(draw(jax.random.key(1), light[:TAUGHT], many), events)

    few = slice(None, None, 4 if options.quick else 1)
    machine = SVC().fit(digits.x[few], digits.y[few])
    rate = max(found["spike_rate"], conv_found["spike_rate"])
    saving = nn.nbytes(nn.quantize(end.train.params)) / nn.nbytes(end.train.params)
    return Result(
        checks=(
            Check("accuracy", found["accuracy"], BAR),
            Check("conv_accuracy", conv_found["accuracy"], CONV_BAR),
            Check("spike_rate", rate, RATE_BAR, higher_is_better=False),
        ),
        baseline="support vector machine with a radial kernel",
        baseline_value=float(machine.score(digits.test_x[rows], digits.test_y[rows])),
        steps=length(options),
        parameters=nn.size(train.params),
        metrics={
            "conv_parameters": float(nn.size(conv_train.params)),
            "dense_spike_rate": found["spike_rate"],
            "conv_spike_rate": conv_found["spike_rate"],
            "accuracy_in_8_bits": bits[0],
            "conv_accuracy_in_8_bits": conv_bits[0],
            "bytes_in_8_bits_share": saving,
            "way_accuracy": way_found["accuracy"],
            "way_accuracy_by_counts": counted,
            "way_spike_rate": way_found["spike_rate"],
            "event_rate": float(nn.spike_rate(events[0])),
            **costs(end.train, digits.test_x),
        },
        history=end.history,
        pictures={
            "spikes": draw_digits(end.train, dense, digits, DECAY),
            "sparsity": draw_sparsity(sparse, chosen, BITS,
                                      {"dense": bits, "convolutional": conv_bits}),
            "events": draw_events(way_train, ways, events, WAYS),
        },
    )  # fmt: skip
