"""Log-likelihoods of x given the output of a decoder: Bernoulli and Gaussian."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxnn import core
from jaxnn.checks import check_number

LOG_2PI = math.log(2 * math.pi)


def bernoulli_log_likelihood(logits: jax.Array, x: jax.Array) -> jax.Array:
    """The log-likelihood log p(x | z) of binary values, in nats.

    log p(x | z) = sum x log s(logits) + (1 - x) log(1 - s(logits)), with s the sigmoid

    Args:
      logits: the decoder's output [batch, samples, ...], floating point.
      x: the data [batch, ...], 0 or 1.

    Returns:
      The log-likelihoods [batch, samples], of float32 at least.

    Raises:
      TypeError: if logits or x are not arrays, or if logits are not floating point.
      ValueError: if the shapes do not match.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> logits, x = jnp.zeros((1, 1, 2)), jnp.array([[0.0, 1.0]])
    >>> y = nn.autoencoder.bernoulli_log_likelihood(logits, x)
    >>> f"{y[0, 0]:.3f}"  # -2 log 2
    '-1.386'
    """
    if hasattr(logits, "dtype") and not core.floating(logits):
        raise TypeError(
            f"bernoulli_log_likelihood takes floating point logits, got {core.describe(logits)}."
        )
    logits = core.at_least_float32(logits)
    targets = _broadcast_to_samples(logits, x, "bernoulli")
    return _sum_values(-optax.sigmoid_binary_cross_entropy(logits, targets))


def gaussian_log_likelihood(stddev: float) -> Callable:
    """The log-likelihood log p(x | z) of normal values with one standard deviation, in nats.

    log p(x | z) = -1/2 sum [((x - mean) / stddev)^2 + log(2 pi stddev^2)]

    Args:
      stddev: the standard deviation of every value, in the units of x.

    Returns:
      A function of mean [batch, samples, ...] and x [batch, ...] that returns the log-likelihoods
      [batch, samples], of float32 at least. It raises TypeError if mean or x are not arrays, and
      ValueError if their shapes do not match.

    Raises:
      ValueError: if stddev is not positive and finite.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> log_likelihood = nn.autoencoder.gaussian_log_likelihood(1.0)
    >>> y = log_likelihood(jnp.zeros((1, 1, 2)), jnp.zeros((1, 2)))
    >>> f"{y[0, 0]:.3f}"  # -log(2 pi)
    '-1.838'
    """
    check_number(stddev, "gaussian_log_likelihood: stddev", above=0)

    def log_likelihood(mean, x):
        mean = core.at_least_float32(mean)
        deviation = (_broadcast_to_samples(mean, x, "gaussian") - mean) / stddev
        return _sum_values(-(deviation**2 + (LOG_2PI + 2 * math.log(stddev))) / 2)

    return log_likelihood


def _broadcast_to_samples(output: jax.Array, x: jax.Array, title: str) -> jax.Array:
    """x repeated for every sample of the output; raises ValueError if the rows differ in shape."""
    for argument in (output, x):
        if not hasattr(argument, "shape"):
            raise TypeError(
                f"{title}_log_likelihood takes two arrays, the decoder's output and x, got "
                f"{core.describe(argument)}."
            )
    if output.ndim < 2 or output.shape[:1] + output.shape[2:] != x.shape:
        raise ValueError(
            f"{title}_log_likelihood takes [batch, samples, ...] and x [batch, ...] with rows of "
            f"the same shape, got {core.describe(output)} and {core.describe(x)}."
        )
    return jnp.broadcast_to(core.at_least_float32(x)[:, None], output.shape)


def _sum_values(terms: jax.Array) -> jax.Array:
    return terms.sum(tuple(range(2, terms.ndim)))
