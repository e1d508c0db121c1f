"""A small residual network reads handwritten digits, or clothes with `--data fashion`.

Every step sees each digit turned, sheared, scaled and moved by an affine map near the identity,
drawn anew on the device inside the loss; clothes are mirrored and moved by whole pixels instead.
The labels are smoothed, and the learning rate rises and falls in one cycle. Clothes are looked at
with their mirror images. All of this was chosen on 800 of the 4000 digits and on 10000 of the 60000
clothes, held out from the others, but for three things of clothes that were not compared: the net,
taken for the time of its step, the number of steps, for the time there is, and the mirror images.
"""

import argparse
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from jaxnn.nets.vision.resnet import basic_block

SMOOTHING, RATE, DECAY = 0.1, 6e-3, 0.05  # share of the label; peak of the learning rate; weights'
EDGE, SHIFT = 0.15, 2.0  # the most by which an affine map differs from the identity, and pixels
SUPPORT = 10_000  # rows that the support vector machine learns from: its time grows as their square


class Task(NamedTuple):
    """A data set, and how long to learn it."""

    bar: float
    batch: int
    steps: int
    quick_steps: int
    names: tuple[str, ...]
    net: nn.Layer


CLOTHES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)
TASKS = {
    "digits": Task(
        *(0.985, 64, 2000, 60, tuple("0123456789")), nn.resnet(10, (1, 1, 1), width=16, small=True)
    ),
    # Half as high and wide from the start: twice the channels in two thirds of a step's time.
    "fashion": Task(
        *(0.92, 128, 6000, 60, CLOTHES),
        nn.serial(
            *(nn.conv(32, 5, stride=2, bias=False), nn.batch_norm(), jax.nn.relu),
            *(basic_block(32), basic_block(64, 2, project=True), basic_block(128, 2, project=True)),
            *(nn.global_avg_pool(), nn.dense(10)),
        ),
    ),
}


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", choices=TASKS, default="digits", help="digits by default")


def chosen(options: Options) -> str:
    return getattr(options.own, "data", "digits")


def warped(key: jax.Array, x: jax.Array) -> jax.Array:
    """Pictures turned, sheared, scaled and moved: each by an affine map near the identity."""
    spread = jnp.array([[EDGE, EDGE, SHIFT]] * 2)
    drawn = jax.random.uniform(key, (len(x), 2, 3), x.dtype, -1, 1)
    return nn.augmentation.affine(x, jnp.eye(2, 3)[None] + drawn * spread[None])


