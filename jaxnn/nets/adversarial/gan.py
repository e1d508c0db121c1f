"""Adversarial networks: two losses, one for each of two nets, and one step that alternates.

A generator learns to make what a discriminator (or critic) takes for real, which learns to tell the
two apart (Goodfellow et al., Generative adversarial networks, 2014).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer, fold_in

# Losses of logits, whose shape is free: means over all of them


class Game(NamedTuple):
    """What the two nets minimise: discriminator(real, fake) and generator(fake), of logits."""

    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator: Callable[[jax.Array], jax.Array]


def _in_float32(discriminator: Callable, generator: Callable) -> Game:
    """A game whose means and squares are made in float32 at least."""

    def floats(logits):
        return core.at_least_float32(logits * 1.0)  # of integers, 1 - x would wrap

    return Game(
        lambda real, fake: discriminator(floats(real), floats(fake)),
        lambda fake: generator(floats(fake)),
    )


# mean softplus(-real) + mean softplus(fake), mean softplus(-fake): each the cross entropy of what
# it wishes to hear (Goodfellow et al., 2014, with the generator's loss that does not saturate).
non_saturating = _in_float32(
    lambda real, fake: jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake)),
    lambda fake: jnp.mean(jax.nn.softplus(-fake)),
)
# mean max(0, 1 - real) + mean max(0, 1 + fake), -mean fake (Lim and Ye, Geometric GAN, 2017).
hinge = _in_float32(
    lambda real, fake: jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake)),
    lambda fake: -jnp.mean(fake),
)
# (mean (real - 1)^2 + mean fake^2) / 2, mean (fake - 1)^2 / 2 (Mao et al., Least squares generative
# adversarial networks, 2017).
least_squares = _in_float32(
    lambda real, fake: (jnp.mean(jnp.square(real - 1)) + jnp.mean(jnp.square(fake))) / 2,
    lambda fake: jnp.mean(jnp.square(fake - 1)) / 2,
)
# mean fake - mean real, -mean fake: the distance of the two distributions, for a critic whose slope
# is bounded, by a gradient penalty or a spectral norm (Arjovsky, Chintala and Bottou, Wasserstein
# generative adversarial networks, 2017).
wasserstein = _in_float32(
    lambda real, fake: jnp.mean(fake) - jnp.mean(real),
    lambda fake: -jnp.mean(fake),
)


def gradient_penalty(
    critic: Callable, real: jax.Array, fake: jax.Array, key: jax.Array, *, target: float = 1.0
) -> jax.Array:
    """How far the slope of a critic between real and fake rows is from 1.

    mean over rows of (|grad critic(s real + (1 - s) fake)| - target)^2, s drawn evenly for each row

    Args:
      critic: x [rows, ...] -> logits, in which rows do not see each other: no batch norm.
      real, fake: [rows, ...].
      key: for s.
      target: the slope that costs nothing; 0 asks for a flat critic.

    Raises:
      ValueError: where real and fake differ in shape or dtype.

    (Gulrajani et al., Improved training of Wasserstein GANs, 2017, with a weight of 10.)

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.ones((4, 2))
    >>> nn.gan.gradient_penalty(lambda x: 3 * x[:, 0], x, x, jax.random.key(0))
    Array(4., dtype=float32)
    """
    core.check_same_spec(real, fake, "gradient_penalty takes real and fake rows of one shape")
    share = jax.random.uniform(key, (real.shape[0], *(1,) * (real.ndim - 1)), real.dtype)
    square = _squared_slope(critic, fake + share * (real - fake))
    # A root has no finite slope at 0, where a critic is flat.
    slope = jnp.sqrt(jnp.maximum(square, jnp.finfo(square.dtype).tiny))
    return jnp.mean(jnp.square(slope - target))


def r1(critic: Callable, real: jax.Array) -> jax.Array:
    """How steep a discriminator is at real rows: mean over rows of |grad critic(real)|^2.

    Args:
      critic: x [rows, ...] -> logits, in which rows do not see each other: no batch norm.
      real: [rows, ...].

    (Mescheder, Geiger and Nowozin, Which training methods for GANs do actually converge?, 2018,
    with a weight of 5.)

    >>> import jax, jaxnn as nn
    >>> nn.gan.r1(lambda x: x @ jax.numpy.array([3.0, 4.0]), jax.numpy.ones((4, 2)))
    Array(25., dtype=float32)
    """
    return jnp.mean(_squared_slope(critic, real))


def _squared_slope(critic: Callable, x: jax.Array) -> jax.Array:
    gradient = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    return jnp.sum(jnp.square(core.at_least_float32(gradient)), tuple(range(1, x.ndim)))


# The two losses of a generator from noise


def losses(
    nets: Sequence[Layer],
    latent: int,
    game: Game = non_saturating,
    penalty: Callable | None = None,
) -> tuple[Callable, Callable]:
    """The losses of both nets for `step`, on batches x or (x, labels).

    The generator is given z, or (z, labels) with the labels of the batch, z [rows, latent] drawn
    from N(0, 1). The discriminator is given real and fake rows in one batch, with their labels.

    Args:
      nets: (generator, discriminator).
      latent: how many numbers of noise a row.
      game: what they minimise: `non_saturating`, `hinge`, `least_squares`, `wasserstein`.
      penalty: (critic, real, fake, key) -> a number that the discriminator minimises as well, such
        as `lambda critic, real, fake, key: 5 * nn.gan.r1(critic, real)`.

    Raises:
      ValueError: for a latent less than 1, or pictures of the generator unlike those of the batch.

    >>> import jax, jaxnn as nn
    >>> nets = nn.mlp(8, 2), nn.mlp(8, 1)
    >>> of_generator, of_discriminator = nn.gan.losses(nets, 4, nn.gan.hinge)
    """
    (generator, discriminator), latent = nets, core.check_int(latent, "gan.losses: latent")

    def made(params, state, batch, key, train):
        x, *labels = batch if isinstance(batch, tuple) else (batch,)
        z = jax.random.normal(fold_in(key, 0), (x.shape[0], latent), x.dtype)
        given = (z, *labels) if labels else z
        fake, state = generator.apply(params, state, given, key=fold_in(key, 1), train=train)
        core.check_same_spec(x, fake, "gan.losses takes a generator of what is in the batch")
        return fake, state, labels

    def of_generator(params, state, batch, *, key, train):
        opponent, batch = batch
        fake, state, labels = made(params, state, batch, key, train)
        logits, _ = discriminator.apply(
            opponent.params,
            opponent.state,
            (fake, *labels) if labels else fake,
            key=fold_in(key, 2),
            train=train,
        )
        return game.generator(logits), (state, {})

    def of_discriminator(params, state, batch, *, key, train):
        opponent, batch = batch
        fake, _, labels = made(opponent.params, opponent.state, batch, key, train)
        real = batch[0] if isinstance(batch, tuple) else batch
        both = jnp.concatenate([real, fake])
        twice = [jnp.concatenate([each, each]) for each in labels]
        given = (both, *twice) if labels else both
        noise = fold_in(key, 2)
        logits, after = discriminator.apply(params, state, given, key=noise, train=train)
        logits = logits[: real.shape[0]], logits[real.shape[0] :]
        value = game.discriminator(*logits)
        metrics = {"real": jnp.mean(logits[0]), "fake": jnp.mean(logits[1])}
        if penalty is not None:

            def critic(x):
                given = (x, *labels) if labels else x
                return discriminator.apply(params, state, given, key=noise, train=train)[0]

            metrics["penalty"] = penalty(critic, real, fake, fold_in(key, 3))
            value = value + metrics["penalty"]
        return value, (after, metrics)

    return of_generator, of_discriminator
