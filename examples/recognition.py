"""A small residual network recognizes handwritten digits, or clothes with `--data fashion`.

Every step rotates, shears, scales and moves each digit by a random affine map near the identity, on
the device and inside the loss; clothes are mirrored and moved by whole pixels instead. The labels
are smoothed, and the learning rate rises and falls in one cycle. A prediction for clothes is the
mean over an image and its mirror image. These choices were made on 800 of the 4000 digits and on
10000 of the 60000 clothes, held out from the others. Three choices for clothes were not compared
with others: the network, chosen for the duration of its step; the number of steps, chosen for the
time available; and the mirror images.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.common import figures
from jaxnn.nets.vision.resnet import basic_block

SMOOTHING = 0.1  # the share of a label that is spread over all classes
RATE = 6e-3  # the highest learning rate
DECAY = 0.05  # of the weights
EDGE = 0.15  # the most by which a number of an affine map differs from the identity
SHIFT = 2.0  # the most by which an affine map moves an image, in pixels
MACHINE_ROWS = 10_000  # the support vector machine's time grows with their square
QUICK_MACHINE_ROWS = 1000
QUICK_TEST_ROWS = 300


class Task(NamedTuple):
    """A data set, its network and how long to train it.

    threshold: of the accuracy.
    names: of the classes.
    """

    threshold: float
    batch: int
    steps: int
    quick_steps: int
    names: tuple[str, ...]
    net: nn.Layer


DIGITS = Task(
    threshold=0.985,
    batch=64,
    steps=2000,
    quick_steps=60,
    names=tuple("0123456789"),
    net=nn.resnet(10, (1, 1, 1), width=16, small=True),
)
CLOTHES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
)
FASHION = Task(
    threshold=0.92,
    batch=128,
    steps=6000,
    quick_steps=60,
    names=CLOTHES,
    # The first layer halves the height and width, so that twice the channels take two thirds of
    # the time of a step.
    net=nn.serial(
        nn.conv(32, 5, stride=2, bias=False),
        nn.batch_norm(),
        jax.nn.relu,
        basic_block(32),
        basic_block(64, 2, project=True),
        basic_block(128, 2, project=True),
        nn.global_avg_pool(),
        nn.dense(10),
    ),
)
TASKS = {"digits": DIGITS, "fashion": FASHION}


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=TASKS, default="digits", help="digits by default")


def chosen(options: Options) -> str:
    return getattr(options.own, "data", "digits")


def warped(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images, each changed by a random affine map near the identity."""
    spread = jnp.array([[EDGE, EDGE, SHIFT]] * 2)
    drawn = jax.random.uniform(key, (len(x), 2, 3), x.dtype, -1, 1)
    return nn.augmentation.affine(x, jnp.eye(2, 3)[None] + drawn * spread[None])


def mirrored(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images, each mirrored or not, and moved by whole pixels."""
    x = nn.augmentation.flip(jax.random.fold_in(key, 0), x)
    return nn.augmentation.shift(jax.random.fold_in(key, 1), x, 2)


AUGMENTATIONS = {"digits": warped, "fashion": mirrored}


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross entropy of each row with its smoothed label."""
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), SMOOTHING)
    return optax.softmax_cross_entropy(logits, smooth)


def losses(task: str):
    """The loss of a task on rows [batch, 784]; in training, of augmented images."""
    plain = nn.training.supervised(TASKS[task].net, cross_entropy, {"accuracy": nn.accuracy})

    def loss(params, state, batch, *, key, train):
        x, labels = batch
        x = x.reshape(-1, 28, 28, 1)
        if train:
            x = AUGMENTATIONS[task](jax.random.fold_in(key, 0), x)
        return plain(params, state, (x, labels), key=key, train=train)

    return loss


def length(options: Options) -> int:
    task = TASKS[chosen(options)]
    return task.quick_steps if options.quick else task.steps


def plan(options: Options):
    task, steps = TASKS[chosen(options)], length(options)
    rate = optax.cosine_onecycle_schedule(steps, RATE, pct_start=0.2)
    optimizer = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    x = jax.ShapeDtypeStruct((task.batch, 784), jnp.float32)
    images = jax.ShapeDtypeStruct((task.batch, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((task.batch,), jnp.int32)
    train = nn.training.init_train(task.net, optimizer, jax.random.key(options.seed), images)
    return nn.training.step(losses(chosen(options)), optimizer), train, (x, labels)


def run(options: Options) -> Result:
    title, steps = chosen(options), length(options)
    task, rows = TASKS[title], data.digits() if title == "digits" else data.fashion()
    batch, every = task.batch, min(100, steps)
    step, train, _ = plan(options)
    end = nn.training.fit(step, train, (rows.x, rows.y), steps=steps, batch_size=batch, every=every)
    tested = slice(QUICK_TEST_ROWS if options.quick else None)
    x, y = rows.test_x[tested], rows.test_y[tested]
    learned = slice(QUICK_MACHINE_ROWS if options.quick else MACHINE_ROWS)
    machine = SVC().fit(rows.x[learned], rows.y[learned])
    beliefs = believed(title, end.train, x)
    right = beliefs[np.arange(len(y)), y]
    return Result(
        checks=(Check("accuracy", float(np.mean(beliefs.argmax(axis=1) == y)), task.threshold),),
        baseline=f"support vector machine with a radial kernel, {len(rows.x[learned])} rows",
        baseline_value=float(machine.score(x, y)),
        steps=steps,
        parameters=nn.count_params(train.params),
        metrics={"test_loss": float(-np.log(right).mean()), "train_loss": end.history[-1]["loss"]},
        history=end.history,
        figures={
            "confusion": figures.predictions(x, y, beliefs, task.names),
            "augmentation": draw_augmented(rows, task.names, AUGMENTATIONS[title]),
        },
    )


def believed(task: str, train: nn.training.TrainState, x: np.ndarray) -> np.ndarray:
    """The probability of each class [rows, 10], for clothes the mean with the mirror image's."""

    @jax.jit
    def predict(x):
        x = x.reshape(-1, 28, 28, 1)
        views = [x] if task == "digits" else [x, x[:, :, ::-1]]
        logits = [TASKS[task].net.apply(train.params, train.state, view)[0] for view in views]
        return sum(jax.nn.softmax(each) for each in logits) / len(logits)

    parts = [predict(jnp.asarray(x[i : i + 500])) for i in range(0, len(x), 500)]
    return np.concatenate([np.asarray(part) for part in parts])


def draw_augmented(rows: data.Split, names: tuple[str, ...], augment: Callable) -> Figure:
    """One image of each class as it is, and as five steps would see it."""
    first = [int(np.flatnonzero(rows.y == label)[0]) for label in range(10)]
    images = jnp.asarray(rows.x[first]).reshape(-1, 28, 28, 1)
    versions = [images, *(augment(jax.random.key(i), images) for i in range(5))]
    figure = Figure(figsize=(10, 6.6), layout="constrained")
    axes = figure.subplots()
    lines = [np.concatenate(np.asarray(line)[..., 0], axis=1) for line in versions]
    axes.imshow(np.concatenate(lines), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title("Training images: each as it is, and five random changes of it")
    axes.set_xticks(28 * np.arange(10) + 13.5, names)
    axes.set_yticks(28 * np.arange(6) + 13.5, ["as it is", *(f"step {i}" for i in range(1, 6))])
    axes.tick_params(length=0)
    return figure
