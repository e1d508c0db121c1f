"""The run of the example: train the translators, and measure what a reader reads."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.common.digit_reader import train_reader
from examples.common.images import tiled
from examples.style import painting
from examples.style.network import critic_loss, critics, translator_loss, translators

THRESHOLD = 0.85  # the share of translated test digits that are read correctly
AVERAGE = 0.99  # the decay of the average of the params
RATE = 5e-4  # of both optimizers
BATCH = 16
STEPS = 1000
QUICK_STEPS = 4
optimizers = optax.adam(RATE, b1=0.5), optax.adam(RATE, b1=0.5)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    nets = translators, critics
    start = jax.jit(lambda key: nn.gan.init_train(nets, optimizers, key, (x, x), (x, x)))
    step = nn.gan.step((translator_loss, critic_loss), optimizers, decay=AVERAGE)
    return step, start(jax.random.key(options.seed)), (x, x)


def learned(options: Options, small: np.ndarray, large: np.ndarray) -> nn.training.FitResult:
    """Train on both sets, with the smaller one repeated to the size of the other."""
    step, train, _ = plan(options)
    steps = length(options)
    # `fit` shuffles the pairs as pairs: that two digits form one has no meaning.
    repeated = small[np.resize(np.arange(len(small)), len(large))]
    return nn.training.fit(
        step, train, (repeated, large), steps=steps, batch_size=BATCH, every=max(steps // 10, 2)
    )


def translated(params, small: np.ndarray, large: np.ndarray) -> dict[str, np.ndarray]:
    """Digits of both sets, translated and back, by the titles of their rows in the figure."""
    both = jax.jit(lambda pair: translators(params, pair))
    as_large, as_small = both((small, large))
    large_again, small_again = both((as_small, as_large))
    return {
        "small digit (test)": small,
        "as MNIST's": np.asarray(as_large),
        "and back": np.asarray(small_again),
        "MNIST's digit (test)": large,
        "as small digit": np.asarray(as_small),
        "and back ": np.asarray(large_again),
    }


def run(options: Options) -> Result:
    small, digits = data.small_digits(), data.digits()
    x, test_x = (rows.reshape(-1, 28, 28, 1) for rows in (digits.x, digits.test_x))
    small_test = larger(small.test_x)
    reader = train_reader(digits, options.seed, options.quick)
    end = learned(options, larger(small.x), x)
    shown = translated(end.train.average, small_test, test_x[: len(small_test)])
    accuracy = float((reader.read(shown["as MNIST's"]) == small.test_y).mean())
    before = float((reader.read(small_test) == small.test_y).mean())
    painted = painting.paint(options)
    if painted is None:
        print(painting.ABSENT, file=sys.stderr)
    drawn = {"painting": painted.figure} if painted else {}
    return Result(
        checks=(
            Check("accuracy", accuracy, THRESHOLD),
            Check("gain", accuracy - before, 0.0),
        ),
        baseline="the reader on digits as they are",
        baseline_value=before,
        steps=length(options),
        parameters=nn.count_params((end.train.generator.params, end.train.discriminator.params)),
        metrics={"reader_accuracy": reader.accuracy}
        | {"cycle_error": float(jnp.abs(shown["and back"] - small_test).mean())}
        | (painted.metrics if painted else {}),
        history=end.history,
        figures={"translation": draw(shown, before, accuracy)} | drawn,
    )


def larger(x: np.ndarray) -> np.ndarray:
    """Digits [rows, 64] as large as MNIST's: 20 x 20 in a frame of 28 x 28, by interpolation."""
    x = jax.image.resize(x.reshape(-1, 8, 8, 1), (len(x), 20, 20, 1), "linear")
    return np.pad(np.asarray(x), ((0, 0), (4, 4), (4, 4), (0, 0)))


def draw(shown: dict[str, np.ndarray], before: float, after: float) -> Figure:
    """Test digits of both sets, translated and back."""
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    figure.suptitle(
        "Handwriting translated without pairs: a reader of MNIST reads "
        f"{100 * before:.0f} % of the small digits as they are, {100 * after:.0f} % translated",
        fontsize=14,
    )
    for axes, (title, x) in zip(figure.subplots(6, 1), shown.items(), strict=True):
        axes.imshow(tiled(x[:18], 18), cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=11)
    return figure
