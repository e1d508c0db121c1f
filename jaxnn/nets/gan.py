"""Adversarial networks: two losses, one for each of two nets, and one step that alternates.

A generator learns to make what a discriminator (or critic) takes for real, which learns to tell the
two apart (Goodfellow et al., Generative adversarial networks, 2014).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn import core, training
from jaxnn.core import Layer, Tree, branch, describe
from jaxnn.training.step import Train

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
    core.same(real, fake, "gradient_penalty takes real and fake rows of one shape")
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
    (generator, discriminator), latent = nets, core.count(latent, "gan.losses: latent")

    def made(params, state, batch, key, train):
        x, *labels = batch if isinstance(batch, tuple) else (batch,)
        z = jax.random.normal(branch(key, 0), (x.shape[0], latent), x.dtype)
        given = (z, *labels) if labels else z
        fake, state = generator.apply(params, state, given, key=branch(key, 1), train=train)
        core.same(x, fake, "gan.losses takes a generator of what is in the batch")
        return fake, state, labels

    def of_generator(params, state, batch, *, key, train):
        opponent, batch = batch
        fake, state, labels = made(params, state, batch, key, train)
        logits, _ = discriminator.apply(
            opponent.params,
            opponent.state,
            (fake, *labels) if labels else fake,
            key=branch(key, 2),
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
        noise = branch(key, 2)
        logits, after = discriminator.apply(params, state, given, key=noise, train=train)
        logits = logits[: real.shape[0]], logits[real.shape[0] :]
        value = game.discriminator(*logits)
        metrics = {"real": jnp.mean(logits[0]), "fake": jnp.mean(logits[1])}
        if penalty is not None:

            def critic(x):
                given = (x, *labels) if labels else x
                return discriminator.apply(params, state, given, key=noise, train=train)[0]

            metrics["penalty"] = penalty(critic, real, fake, branch(key, 3))
            value = value + metrics["penalty"]
        return value, (after, metrics)

    return of_generator, of_discriminator


# The alternating step


class Adversaries(NamedTuple):
    """All that adversarial training needs to go on; `training.fit` takes it as it takes a `Train`.

    average: the generator's params averaged over steps, from which to draw.
    """

    generator: Train
    discriminator: Train
    average: Tree

    @property
    def step(self) -> jax.Array:
        """Steps taken, int32 []: those of the generator."""
        return self.generator.step

    @property
    def key(self) -> jax.Array:
        """The root of the run's random order."""
        return self.generator.key


def start(
    nets: Sequence[Layer],
    optimizers: Sequence[optax.GradientTransformation],
    key: jax.Array,
    z: Tree,
    x: Tree,
) -> Adversaries:
    """The adversaries before the first step, from an example input of each net.

    Args:
      nets: (generator, discriminator).
      optimizers: any two of optax's, in that order.
      key: `jax.random.key(seed)`.
      z: what the generator takes: noise, or (noise, labels).
      x: what the discriminator takes: rows, or (rows, labels).

    >>> import jax, jaxnn as nn, optax
    >>> nets, adam = (nn.mlp(8, 2), nn.mlp(8, 1)), optax.adam(1e-3)
    >>> z, x = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 2))
    >>> int(nn.gan.start(nets, (adam, adam), jax.random.key(0), z, x).step)
    0
    """
    one = training.start(nets[0], optimizers[0], branch(key, 0), z)
    other = training.start(nets[1], optimizers[1], branch(key, 1), x)
    return Adversaries(one, other, jax.tree.map(jnp.copy, one.params))


