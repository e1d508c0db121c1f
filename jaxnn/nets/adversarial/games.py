"""The objectives of adversarial training: what each of the two nets minimizes, given logits."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core


class Game(NamedTuple):
    """The objectives of a discriminator and a generator, as functions of logits.

    discriminator: (real, fake) -> a scalar, for logits of real and of generated rows.
    generator: (fake) -> a scalar, for logits of generated rows.

    Each net minimizes its own objective. Logits have any shape; the objectives are means over all
    of them, computed in float32 at least. Four games are ready to use:

    non_saturating: each objective is the cross entropy of the label that the net wants, and the
      generator's loss keeps its gradient when the discriminator is sure.
        discriminator: mean softplus(-real) + mean softplus(fake)
        generator: mean softplus(-fake)
      (Goodfellow et al., Generative adversarial networks, 2014.)

    hinge: rows that are classified with a margin of 1 cost the discriminator nothing.
        discriminator: mean max(0, 1 - real) + mean max(0, 1 + fake)
        generator: -mean fake
      (Lim and Ye, Geometric GAN, 2017.)

    least_squares: logits are drawn to 1 for real and to 0 for generated rows.
        discriminator: (mean (real - 1)^2 + mean fake^2) / 2
        generator: mean (fake - 1)^2 / 2
      (Mao et al., Least squares generative adversarial networks, 2017.)

    wasserstein: the distance between the two distributions, for a critic whose slope is bounded by
      a gradient penalty or a spectral norm.
        discriminator: mean fake - mean real
        generator: -mean fake
      (Arjovsky, Chintala and Bottou, Wasserstein generative adversarial networks, 2017.)

    Any other pair of such functions is a game as well.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> real, fake = jnp.array([2.0, 0.0]), jnp.array([-3.0, 1.0])
    >>> float(nn.gan.hinge.discriminator(real, fake)), float(nn.gan.hinge.generator(fake))
    (1.5, 1.0)
    """

    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator: Callable[[jax.Array], jax.Array]


def _in_float32(discriminator: Callable, generator: Callable) -> Game:
    """A game whose means and squares are computed in float32 at least."""

    def floats(logits):
        return core.at_least_float32(logits * 1.0)  # for unsigned integers, 1 - x would wrap

    return Game(
        lambda real, fake: discriminator(floats(real), floats(fake)),
        lambda fake: generator(floats(fake)),
    )


non_saturating = _in_float32(
    lambda real, fake: jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake)),
    lambda fake: jnp.mean(jax.nn.softplus(-fake)),
)
hinge = _in_float32(
    lambda real, fake: jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake)),
    lambda fake: -jnp.mean(fake),
)
least_squares = _in_float32(
    lambda real, fake: (jnp.mean(jnp.square(real - 1)) + jnp.mean(jnp.square(fake))) / 2,
    lambda fake: jnp.mean(jnp.square(fake - 1)) / 2,
)
wasserstein = _in_float32(
    lambda real, fake: jnp.mean(fake) - jnp.mean(real),
    lambda fake: -jnp.mean(fake),
)