def mirrored(key: jax.Array, x: jax.Array) -> jax.Array:
    """Pictures mirrored, and moved by whole pixels."""
    x = nn.augmentation.flip(jax.random.fold_in(key, 0), x)
    return nn.augmentation.shift(jax.random.fold_in(key, 1), x, 2)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross entropy of each row against its label, of which SMOOTHING goes to all classes."""
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), SMOOTHING)
    return optax.softmax_cross_entropy(logits, smooth)


def losses(task: str):
    """The loss on rows [batch, 784] of a task: in training, of pictures that were changed."""
    change = warped if task == "digits" else mirrored
    plain = nn.training.supervised(TASKS[task].net, cross_entropy, {"accuracy": nn.accuracy})

    def loss(params, state, batch, *, key, train):
        x, labels = batch
        x = x.reshape(-1, 28, 28, 1)
        if train:
            x = change(jax.random.fold_in(key, 0), x)
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
    pictures = jax.ShapeDtypeStruct((task.batch, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((task.batch,), jnp.int32)
    train = nn.training.init_train(task.net, optimizer, jax.random.key(options.seed), pictures)
    return nn.training.step(losses(chosen(options)), optimizer), train, (x, labels)


def run(options: Options) -> Result:
    title = chosen(options)
    task, rows = TASKS[title], data.digits() if title == "digits" else data.fashion()
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        (rows.x, rows.y),
        steps=length(options),
        batch_size=task.batch,
        every=min(100, length(options)),
    )
    # A quick run has few steps for the statistics of the norms, and little time for all rows.
    few = slice(300 if options.quick else None)
    test_x, test_y = rows.test_x[few], rows.test_y[few]
    support = slice(1000 if options.quick else SUPPORT)
    machine = SVC().fit(rows.x[support], rows.y[support])
    beliefs = believed(title, end.train, test_x)
    right = beliefs[np.arange(len(test_y)), test_y]
    return Result(
        checks=(Check("accuracy", float(np.mean(beliefs.argmax(axis=1) == test_y)), task.bar),),
        baseline=f"support vector machine with a radial kernel, {len(rows.x[support])} rows",
        baseline_value=float(machine.score(test_x, test_y)),
        steps=length(options),
        parameters=nn.count_params(train.params),
        metrics={"test_loss": float(-np.log(right).mean()), "train_loss": end.history[-1]["loss"]},
        history=end.history,
        pictures={
            "confusion": draw(test_x, test_y, beliefs, task.names),
            "augmentation": draw_changes(
                rows, task.names, warped if title == "digits" else mirrored
            ),
        },
    )


def believed(task: str, train: nn.training.TrainState, x: np.ndarray) -> np.ndarray:
    """The belief in each class, [rows, 10]; of clothes, and of their mirror images as well."""

    def look(x):
        x = x.reshape(-1, 28, 28, 1)
        views = [x] if task == "digits" else [x, x[:, :, ::-1]]
        logits = [TASKS[task].net.apply(train.params, train.state, view)[0] for view in views]
        return sum(jax.nn.softmax(each) for each in logits) / len(logits)

    look = jax.jit(look)
    parts = [look(jnp.asarray(x[i : i + 500])) for i in range(0, len(x), 500)]
    return np.concatenate([np.asarray(part) for part in parts])


# The pictures


def draw(x: np.ndarray, truth: np.ndarray, beliefs: np.ndarray, names: tuple[str, ...]) -> Figure:
    """The confusion matrix, and the wrong answers that the network was surest of."""
    guesses = beliefs.argmax(axis=1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (truth, guesses), 1)
    wrong = np.flatnonzero(guesses != truth)
    worst = wrong[np.argsort(-beliefs[wrong, guesses[wrong]])]

    figure = Figure(figsize=(13, 6.8), layout="constrained")
    figure.suptitle(
        f"{len(truth)} pictures the network never saw, {len(wrong)} of them named wrong",
        fontsize=15,
    )
    parts = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.05))[0]
    axes = parts[0].subplots()
    # Colour counts the mistakes: beside many right answers they would not show.
    mistakes = np.where(np.eye(10, dtype=bool), 0, counts)
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=1.5 * max(mistakes.max(), 1))
    for row, column in np.argwhere(counts > 0):
        colour = "tab:green" if row == column else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set(title="Confusion matrix (pictures; mistakes in red)", xlabel="named", ylabel="truth")
    axes.set_xticks(range(10), names, rotation=0 if len(names[0]) == 1 else 45)
    axes.set_yticks(range(10), names)

    parts[1].suptitle("The worst mistakes: surest and wrong", fontsize=12)
    for axes, index in zip(parts[1].subplots(4, 5).flat, [*worst, *[None] * 20], strict=False):
        axes.axis("off")
        if index is not None:
            share = beliefs[index, guesses[index]]
            axes.imshow(x[index].reshape(28, 28), cmap="gray_r")
            axes.set_title(
                f"{names[truth[index]]} named\n{names[guesses[index]]}, {100 * share:.0f} % sure",
                fontsize=9,
            )
    return figure


def draw_changes(rows: data.Split, names: tuple[str, ...], change) -> Figure:
    """One picture of each class as it is, and as five steps would see it."""
    first = [int(np.flatnonzero(rows.y == label)[0]) for label in range(10)]
    pictures = jnp.asarray(rows.x[first]).reshape(-1, 28, 28, 1)
    seen = [pictures, *(change(jax.random.key(i), pictures) for i in range(5))]
    figure = Figure(figsize=(10, 6.6), layout="constrained")
    axes = figure.subplots()
    rows_ = [np.concatenate(np.asarray(row)[..., 0], axis=1) for row in seen]
    axes.imshow(np.concatenate(rows_), cmap="gray_r", vmin=0, vmax=1)
    axes.set_title("What the network learns from: each picture, and five random changes of it")
    axes.set_xticks(28 * np.arange(10) + 13.5, names)
    axes.set_yticks(28 * np.arange(6) + 13.5, ["as it is", *(f"step {i}" for i in range(1, 6))])
    axes.tick_params(length=0)
    return figure
