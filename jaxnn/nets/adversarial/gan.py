"""The losses of a generator and a discriminator, as `jaxnn.gan.step` takes them.

The generator learns to make rows that the discriminator (or critic) takes for real; the
discriminator learns to tell the two apart.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer, fold_in
from jaxnn.nets.adversarial.games import Game, non_saturating


def losses(
    nets: Sequence[Layer],
    latent: int,
    game: Game = non_saturating,
    penalty: Callable | None = None,
) -> tuple[Callable, Callable]:
    """The losses of a generator and a discriminator, for `step`; a batch is x or (x, labels).

    generator: game.generator(D(G(z)))
    discriminator: game.discriminator(D(x), D(G(z))) + penalty

    The generator takes standard normal noise z [rows, latent], or (z, labels) with the labels of
    the batch. The discriminator takes real and generated rows in one batch, with their labels.

    Args:
      nets: (generator, discriminator).
      latent: the number of noise features of each row.
      game: the objectives: `non_saturating`, `hinge`, `least_squares`, `wasserstein`, or any other
        `Game`.
      penalty: (critic, real, fake, key) -> a scalar that is added to the discriminator's loss, such
        as `lambda critic, real, fake, key: 5 * nn.gan.r1(critic, real)`.

    Returns:
      (loss of the generator, loss of the discriminator), each
      (params, state, (opponent, batch), *, key, train) -> (loss, (state, metrics)), where the
      opponent is the other net's `TrainState`. The discriminator's metrics are "real" and "fake",
      the mean logits, and "penalty" if there is one.

    Raises:
      ValueError: if latent is less than 1; at the first call, if the generator's output differs in
        shape or dtype from the batch.

    (Goodfellow et al., Generative adversarial networks, 2014.)

    >>> import jaxnn as nn, optax
    >>> nets = nn.mlp(8, 2), nn.mlp(8, 1)
    >>> optimizers = optax.adam(1e-3), optax.adam(1e-3)
    >>> step = nn.gan.step(nn.gan.losses(nets, 4, nn.gan.hinge), optimizers)
    """
    (generator, discriminator), latent = nets, core.check_int(latent, "gan.losses: latent")

    def generate(params, state, batch, key, train):
        x, *labels = batch if isinstance(batch, tuple) else (batch,)
        z = jax.random.normal(fold_in(key, 0), (x.shape[0], latent), x.dtype)
        z = (z, *labels) if labels else z
        fake, state = generator.apply(params, state, z, key=fold_in(key, 1), train=train)
        core.check_same_spec(x, fake, "gan.losses takes a generator of rows like the batch's")
        return fake, state, labels

    def generator_loss(params, state, batch, *, key, train):
        opponent, batch = batch
        fake, state, labels = generate(params, state, batch, key, train)
        logits, _ = discriminator.apply(
            opponent.params,
            opponent.state,
            (fake, *labels) if labels else fake,
            key=fold_in(key, 2),
            train=train,
        )
        return game.generator(logits), (state, {})

    def discriminator_loss(params, state, batch, *, key, train):
        opponent, batch = batch
        fake, _, labels = generate(opponent.params, opponent.state, batch, key, train)
        real = batch[0] if isinstance(batch, tuple) else batch
        both = jnp.concatenate([real, fake])
        twice = [jnp.concatenate([leaf, leaf]) for leaf in labels]
        both = (both, *twice) if labels else both
        critic_key = fold_in(key, 2)
        logits, new_state = discriminator.apply(params, state, both, key=critic_key, train=train)
        real_logits, fake_logits = logits[: real.shape[0]], logits[real.shape[0] :]
        value = game.discriminator(real_logits, fake_logits)
        metrics = {"real": jnp.mean(real_logits), "fake": jnp.mean(fake_logits)}
        if penalty is not None:

            def critic(x):
                x = (x, *labels) if labels else x
                return discriminator.apply(params, state, x, key=critic_key, train=train)[0]

            metrics["penalty"] = penalty(critic, real, fake, fold_in(key, 3))
            value = value + metrics["penalty"]
        return value, (new_state, metrics)

    return generator_loss, discriminator_loss
