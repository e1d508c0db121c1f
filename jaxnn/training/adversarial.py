"""Adversarial training: one step updates a discriminator and a generator in turn."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn import core
from jaxnn.core import Layer, Tree, describe, fold_in
from jaxnn.training.step import TrainState
from jaxnn.training.step import init_train as init_net
from jaxnn.training.step import step as net_step


class Adversaries(NamedTuple):
    """The state of adversarial training; `training.fit` takes it in the place of a `TrainState`.

    generator: the `TrainState` of the generator.
    discriminator: the `TrainState` of the discriminator.
    average: the generator's params averaged over steps, which `sample` uses.
    """

    generator: TrainState
    discriminator: TrainState
    average: Tree

    @property
    def step(self) -> jax.Array:
        """The number of steps of the generator so far, int32 []."""
        return self.generator.step

    @property
    def key(self) -> jax.Array:
        """The root key of the run, from which the order of the data is drawn."""
        return self.generator.key


def init_train(
    nets: Sequence[Layer],
    optimizers: Sequence[optax.GradientTransformation],
    key: jax.Array,
    z: Tree,
    x: Tree,
) -> Adversaries:
    """Initialize adversarial training from an example input of each net.

    Args:
      nets: (generator, discriminator).
      optimizers: two optax optimizers, in that order.
      key: `jax.random.key(seed)`; it determines initialization, data order and noise.
      z: an example input of the generator: noise, or (noise, labels).
      x: an example input of the discriminator: rows, or (rows, labels).

    Returns:
      `Adversaries` before the first step.

    Raises:
      TypeError: if an optimizer is not one of optax's, or if the key is not a key.
      ValueError: if there are not two nets and two optimizers.

    >>> import jax, jax.numpy as jnp, jaxnn as nn, optax
    >>> nets, adam = (nn.mlp(8, 2), nn.mlp(8, 1)), optax.adam(1e-3)
    >>> z, x = jnp.ones((4, 3)), jnp.ones((4, 2))
    >>> train = nn.gan.init_train(nets, (adam, adam), jax.random.key(0), z, x)
    >>> int(train.step)
    0
    """
    if len(nets) != 2 or len(optimizers) != 2:
        raise ValueError(
            "gan.init_train takes nets, (generator, discriminator), and as many optimizers, got "
            f"{len(nets)} nets and {len(optimizers)} optimizers."
        )
    generator = init_net(nets[0], optimizers[0], fold_in(key, 0), z)
    discriminator = init_net(nets[1], optimizers[1], fold_in(key, 1), x)
    return Adversaries(generator, discriminator, jax.tree.map(jnp.copy, generator.params))


def step(
    losses: Sequence[Callable],
    optimizers: Sequence[optax.GradientTransformation],
    *,
    critic_steps: int = 1,
    decay: float = 0.999,
) -> Callable:
    """One alternation of both nets: (Adversaries, batch) -> (Adversaries, metrics), jitted.

    First the discriminator takes `critic_steps` steps, each on its own part of the batch. They run
    as a scan, so that compile time does not grow with their number. Then the generator takes one
    step on the last part, and its average follows:

    average <- d average + (1 - d) params, with d = min(decay, t / (t + 1)) at step t = 0, 1, ...

    At first this is the plain mean. The given `Adversaries` are donated: their buffers are reused,
    and they may not be read again.

    Args:
      losses: (loss of the generator, loss of the discriminator), each
        (params, state, (opponent, batch), *, key, train) -> (scalar, (state, metrics)), where the
        opponent is the other net's `TrainState` without its optimizer state; `losses` makes the
        usual two.
      optimizers: two optax optimizers, in that order.
      critic_steps: the number of steps of the discriminator for each step of the generator. The
        batch is split into as many parts, so its rows must be a multiple of it.
      decay: the fraction of the average that each step keeps, in [0, 1).

    Returns:
      A function (Adversaries, batch) -> (Adversaries, metrics), jitted. The metrics are "loss", the
      sum of both losses, "generator_loss", "discriminator_loss", and the losses' own metrics with
      the prefix "generator_" or "discriminator_"; those of the discriminator are means over its
      steps.

    Raises:
      ValueError: if critic_steps is less than 1, or if decay is out of range; at the first call, if
        the rows of the batch are not a multiple of critic_steps.

    (Goodfellow et al., Generative adversarial networks, 2014.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn, optax
    >>> nets, optimizers = (nn.mlp(8, 2), nn.mlp(8, 1)), (optax.adam(1e-3), optax.adam(1e-3))
    >>> z, x = jnp.ones((8, 3)), jnp.ones((8, 2))
    >>> train = nn.gan.init_train(nets, optimizers, jax.random.key(0), z, x)
    >>> step = nn.gan.step(nn.gan.losses(nets, 3), optimizers, critic_steps=2)
    >>> train, metrics = step(train, x)
    >>> int(train.step), int(train.discriminator.step)
    (1, 2)
    """
    critic_steps = core.check_int(critic_steps, "gan.step: critic_steps")
    if not 0 <= decay < 1:
        raise ValueError(f"gan.step: decay must be in [0, 1), got {decay!r}: 0.999 is usual.")
    generator_step, discriminator_step = (
        net_step(loss, optimizer) for loss, optimizer in zip(losses, optimizers, strict=True)
    )

    def split(leaf):
        if leaf.shape[0] % critic_steps:
            raise ValueError(
                f"gan.step with critic_steps={critic_steps} takes batches of a multiple of "
                f"{critic_steps} rows, got {describe(leaf)}."
            )
        return leaf.reshape(critic_steps, leaf.shape[0] // critic_steps, *leaf.shape[1:])

    def update(train: Adversaries, batch: Tree) -> tuple[Adversaries, dict]:
        parts = jax.tree.map(split, batch)
        opponent = train.generator._replace(opt_state=())
        discriminator, of_discriminator = jax.lax.scan(
            lambda state, part: discriminator_step(state, (opponent, part)),
            train.discriminator,
            parts,
        )
        last = jax.tree.map(lambda leaf: leaf[-1], parts)
        opponent = discriminator._replace(opt_state=())
        generator, of_generator = generator_step(train.generator, (opponent, last))
        t = train.step.astype(jnp.float32)
        weight = 1 - jnp.minimum(decay, t / (t + 1))
        average = jax.tree.map(
            lambda old, new: old + weight.astype(old.dtype) * (new - old),
            train.average,
            generator.params,
        )
        of_discriminator = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), of_discriminator)
        metrics = {"loss": of_generator["loss"] + of_discriminator["loss"]}
        metrics |= {f"generator_{title}": value for title, value in of_generator.items()}
        metrics |= {f"discriminator_{title}": value for title, value in of_discriminator.items()}
        return Adversaries(generator, discriminator, average), metrics

    return jax.jit(update, donate_argnums=0)


@partial(jax.jit, static_argnums=0)
def sample(generator: Layer, train: Adversaries, given: Tree) -> Any:
    """Generate rows with the averaged generator, in evaluation.

    Args:
      generator: the generator.
      train: the state of adversarial training, from `init_train` or `step`.
      given: noise z [rows, latent], or (z, labels).

    Returns:
      The output of the generator, such as images [rows, height, width, channels].

    >>> import jax, jax.numpy as jnp, jaxnn as nn, optax
    >>> nets, adam = (nn.mlp(8, 2), nn.mlp(8, 1)), optax.adam(1e-3)
    >>> z, x = jnp.ones((4, 3)), jnp.ones((4, 2))
    >>> train = nn.gan.init_train(nets, (adam, adam), jax.random.key(0), z, x)
    >>> nn.gan.sample(nets[0], train, z).shape
    (4, 2)
    """
    return generator.apply(train.average, train.generator.state, given)[0]
