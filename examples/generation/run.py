"""The run of the example: train both networks, draw digits, and measure them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.common.digit_reader import Reader, train_reader
from examples.generation.figures import Drawn, draw_samples, draw_training
from examples.generation.network import (
    LATENT,
    discriminator_loss,
    generator,
    generator_loss,
    nets,
)

THRESHOLD = 0.95  # the share of images that are read as the requested digit
RATIO = 0.25  # of the Frechet distance over the Gaussian's
SPREAD = 0.5  # the standard deviation of the noise for the result; it is 1 in training
RATE = 5e-4  # the learning rate at the start
AVERAGE = 0.99  # the decay of the average of the params
BATCH = 64
STEPS = 3000
QUICK_STEPS = 16
SAMPLES = 100  # drawn of each class


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def optimizers(options: Options) -> tuple[optax.GradientTransformation, ...]:
    """An optimizer for each network."""
    rate = optax.cosine_decay_schedule(RATE, length(options), alpha=0.05)
    return optax.adam(rate, b1=0.5), optax.adam(rate, b1=0.5)


def plan(options: Options):
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    z = jax.ShapeDtypeStruct((BATCH, LATENT), jnp.float32)
    both = optimizers(options)
    start = jax.jit(lambda key: nn.gan.init_train(nets, both, key, (z, labels), (x, labels)))
    step = nn.gan.step((generator_loss, discriminator_loss), both, decay=AVERAGE)
    return step, start(jax.random.key(options.seed)), (x, labels)


def requested() -> np.ndarray:
    """The classes of the images that are drawn for the result."""
    return np.repeat(np.arange(10, dtype=np.int32), SAMPLES)


def sampled(options: Options, train: Any) -> np.ndarray:
    """Images of the requested classes, always from the same noise."""
    labels = requested()
    z = SPREAD * jax.random.normal(jax.random.key(2000 + options.seed), (len(labels), LATENT))
    return np.asarray(nn.gan.sample(generator, train, (z, labels)))


def learned(options: Options, digits: data.Split, reader: Reader) -> nn.training.FitResult:
    """Train both networks, and measure on the way how near the images are to training digits."""
    known = reader.features(digits.x)

    def validate(train: Any) -> dict[str, float]:
        x = sampled(options, train)
        return {
            "frechet_distance": nn.gan.frechet_distance(known, reader.features(x)),
            "accuracy": float((reader.read(x) == requested()).mean()),
        }

    step, train, _ = plan(options)
    return nn.training.fit(
        step,
        train,
        (digits.x, digits.y),
        steps=length(options),
        batch_size=BATCH,
        every=max(length(options) // 20, 8),
        validate=validate,
        monitor="frechet_distance",
    )


def compared(x: np.ndarray, real: np.ndarray, reader: Reader) -> Drawn:
    """Images, with their distance, precision and recall to the features of real test digits."""
    features = reader.features(x)
    precision, recall = nn.gan.manifold_precision_recall(real, features)
    return Drawn(x, nn.gan.frechet_distance(real, features), precision, recall)


def metrics(ours: Drawn, simple: Drawn) -> dict[str, float]:
    """The measurements of our images and of the Gaussian's."""
    return {
        "frechet_distance": ours.distance,
        "gaussian_frechet_distance": simple.distance,
        "precision": ours.precision,
        "recall": ours.recall,
        "gaussian_precision": simple.precision,
        "gaussian_recall": simple.recall,
    }


def run(options: Options) -> Result:
    digits = data.digits()
    digits = digits._replace(
        x=digits.x.reshape(-1, 28, 28, 1), test_x=digits.test_x.reshape(-1, 28, 28, 1)
    )
    reader = train_reader(digits, options.seed, options.quick)
    end = learned(options, digits, reader)
    real, labels = reader.features(digits.test_x), requested()
    ours = compared(sampled(options, end.train), real, reader)
    simple = compared(gaussian(digits.x, len(labels), options.seed), real, reader)
    right = reader.read(ours.x) == labels
    some = reader.features(digits.x)[:: len(digits.x) // 1000]
    return Result(
        checks=(
            Check("accuracy", float(right.mean()), THRESHOLD),
            Check("frechet_ratio", ours.distance / simple.distance, RATIO, False),
        ),
        baseline="the reader on real test digits",
        baseline_value=reader.accuracy,
        steps=length(options),
        parameters=nn.count_params((end.train.generator.params, end.train.discriminator.params)),
        metrics=metrics(ours, simple)
        | {"training_frechet_distance": nn.gan.frechet_distance(real, some)},
        history=end.history,
        figures={
            "samples": draw_samples(digits, ours, simple, right),
            "training": draw_training(end.history, simple.distance),
        },
    )


def gaussian(x: np.ndarray, rows: int, seed: int) -> np.ndarray:
    """Samples of one Gaussian fitted to the pixels of x, clipped to [0, 1]."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    # Some pixels are always 0: without a little noise the covariance would have no root.
    root = np.linalg.cholesky(np.cov(flat, rowvar=False) + 1e-6 * np.eye(flat.shape[1]))
    drawn = np.random.default_rng(seed).normal(size=(rows, len(root)))
    drawn = flat.mean(0) + drawn @ root.T
    return drawn.clip(0, 1).astype(np.float32).reshape(rows, *x.shape[1:])
