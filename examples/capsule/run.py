"""The run of the example: train both networks, and measure them on changed digits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.capsule.figures import draw_angles, draw_dimensions
from examples.capsule.network import decoder, lengths, loss, net, plain, plain_loss, reader
from examples.capsule.robustness import Robustness, changed, measured

THRESHOLD = 0.98  # accuracy on the 1000 upright test digits
RATE = 2e-3  # the learning rate at the start
BATCH = 128
STEPS = 1200
QUICK_STEPS = 20
QUICK_ROWS = 100  # test digits of a quick run
DRAWN_DIGITS = (4, 2)  # whose capsules are drawn
OFFSETS = np.linspace(-0.25, 0.25, 11)  # added to a dimension of a drawn capsule


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def optimizer(options: Options) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(RATE, length(options)))


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    adam = optimizer(options)
    train = nn.training.init_train(net, adam, jax.random.key(options.seed), (x, labels))
    return nn.training.step(loss, adam), train, (x, labels)


def train_both(options: Options, x: np.ndarray, y: np.ndarray) -> list[nn.training.FitResult]:
    """The runs of the capsules and of the plain network."""
    steps, adam = length(options), optimizer(options)
    step, train, _ = plan(options)
    start = nn.training.init_train(plain, adam, jax.random.key(options.seed), x[:BATCH])
    plain_step = nn.training.step(plain_loss, adam)
    return [
        nn.training.fit(each, begin, (x, y), steps=steps, batch_size=BATCH, every=QUICK_STEPS)
        for each, begin in ((step, train), (plain_step, start))
    ]


def reconstructions(
    params, images: np.ndarray, labels: np.ndarray, offsets: np.ndarray
) -> dict[int, np.ndarray]:
    """By digit, the images [16, offsets, 28, 28] decoded while one dimension of a capsule changes.

    The capsule is that of the first image of each of DRAWN_DIGITS.
    """
    sheets = {}
    for digit in DRAWN_DIGITS:
        index = np.flatnonzero(labels == digit)[:1]
        capsules = jax.jit(reader)(params["reader"], images[index])
        added = np.eye(16)[:, None] * offsets[None, :, None]  # [dimension, offset, dimension]
        copies = jnp.tile(capsules, (16 * len(offsets), 1, 1))
        copies = copies.at[:, digit].add(jnp.asarray(added.reshape(-1, 16), jnp.float32))
        drawn = jax.jit(decoder)(params["decoder"], (copies, jnp.full(len(copies), digit)))
        sheets[digit] = np.asarray(drawn).reshape(16, len(offsets), 28, 28)
    return sheets


def metrics(ours: Robustness, rival: Robustness) -> dict[str, float]:
    """The accuracies of the capsules and of the plain network on changed digits."""
    return {
        "points_lost_turned": ours.lost_rotated,
        "plain_points_lost_turned": rival.lost_rotated,
        "accuracy_warped": ours.warped,
        "plain_accuracy_warped": rival.warped,
        "points_lost_warped": ours.lost_warped,
        "plain_points_lost_warped": rival.lost_warped,
        "accuracy_40_degrees": float(ours.rotated[[0, -1]].mean()),
        "plain_accuracy_40_degrees": float(rival.rotated[[0, -1]].mean()),
    }


def run(options: Options) -> Result:
    digits = data.digits()
    rows = QUICK_ROWS if options.quick else len(digits.test_x)
    x, test_x = (each.reshape(-1, 28, 28, 1) for each in (digits.x, digits.test_x[:rows]))
    test_y = digits.test_y[:rows]
    end, plain_end = train_both(options, x, digits.y)
    params, plain_params = end.train.params, plain_end.train.params
    ours = measured(partial(lengths, params), test_x, test_y)
    rival = measured(partial(plain, plain_params), test_x, test_y)
    drawn = reconstructions(params, test_x, test_y, OFFSETS)
    return Result(
        checks=(
            Check("accuracy", ours.upright, THRESHOLD),
            Check("points_saved_turned", rival.lost_rotated - ours.lost_rotated, 0.0),
            Check("points_saved_warped", rival.lost_warped - ours.lost_warped, 0.0),
        ),
        baseline="the same convolutions, with dense layers of as many parameters",
        baseline_value=rival.upright,
        steps=length(options),
        parameters=nn.count_params(params),
        metrics=metrics(ours, rival)
        | {"reader_parameters": float(nn.count_params(params["reader"]))}
        | {"plain_parameters": float(nn.count_params(plain_params))}
        | {"squared_error": end.history[-1]["squared_error"]},
        history=end.history,
        figures={
            "angles": draw_angles({"capsules": ours, "plain network": rival}, changed(test_x[1])),
            "dimensions": draw_dimensions(OFFSETS, drawn),
        },
    )
