"""A conditional adversarial network draws handwritten digits, the one that it is asked for.

A deep convolutional generator is told a class and draws it; a projection discriminator under
spectral norm, told the class as well, learns to tell its digits from 4000 real ones. By itself such
a generator draws one digit of each class, whatever the noise: so it is asked, of two drawn for one
class, to let them differ as their noise does (mode seeking). Pictures are drawn with the average of
the generator's params over steps, from noise of less spread than it learned with, which gives up
some variety for likeness (the truncation trick).

They are judged by a reader, a network that learned to read the same 4000 real digits: whether it
reads the digit that was asked for, and how far its features lie from those of 1000 test digits (the
Frechet distance), beside samples of one Gaussian fitted to the pixels of the training digits. The
weight of the mode seeking and the spread were chosen by what the reader says of the drawn digits,
and by the distance to those that were learned from.

(Miyato and Koyama, cGANs with projection discriminator, 2018; Mao et al., Mode seeking generative
adversarial networks for diverse image synthesis, 2019; truncation: Brock, Donahue and Simonyan,
Large scale GAN training for high fidelity natural image synthesis, 2019.)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data, reader

THRESHOLD, RATIO = 0.95, 0.25  # share read as asked for; of the Gaussian's Frechet distance
LATENT, WIDTH, BATCH = 64, 32, 64
DIVERSITY = 0.03  # the weight of mode seeking
SPREAD = 0.5  # of the noise to draw with; to learn with it is 1
STEPS, QUICK_STEPS, EACH = 3000, 16, 100  # EACH: samples of a class

# The class comes as a vector as long as the noise: one-hot, it would be lost beside it.
generator = nn.gan.class_conditional(
    nn.gan.dcgan_generator(28, width=WIDTH, output=jax.nn.sigmoid), 10, width=LATENT
)
discriminator = nn.spectral_norm(
    nn.gan.projection_discriminator(nn.gan.dcgan_features(width=WIDTH), 10)
)
nets = generator, discriminator
_, of_discriminator = nn.gan.losses(nets, LATENT, nn.gan.hinge)


def of_generator(params, state, batch, *, key, train):
    """To pass for real, and to draw two digits of a class as far apart as their noise is.

    mean -D(G(z, c), c) + DIVERSITY mean |z - z'| / |G(z, c) - G(z', c)|
    """
    opponent, (x, labels) = batch
    pairs = len(labels) // 2
    labels = jnp.concatenate([labels[:pairs]] * 2)
    z = jax.random.normal(jax.random.fold_in(key, 0), (len(labels), LATENT), x.dtype)
    noise = (jax.random.fold_in(key, i) for i in (1, 2))
    fake, state = generator.apply(params, state, (z, labels), key=next(noise), train=train)
    logits, _ = discriminator.apply(
        opponent.params, opponent.state, (fake, labels), key=next(noise), train=train
    )
    apart, asked = (
        jnp.mean(jnp.abs(each[:pairs] - each[pairs:]).reshape(pairs, -1), axis=1)
        for each in (fake, z)
    )
    alike = jnp.mean(asked / (apart + 1e-3))
    return nn.gan.hinge.generator(logits) + DIVERSITY * alike, (state, {"alike": alike})


def learners(options: Options) -> tuple[optax.GradientTransformation, ...]:
    """An optimizer for each net."""
    steps = QUICK_STEPS if options.quick else STEPS
    rate = optax.cosine_decay_schedule(5e-4, steps, alpha=0.05)
    return optax.adam(rate, b1=0.5), optax.adam(rate, b1=0.5)


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    z = jax.ShapeDtypeStruct((BATCH, LATENT), jnp.float32)
    both = learners(options)
    begin = jax.jit(lambda key: nn.gan.init_train(nets, both, key, (z, labels), (x, labels)))
    step = nn.gan.step((of_generator, of_discriminator), both, decay=0.99)
    return step, begin(jax.random.key(options.seed)), (x, labels)


class Drawn(NamedTuple):
    """Pictures [rows, 28, 28, 1] in [0, 1], and how near they come to real digits."""

    x: np.ndarray
    distance: float
    precision: float
    recall: float


def run(options: Options) -> Result:
    digits = data.digits()
    digits = digits._replace(
        x=digits.x.reshape(-1, 28, 28, 1), test_x=digits.test_x.reshape(-1, 28, 28, 1)
    )
    judge = reader.train(digits, options.seed, options.quick)
    known, real = judge.features(digits.x), judge.features(digits.test_x)
    asked = np.repeat(np.arange(10, dtype=np.int32), EACH)
    z = SPREAD * jax.random.normal(jax.random.key(2000 + options.seed), (len(asked), LATENT))

    def draw(train: Any) -> np.ndarray:
        return np.asarray(nn.gan.sample(generator, train, (z, asked)))

    def validate(train: Any) -> dict[str, float]:
        x = draw(train)
        return {
            "frechet_distance": nn.gan.frechet_distance(known, judge.features(x)),
            "accuracy": float((judge.read(x) == asked).mean()),
        }

    steps = QUICK_STEPS if options.quick else STEPS
    step, train, _ = plan(options)
    end = nn.training.fit(
        step,
        train,
        (digits.x, digits.y),
        steps=steps,
        batch_size=BATCH,
        every=max(steps // 20, 8),
        validate=validate,
        monitor="frechet_distance",
    )

    def measured(x: np.ndarray) -> Drawn:
        features = judge.features(x)
        return Drawn(
            x,
            nn.gan.frechet_distance(real, features),
            *nn.gan.manifold_precision_recall(real, features),
        )

    ours, simple = measured(draw(end.train)), measured(gaussian(digits.x, len(asked), options.seed))
    right = judge.read(ours.x) == asked
    return Result(
        checks=(
            Check("accuracy", float(right.mean()), THRESHOLD),
            Check("frechet_ratio", ours.distance / simple.distance, RATIO, False),
        ),
        baseline="the reader on real test digits",
        baseline_value=judge.accuracy,
        steps=steps,
        parameters=nn.count_params(train.generator.params)
        + nn.count_params(train.discriminator.params),
        metrics={
            "frechet_distance": ours.distance,
            "gaussian_frechet_distance": simple.distance,
            "training_frechet_distance": nn.gan.frechet_distance(
                real, known[:: len(known) // 1000]
            ),
            "precision": ours.precision,
            "recall": ours.recall,
            "gaussian_precision": simple.precision,
            "gaussian_recall": simple.recall,
        },
        history=end.history,
        figures={
            "samples": picture(digits, ours, simple, right),
            "training": curves(end.history, simple.distance),
        },
    )


def gaussian(x: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Samples of one Gaussian fitted to the pixels, kept in [0, 1]."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    # Some pixels never have ink: without a little noise no root would exist.
    root = np.linalg.cholesky(np.cov(flat, rowvar=False) + 1e-6 * np.eye(flat.shape[1]))
    drawn = np.random.default_rng(seed).normal(size=(rows, len(root)))
    drawn = flat.mean(0) + drawn @ root.T
    return drawn.clip(0, 1).astype(np.float32).reshape(rows, *x.shape[1:])


def grid(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Pictures side by side, as one."""
    x = x[: rows * columns].reshape(rows, columns, 28, 28)
    return x.transpose(0, 2, 1, 3).reshape(rows * 28, columns * 28)


