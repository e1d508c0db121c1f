"""Variational autoencoders: the code is drawn, and the loss bounds the likelihood of the data.

The encoder gives the mean and the log variance of a normal q(z | x), the decoder what p(x | z)
needs, and z has a standard normal prior p(z). The noise that z is drawn with comes in with x, so
that the net itself draws nothing, in training or out of it.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import export

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.printing import factory

LOG_2PI = math.log(2 * math.pi)


class Latent(NamedTuple):
    """What a variational autoencoder makes of a batch.

    mean, log_variance: of q(z | x), [batch, latents].
    code: z as drawn, [batch, samples, latents].
    output: of the decoder, [batch, samples, ...].
    """

    mean: Any
    log_variance: Any
    code: Any
    output: Any


export.register_namedtuple_serialization(Latent, serialized_name="jaxnn.autoencoder.Latent")


@factory
def variational(encoder: Any, decoder: Any) -> Layer:
    """An encoder, a draw and a decoder: (x, noise) to a `Latent`.

    (mean, log_variance) = encoder(x), z = mean + exp(log_variance / 2) noise, output = decoder(z)

    Args:
      encoder: a layer, x [batch, ...] to [batch, 2 latents]: the means, then the log variances.
      decoder: a layer, rows of [latents] to rows of what p(x | z) needs, such as logits. A new x is
        `decoder(params["decoder"], jax.random.normal(key, (rows, latents)))`.

    The input is (x, noise), with standard normal noise [batch, samples, latents].

    Raises:
      ValueError: for an encoder of an odd width; for noise of another shape.

    (Kingma and Welling, Auto-encoding variational Bayes, 2013.)

    >>> import jax, jaxnn as nn
    >>> net = nn.autoencoder.variational(*nn.autoencoder.dense_coder(8, 4, 16))
    >>> x = jax.numpy.ones((4, 8)), jax.random.normal(jax.random.key(1), (4, 5, 2))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).output.shape
    (4, 5, 8)
    """

    def flow(f, given):
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ValueError(
                "variational takes (x, noise), with noise [batch, samples, latents] that is "
                f"standard normal; got {core.describe(given)}."
            )
        x, noise = given
        moments = f.encoder(x)
        if moments.ndim != 2 or moments.shape[1] % 2 or not moments.shape[1]:
            raise ValueError(
                "variational takes an encoder to [batch, 2 latents], means and log variances; "
                f"this one gives {core.describe(moments)}."
            )
        batch, latents = moments.shape[0], moments.shape[1] // 2
        if noise.ndim != 3 or (noise.shape[0], noise.shape[2]) != (batch, latents):
            raise ValueError(
                f"variational takes noise [{batch}, samples, {latents}] for this encoder, got "
                f"{core.describe(noise)}."
            )
        mean, log_variance = moments[:, :latents], moments[:, latents:]
        spread = jnp.exp(log_variance / 2)[:, None]
        code = mean[:, None] + spread * noise.astype(mean.dtype)
        output = f.decoder(code.reshape(-1, latents))
        output = output.reshape(*code.shape[:2], *output.shape[1:])
        return Latent(mean, log_variance, code, output)

    return wire(flow, encoder=encoder, decoder=decoder)


def kl_divergence(latent: Latent) -> jax.Array:
    """KL(q(z | x) || p(z)) of each row, in nats: 1/2 sum (variance + mean^2 - 1 - log variance).

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.kl_divergence(nn.autoencoder.Latent(jnp.array([[1.0, 2.0]]), jnp.zeros((1,
    ...     2)), (), ())).tolist()
    [2.5]
    """
    if not isinstance(latent, Latent):
        raise TypeError(f"kl_divergence takes a Latent, got {core.describe(latent)}.")
    mean, log_variance = core.at_least_float32((latent.mean, latent.log_variance))
    return jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, axis=-1) / 2


def elbo(x: jax.Array, latent: Latent, log_likelihood: Callable, beta: float = 1.0) -> jax.Array:
    """The evidence lower bound of each row: E_q log p(x | z) - beta KL(q(z | x) || p(z)).

    The expectation is the mean over the samples, the divergence is exact. With beta = 1 its
    expectation is at most log p(x); with more, a code of fewer and more separate factors is wanted.

    Args:
      x: what the net was given, [batch, ...].
      latent: what it made of it.
      log_likelihood: (output, x) -> [batch, samples], such as `bernoulli_log_likelihood`.
      beta: the weight of the divergence.

    Returns:
      [batch], in nats.

    (Kingma and Welling, Auto-encoding variational Bayes, 2013; beta: Higgins et al., beta-VAE,
    2017.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> mean, log_variance = jnp.ones((1, 2)), jnp.zeros((1, 2))  # a divergence of 1 nat
    >>> latent = nn.autoencoder.Latent(mean, log_variance, mean[:, None], jnp.zeros((1, 1, 3)))
    >>> bound = nn.autoencoder.elbo(jnp.ones((1, 3)), latent,
    ...     nn.autoencoder.bernoulli_log_likelihood)
    >>> f"{bound[0]:.4f}"  # -3 log 2 - 1
    '-3.0794'
    """
    return log_likelihood(latent.output, x).mean(axis=1) - beta * kl_divergence(latent)


def importance_bound(x: jax.Array, latent: Latent, log_likelihood: Callable) -> jax.Array:
    """The importance-weighted bound of each row: log of the mean of p(x | z) p(z) / q(z | x).

    With one sample it is the ELBO in expectation; it grows with the samples, up to log p(x).

    Args:
      x, latent, log_likelihood: as for `elbo`.

    Returns:
      [batch], in nats.

    (Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2015.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> mean, log_variance = jnp.zeros((1, 2)), jnp.zeros((1, 2))  # the posterior is the prior
    >>> latent = nn.autoencoder.Latent(mean, log_variance, mean[:, None], jnp.zeros((1, 1, 3)))
    >>> bound = nn.autoencoder.importance_bound(jnp.ones((1, 3)), latent,
    ...     nn.autoencoder.bernoulli_log_likelihood)
    >>> f"{bound[0]:.4f}"  # -3 log 2
    '-2.0794'
    """
    moments = latent.mean, latent.log_variance, latent.code
    mean, log_variance, code = core.at_least_float32(moments)
    log_variance = log_variance[:, None]
    noise = (code - mean[:, None]) * jnp.exp(-log_variance / 2)
    # The constants of both normals cancel.
    prior = -jnp.sum(code**2, axis=-1) / 2
    posterior = -jnp.sum(noise**2 + log_variance, axis=-1) / 2
    log_weights = log_likelihood(latent.output, x) + prior - posterior
    return jax.nn.logsumexp(log_weights, axis=1) - math.log(log_weights.shape[1])


def bernoulli_log_likelihood(logits: jax.Array, x: jax.Array) -> jax.Array:
    """log p(x | z) of pixels that are 0 or 1, in nats: sum x log s(l) + (1 - x) log(1 - s(l)).

    Args:
      logits: [batch, samples, ...].
      x: [batch, ...], 0 or 1.

    Returns:
      [batch, samples].

    Raises:
      ValueError: where the shapes do not fit.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> y = nn.autoencoder.bernoulli_log_likelihood(jnp.zeros((1, 1, 2)), jnp.array([[0.0, 1.0]]))
    >>> f"{y[0, 0]:.3f}"
    '-1.386'
    """
    if hasattr(logits, "dtype") and not core.floating(logits):
        raise TypeError(f"bernoulli_log_likelihood takes floats, got {core.describe(logits)}.")
    logits = core.at_least_float32(logits)
    return _total(-optax.sigmoid_binary_cross_entropy(logits, _matched(logits, x, "bernoulli")))


def gaussian_log_likelihood(stddev: float) -> Callable:
    """log p(x | z) of normal values: (mean, x) -> -1/2 sum ((x - mean) / s)^2 + log(2 pi s^2).

    Args:
      stddev: s, one number for all, in the units of x.

    Returns:
      a function of mean [batch, samples, ...] and x [batch, ...], to [batch, samples].

    Raises:
      ValueError: for a stddev that is not positive; where the shapes do not fit.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> y = nn.autoencoder.gaussian_log_likelihood(1.0)(jnp.zeros((1, 1, 2)), jnp.zeros((1, 2)))
    >>> f"{y[0, 0]:.3f}"
    '-1.838'
    """
    check_number(stddev, "gaussian_log_likelihood: stddev", above=0)

    def log_likelihood(mean, x):
        mean = core.at_least_float32(mean)
        deviation = (_matched(mean, x, "gaussian") - mean) / stddev
        return _total(-(deviation**2 + (LOG_2PI + 2 * math.log(stddev))) / 2)

    return log_likelihood


def variational_loss(
    net: Any,
    latents: int,
    log_likelihood: Callable,
    *,
    beta: float = 1.0,
    samples: int = 1,
    importance: bool = False,
) -> Callable:
    """The negative bound in nats a row, for `training.step`; a batch is x alone.

    Args:
      net: made by `variational`.
      latents: the width of its z.
      log_likelihood: (output, x) -> [batch, samples].
      beta: the weight of the divergence in the ELBO.
      samples: draws of z for each row.
      importance: whether the bound is the importance-weighted one.

    Returns:
      (params, state, x, *, key, train) -> (loss, (state, metrics)). The metrics are "distortion",
      the mean of -log p(x | z), and "rate", that of the divergence. Without a key, as `evaluate`
      calls it, the noise is that of a fixed key, the same for every batch.

    Raises:
      ValueError: for latents or samples of zero; for a beta out of range, or one beside
        importance, whose bound has no divergence to weigh.

    >>> import jax, jaxnn as nn, optax
    >>> net = nn.autoencoder.variational(*nn.autoencoder.dense_coder(8, 4, 16))
    >>> loss = nn.autoencoder.variational_loss(net, 2, nn.autoencoder.bernoulli_log_likelihood)
    >>> step = nn.training.step(loss, optax.adam(1e-3))
    """
    latents = core.check_int(latents, "variational_loss: latents")
    samples = core.check_int(samples, "variational_loss: samples")
    check_number(beta, "variational_loss: beta", least=0)
    check_choice(importance, "variational_loss: importance", (False, True))
    check_function(log_likelihood, "variational_loss: log_likelihood")
    if importance and beta != 1:
        raise ValueError(
            "variational_loss: with importance beta must be 1, since that bound has no divergence "
            f"to weigh, got {beta!r}."
        )

    def loss(params, state, batch, *, key=None, train=False):
        drawn = jax.random.key(0) if key is None else core.fold_in(key, 1)
        shape, dtype = (batch.shape[0], samples, latents), core.param_dtype(batch)
        noise = jax.random.normal(drawn, shape, dtype).astype(batch.dtype)
        mine = core.fold_in(key, 0)
        latent, state = net.apply(params, state, (batch, noise), key=mine, train=train)
        if importance:
            bound = importance_bound(batch, latent, log_likelihood)
        else:
            bound = elbo(batch, latent, log_likelihood, beta)
        distortion = -log_likelihood(latent.output, batch).mean()
        metrics = {"distortion": distortion, "rate": kl_divergence(latent).mean()}
        return -bound.mean(), (state, metrics)

    return loss


def _matched(output: jax.Array, x: jax.Array, title: str) -> jax.Array:
    """x for every sample of the output; raises ValueError where a row has another shape."""
    for each in (output, x):
        if not hasattr(each, "shape"):
            raise TypeError(
                f"{title}_log_likelihood takes arrays, the output and x, got {core.describe(each)}."
            )
    if output.ndim < 2 or output.shape[:1] + output.shape[2:] != x.shape:
        raise ValueError(
            f"{title}_log_likelihood takes [batch, samples, ...] and x [batch, ...] of one shape, "
            f"got {core.describe(output)} and {core.describe(x)}."
        )
    return jnp.broadcast_to(core.at_least_float32(x)[:, None], output.shape)


def _total(terms: jax.Array) -> jax.Array:
    return terms.sum(tuple(range(2, terms.ndim)))
