"""Adversarial training: two nets, each with its loss and optimizer, and a step that alternates."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn import core
from jaxnn.core import Layer, Tree, describe, fold_in
from jaxnn.training.step import TrainState
from jaxnn.training.step import init_train as one_net
from jaxnn.training.step import step as one_step


class Adversaries(NamedTuple):
    """All that adversarial training needs to go on; `training.fit` takes it as it takes a `Train`.

    average: the generator's params averaged over steps, from which to draw.
    """

    generator: TrainState
    discriminator: TrainState
    average: Tree

    @property
    def step(self) -> jax.Array:
        """Steps taken, int32 []: those of the generator."""
        return self.generator.step

    @property
    def key(self) -> jax.Array:
        """The root of the run's random order."""
        return self.generator.key


def init_train(
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
    >>> int(nn.gan.init_train(nets, (adam, adam), jax.random.key(0), z, x).step)
    0
    """
    one = one_net(nets[0], optimizers[0], fold_in(key, 0), z)
    other = one_net(nets[1], optimizers[1], fold_in(key, 1), x)
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
    >>> train = nn.gan.init_train(nets, optimizers, jax.random.key(0), z, x)
    >>> update = nn.gan.step(nn.gan.losses(nets, 3), optimizers, critic_steps=2)
    >>> train, metrics = update(train, x)
    >>> int(train.step), int(train.discriminator.step)
    (1, 2)
    """
    critic_steps = core.check_int(critic_steps, "gan.step: critic_steps")
    if not 0 <= decay < 1:
        raise ValueError(f"gan.step: decay must be in [0, 1), got {decay!r}: 0.999, say.")
    learn, judge = (one_step(*each) for each in zip(losses, optimizers, strict=True))

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
    >>> train = nn.gan.init_train(nets, (adam, adam), jax.random.key(0), z, x)
    >>> nn.gan.sample(nets[0], train, z).shape
    (4, 2)
    """
    return generator.apply(train.average, train.generator.state, given)[0]