def picture(digits: data.Split, ours: Drawn, simple: Drawn, right: np.ndarray) -> Figure:
    """Digits drawn on demand, real ones and what the Gaussian draws; misread ones are framed."""
    figure = Figure(figsize=(14, 6.2), layout="constrained")
    figure.suptitle(
        f"Digits drawn on demand: {100 * right.mean():.1f} % are read as what was asked for",
        fontsize=15,
    )
    columns = np.arange(10)
    some = (columns[:, None] * EACH + columns).ravel()
    shown = [
        ("Drawn, a row for each digit asked for (red: misread)", ours.x[some]),
        (
            "Real test digits",
            np.concatenate([digits.test_x[digits.test_y == digit][:10] for digit in range(10)]),
        ),
        ("A Gaussian fitted to the pixels", simple.x[:100]),
    ]
    distances = (f"Frechet distance {ours.distance:.1f}", "", f"{simple.distance:.0f}")
    for axes, (title, x), below in zip(figure.subplots(1, 3), shown, distances, strict=True):
        axes.imshow(grid(x, 10, 10), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(title, fontsize=12)
        axes.set(xticks=[], yticks=[], xlabel=below)
    first = figure.axes[0]
    first.set(yticks=14 + 28 * columns, yticklabels=columns, ylabel="asked for (digit)")
    for row, column in np.argwhere(~right[some].reshape(10, 10)):
        first.add_patch(_frame(28 * column, 28 * row))
    return figure


def _frame(x: float, y: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 28, 28, fill=False, edgecolor="tab:red", linewidth=1.5)


def curves(history: list[dict[str, float]], other: float) -> Figure:
    """How the distance fell, and what the discriminator thought meanwhile."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle("Training: nearer to the real digits, while the two stay in balance")
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in history]
    left.semilogy(steps, [row["validation_frechet_distance"] for row in history], label="generator")
    left.axhline(other, color="gray", linestyle=":", label="Gaussian of the pixels")
    left.set(xlabel="step", ylabel="Frechet distance to training digits (features squared)")
    left.legend()
    for name in ("real", "fake"):
        right.plot(steps, [row[f"discriminator_{name}"] for row in history], label=name)
    right.set(xlabel="step", ylabel="mean logit of the discriminator")
    right.legend()
    return figure
