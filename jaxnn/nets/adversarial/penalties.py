"""Gradient penalties of a discriminator or critic."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core


def gradient_penalty(
    critic: Callable, real: jax.Array, fake: jax.Array, key: jax.Array, *, target: float = 1.0
) -> jax.Array:
    """The penalty of WGAN-GP: the squared distance of a critic's slope from a target slope.

    penalty = mean over rows of (|grad critic(s real + (1 - s) fake)| - target)^2

    s is drawn uniformly from [0, 1) for each row. The paper gives the penalty a weight of 10.

    Args:
      critic: x [rows, ...] -> logits, each of which depends only on its own row: no batch norm.
      real: real rows [rows, ...].
      fake: generated rows [rows, ...], of the same shape and dtype.
      key: a key for s, such as `jax.random.key(0)`.
      target: the slope that costs nothing; 0 asks for a flat critic.

    Returns:
      A scalar of float32 at least.

    Raises:
      ValueError: if real and fake differ in shape or dtype.

    (Gulrajani et al., Improved training of Wasserstein GANs, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.ones((4, 2))
    >>> nn.gan.gradient_penalty(lambda x: 3 * x[:, 0], x, x, jax.random.key(0))
    Array(4., dtype=float32)
    """
    core.check_same_spec(
        real, fake, "gradient_penalty takes real and fake rows of the same shape and dtype"
    )
    share = jax.random.uniform(key, (real.shape[0], *(1,) * (real.ndim - 1)), real.dtype)
    square = _squared_slope(critic, fake + share * (real - fake))
    # The square root has an infinite gradient at 0, which is the slope of a flat critic.
    slope = jnp.sqrt(jnp.maximum(square, jnp.finfo(square.dtype).tiny))
    return jnp.mean(jnp.square(slope - target))


def r1(critic: Callable, real: jax.Array) -> jax.Array:
    """The R1 penalty: the mean squared slope of a discriminator at real rows.

    penalty = mean over rows of |grad critic(real)|^2

    The paper gives the penalty a weight of 5.

    Args:
      critic: x [rows, ...] -> logits, each of which depends only on its own row: no batch norm.
      real: real rows [rows, ...].

    Returns:
      A scalar of float32 at least.

    Raises:
      TypeError: if `real` is not an array.

    (Mescheder, Geiger and Nowozin, Which training methods for GANs do actually converge?, 2018.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.gan.r1(lambda x: x @ jnp.array([3.0, 4.0]), jnp.ones((4, 2)))
    Array(25., dtype=float32)
    """
    return jnp.mean(_squared_slope(critic, real))


def _squared_slope(critic: Callable, x: jax.Array) -> jax.Array:
    gradient = jax.grad(lambda x: jnp.sum(critic(x)))(x)
    return jnp.sum(jnp.square(core.at_least_float32(gradient)), tuple(range(1, x.ndim)))