def step(
    losses: Sequence[Callable],
    optimizers: Sequence[optax.GradientTransformation],
    *,
    critic_steps: int = 1,
    decay: float = 0.999,
) -> Callable:
    """One alternation: (Adversaries, batch) -> (Adversaries, metrics), jitted and donated.

    First the discriminator takes `critic_steps` steps, each on rows of its own, as a scan: compile
    time does not grow with them. Then the generator takes one, on the last of those rows, and its
    average follows: average <- d average + (1 - d) params with d = min(decay, t / (t + 1)) at step
    t from 0, the plain mean at first.

    Args:
      losses: of the generator and of the discriminator, as for `training.step`,
        (params, state, (opponent, batch), *, key, train) -> (scalar, (state, metrics)), where the
        opponent is the other net's `Train` without its optimizer. `losses` makes the usual two.
      optimizers: any two of optax's, in that order.
      critic_steps: of the discriminator to one of the generator. A batch is cut into as many parts
        and has a multiple of as many rows.
      decay: what is kept of the average, in [0, 1).

    Metrics are "loss", the sum of both, "generator_loss", "discriminator_loss", and those of the
    losses by name behind "generator_" and "discriminator_", all means over the critic's steps.

    Raises:
      ValueError: for critic_steps less than 1, a decay out of range, or rows that do not divide.

    >>> import jax, jaxnn as nn, optax
    >>> nets, optimizers = (nn.mlp(8, 2), nn.mlp(8, 1)), (optax.adam(1e-3), optax.adam(1e-3))
    >>> z, x = jax.numpy.ones((8, 3)), jax.numpy.ones((8, 2))
    >>> train = nn.gan.start(nets, optimizers, jax.random.key(0), z, x)
    >>> update = nn.gan.step(nn.gan.losses(nets, 3), optimizers, critic_steps=2)
    >>> train, metrics = update(train, x)
    >>> int(train.step), int(train.discriminator.step)
    (1, 2)
    """
    critic_steps = core.count(critic_steps, "gan.step: critic_steps")
    if not 0 <= decay < 1:
        raise ValueError(f"gan.step: decay must be in [0, 1), got {decay!r}: 0.999, say.")
    learn, judge = (training.step(*each) for each in zip(losses, optimizers, strict=True))

    def cut(leaf):
        if leaf.shape[0] % critic_steps:
            raise ValueError(
                f"gan.step with critic_steps={critic_steps} takes batches of a multiple of "
                f"{critic_steps} rows, got {describe(leaf)}."
            )
        return leaf.reshape(critic_steps, leaf.shape[0] // critic_steps, *leaf.shape[1:])

    def update(train: Adversaries, batch: Tree) -> tuple[Adversaries, dict]:
        parts = jax.tree.map(cut, batch)
        opponent = train.generator._replace(opt_state=())
        discriminator, judged = jax.lax.scan(
            lambda held, part: judge(held, (opponent, part)), train.discriminator, parts
        )
        last = jax.tree.map(lambda leaf: leaf[-1], parts)
        opponent = discriminator._replace(opt_state=())
        generator, learned = learn(train.generator, (opponent, last))
        t = train.step.astype(jnp.float32)
        fresh = 1 - jnp.minimum(decay, t / (t + 1))
        average = jax.tree.map(
            lambda old, new: old + fresh.astype(old.dtype) * (new - old),
            train.average,
            generator.params,
        )
        judged = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), judged)
        metrics = {"loss": learned["loss"] + judged["loss"]}
        metrics |= {f"generator_{title}": value for title, value in learned.items()}
        metrics |= {f"discriminator_{title}": value for title, value in judged.items()}
        return Adversaries(generator, discriminator, average), metrics

    return jax.jit(update, donate_argnums=0)


@partial(jax.jit, static_argnums=0)
def sample(generator: Layer, train: Adversaries, given: Tree) -> Any:
    """What the averaged generator makes of noise z, or of (z, labels), in evaluation.

    >>> import jax, jaxnn as nn, optax
    >>> nets, adam = (nn.mlp(8, 2), nn.mlp(8, 1)), optax.adam(1e-3)
    >>> z, x = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 2))
    >>> train = nn.gan.start(nets, (adam, adam), jax.random.key(0), z, x)
    >>> nn.gan.sample(nets[0], train, z).shape
    (4, 2)
    """
    return generator.apply(train.average, train.generator.state, given)[0]
