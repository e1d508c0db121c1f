"""A dense network reads handwritten digits, learned from 4000 and shifted copies of them.

Every step sees each digit moved by up to two pixels and with a little noise: done on the device
inside the loss, from the step's own key, so that the step stays one pure function. The labels are
smoothed and the learning rate falls along a cosine to zero. All of this was chosen on 800 of the
4000 digits, held out from the other 3200; the 1000 test digits chose nothing.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.96  # accuracy on the 1000 test digits
SHIFT, NOISE, SMOOTHING = 2, 0.3, 0.1  # pixels; deviation of a pixel; share of the label
BATCH, STEPS, QUICK_STEPS = 128, 3000, 150


def moved(key: jax.Array, x: jax.Array) -> jax.Array:
    """Pictures [rows, 784], each moved by up to SHIFT pixels both ways; zeros come in."""
    pictures = jnp.pad(x.reshape(-1, 28, 28), ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    corners = jax.random.randint(key, (len(x), 2), 0, 2 * SHIFT + 1)
    cut = jax.vmap(lambda picture, corner: jax.lax.dynamic_slice(picture, corner, (28, 28)))
    return cut(pictures, corners).reshape(x.shape)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross entropy of each row against its label, of which SMOOTHING goes to all classes."""
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), SMOOTHING)
    return optax.softmax_cross_entropy(logits, smooth)


net = nn.mlp(512, 512, 10)
plain = nn.training.supervised(net, cross_entropy, {"accuracy": nn.accuracy})


def loss(params, state, batch, *, key, train):
    """The plain loss, in training on moved and noisy copies."""
    x, labels = batch
    if train:
        x = moved(jax.random.fold_in(key, 0), x)
        x = x + NOISE * jax.random.normal(jax.random.fold_in(key, 1), x.shape, x.dtype)
    return plain(params, state, (x, labels), key=key, train=train)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    optimizer = optax.adamw(optax.cosine_decay_schedule(1e-3, length(options)), weight_decay=0.01)
    x = jax.ShapeDtypeStruct((BATCH, 784), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, (x, labels)


def run(options: Options) -> Result:
    digits = data.digits()
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        (digits.x, digits.y),
        steps=length(options),
        batch_size=BATCH,
        every=50,
    )
    test = nn.training.evaluate(loss, end.train, (digits.test_x, digits.test_y), batch_size=500)
    machine = SVC().fit(digits.x, digits.y)
    logits = net(end.train.params, jnp.asarray(digits.test_x))
    return Result(
        checks=(Check("accuracy", test["accuracy"], THRESHOLD),),
        baseline="support vector machine with a radial kernel",
        baseline_value=float(machine.score(digits.test_x, digits.test_y)),
        steps=length(options),
        parameters=sum(leaf.size for leaf in jax.tree.leaves(train.params)),
        metrics={"test_loss": test["loss"], "train_loss": end.history[-1]["loss"]},
        history=end.history,
        figures={"digits": draw(digits, np.asarray(jax.nn.softmax(logits)))},
    )


def draw(digits: data.Split, beliefs: np.ndarray) -> Figure:
    """The confusion matrix, and the wrong answers that the network was surest of."""
    guesses, truth = beliefs.argmax(axis=1), digits.test_y
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (truth, guesses), 1)
    wrong = np.flatnonzero(guesses != truth)
    worst = wrong[np.argsort(-beliefs[wrong, guesses[wrong]])]

    figure = Figure(figsize=(13, 6.5), layout="constrained")
    figure.suptitle(
        f"{len(truth)} digits the network never saw, {len(wrong)} of them read wrong", fontsize=15
    )
    parts = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.05))[0]
    axes = parts[0].subplots()
    # Colour counts the mistakes: beside a hundred right answers they would not show.
    mistakes = np.where(np.eye(10, dtype=bool), 0, counts)
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=1.5 * max(mistakes.max(), 1))
    for row, column in np.argwhere(counts > 0):
        colour = "tab:green" if row == column else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set(
        title="Confusion matrix (digits; mistakes in red)",
        xlabel="read as (digit)",
        ylabel="truth (digit)",
    )
    axes.set(xticks=range(10), yticks=range(10))

    parts[1].suptitle("The worst mistakes: surest and wrong", fontsize=12)
    for axes, index in zip(parts[1].subplots(4, 5).flat, [*worst, *[None] * 20], strict=False):
        axes.axis("off")
        if index is not None:
            share = beliefs[index, guesses[index]]
            axes.imshow(digits.test_x[index].reshape(28, 28), cmap="gray_r")
            axes.set_title(
                f"{truth[index]} read as {guesses[index]}\n{100 * share:.0f} % sure", fontsize=9
            )
    return figure
