"""Variational autoencoders: the code is sampled, and the loss bounds the likelihood of the data.

The encoder outputs the mean and the log variance of a normal q(z | x), the decoder the parameters
of p(x | z), such as logits; the prior p(z) is standard normal. The noise from which z is sampled is
part of the input, so the net itself draws no random numbers, in training or in evaluation.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.printing import factory


class Latent(NamedTuple):
    """The output of a variational autoencoder.

    mean: the mean of q(z | x), [batch, latents].
    log_variance: the log variance of q(z | x), [batch, latents].
    code: the sampled z, [batch, samples, latents].
    output: the decoder's output, [batch, samples, ...].
    """

    mean: Any
    log_variance: Any
    code: Any
    output: Any


export.register_namedtuple_serialization(Latent, serialized_name="jaxnn.autoencoder.Latent")


@factory
def variational(encoder: Any, decoder: Any) -> Layer:
    """An encoder, a sample and a decoder: (x, noise) to a `Latent`.

    (mean, log_variance) = encoder(x)
    z = mean + exp(log_variance / 2) noise
    output = decoder(z)

    To generate new x, call `decoder(params["decoder"], z)` with standard normal z [rows, latents].

    Args:
      encoder: a layer from x [batch, ...] to [batch, 2 latents]: the means, then the log variances.
      decoder: a layer from rows [latents] to the parameters of p(x | z) for each row, such as
        logits.

    Returns:
      A layer from (x, noise), with x [batch, ...] and standard normal noise
      [batch, samples, latents], to a `Latent` of the encoder's dtype.

    Raises:
      ValueError: at init, if the input is not such a pair, if the encoder's width is odd, or if the
        noise has another shape.

    (Kingma and Welling, Auto-encoding variational Bayes, 2013.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.autoencoder.variational(*nn.autoencoder.dense_coder(8, 4, 16))
    >>> x, noise = jnp.ones((4, 8)), jax.random.normal(jax.random.key(1), (4, 5, 2))
    >>> params, _ = net.init(jax.random.key(0), (x, noise))
    >>> net(params, (x, noise)).output.shape
    (4, 5, 8)
    """

    def flow(f, x_noise):
        if not isinstance(x_noise, tuple | list) or len(x_noise) != 2:
            raise ValueError(
                "variational takes (x, noise), with standard normal noise [batch, samples, "
                f"latents]; got {core.describe(x_noise)}."
            )
        x, noise = x_noise
        moments = f.encoder(x)
        if moments.ndim != 2 or moments.shape[1] % 2 or not moments.shape[1]:
            raise ValueError(
                "variational takes an encoder to [batch, 2 latents], means and log variances; "
                f"this encoder returns {core.describe(moments)}."
            )
        batch, latents = moments.shape[0], moments.shape[1] // 2
        if noise.ndim != 3 or (noise.shape[0], noise.shape[2]) != (batch, latents):
            raise ValueError(
                f"variational takes noise [{batch}, samples, {latents}] for this encoder, got "
                f"{core.describe(noise)}."
            )
        mean, log_variance = moments[:, :latents], moments[:, latents:]
        stddev = jnp.exp(log_variance / 2)[:, None]
        code = mean[:, None] + stddev * noise.astype(mean.dtype)
        output = f.decoder(code.reshape(-1, latents))
        output = output.reshape(*code.shape[:2], *output.shape[1:])
        return Latent(mean, log_variance, code, output)

    return wire(flow, encoder=encoder, decoder=decoder)


def kl_divergence(latent: Latent) -> jax.Array:
    """The divergence KL(q(z | x) || p(z)) of each row from the standard normal prior, in nats.

    KL = 1/2 sum (variance + mean^2 - 1 - log variance)

    Args:
      latent: the output of a `variational` net; its mean and log_variance are used.

    Returns:
      The divergences [batch], of float32 at least.

    Raises:
      TypeError: if `latent` is not a `Latent`.

    (Kingma and Welling, Auto-encoding variational Bayes, 2013.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> mean, log_variance = jnp.array([[1.0, 2.0]]), jnp.zeros((1, 2))
    >>> latent = nn.autoencoder.Latent(mean, log_variance, code=(), output=())
    >>> nn.autoencoder.kl_divergence(latent).tolist()
    [2.5]
    """
    if not isinstance(latent, Latent):
        raise TypeError(f"kl_divergence takes a Latent, got {core.describe(latent)}.")
    mean, log_variance = core.at_least_float32((latent.mean, latent.log_variance))
    return jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, axis=-1) / 2


def elbo(x: jax.Array, latent: Latent, log_likelihood: Callable, beta: float = 1.0) -> jax.Array:
    """The evidence lower bound (ELBO) of each row, in nats.

    ELBO = E_q log p(x | z) - beta KL(q(z | x) || p(z))

    The expectation is the mean over the samples; the divergence is exact. With beta = 1 the
    expected bound is at most log p(x). A larger beta favors a code of fewer, more separate factors.

    Args:
      x: the data [batch, ...] that the net was given.
      latent: the output of the net for x.
      log_likelihood: (output, x) -> [batch, samples], such as `bernoulli_log_likelihood`.
      beta: the weight of the divergence.

    Returns:
      The bounds [batch], of float32 at least.

    Raises:
      TypeError: if `latent` is not a `Latent`.

    (Kingma and Welling, Auto-encoding variational Bayes, 2013; beta: Higgins et al., beta-VAE,
    2017.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> mean, log_variance = jnp.ones((1, 2)), jnp.zeros((1, 2))  # a divergence of 1 nat
    >>> latent = nn.autoencoder.Latent(mean, log_variance, mean[:, None], jnp.zeros((1, 1, 3)))
    >>> log_likelihood = nn.autoencoder.bernoulli_log_likelihood
    >>> bound = nn.autoencoder.elbo(jnp.ones((1, 3)), latent, log_likelihood)
    >>> f"{bound[0]:.4f}"  # -3 log 2 - 1
    '-3.0794'
    """
    return log_likelihood(latent.output, x).mean(axis=1) - beta * kl_divergence(latent)


def importance_bound(x: jax.Array, latent: Latent, log_likelihood: Callable) -> jax.Array:
    """The importance-weighted bound of each row on log p(x), in nats.

    bound = log (mean over samples of p(x | z) p(z) / q(z | x))

    With one sample it equals the ELBO in expectation; with more samples it rises toward log p(x).

    Args:
      x: the data [batch, ...] that the net was given.
      latent: the output of the net for x.
      log_likelihood: (output, x) -> [batch, samples], such as `bernoulli_log_likelihood`.

    Returns:
      The bounds [batch], of float32 at least.

    Raises:
      ValueError: if the output and x do not match in shape; it comes from `log_likelihood`.

    (Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2015.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> mean, log_variance = jnp.zeros((1, 2)), jnp.zeros((1, 2))  # the posterior is the prior
    >>> latent = nn.autoencoder.Latent(mean, log_variance, mean[:, None], jnp.zeros((1, 1, 3)))
    >>> log_likelihood = nn.autoencoder.bernoulli_log_likelihood
    >>> bound = nn.autoencoder.importance_bound(jnp.ones((1, 3)), latent, log_likelihood)
    >>> f"{bound[0]:.4f}"  # -3 log 2
    '-2.0794'
    """
    moments = latent.mean, latent.log_variance, latent.code
    mean, log_variance, code = core.at_least_float32(moments)
    log_variance = log_variance[:, None]
    noise = (code - mean[:, None]) * jnp.exp(-log_variance / 2)
    # The constants of the two normals cancel.
    prior = -jnp.sum(code**2, axis=-1) / 2
    posterior = -jnp.sum(noise**2 + log_variance, axis=-1) / 2
    log_weights = log_likelihood(latent.output, x) + prior - posterior
    return jax.nn.logsumexp(log_weights, axis=1) - math.log(log_weights.shape[1])


def variational_loss(
    net: Any,
    latents: int,
    log_likelihood: Callable,
    *,
    beta: float = 1.0,
    samples: int = 1,
    importance: bool = False,
) -> Callable:
    """The negative bound in nats per row, for `training.step`; a batch is x alone.

    loss = -mean over rows of `elbo`, or of `importance_bound`

    Args:
      net: a net made by `variational`.
      latents: the width of its z.
      log_likelihood: (output, x) -> [batch, samples], such as `bernoulli_log_likelihood`.
      beta: the weight of the divergence in the ELBO.
      samples: the number of samples of z for each row.
      importance: whether to use the importance-weighted bound in place of the ELBO.

    Returns:
      A loss (params, state, x, *, key, train) -> (loss, (state, metrics)). The metrics are
      "distortion", the mean of -log p(x | z), and "rate", the mean divergence. Without a key, as
      `evaluate` calls it, the noise comes from a fixed key and is the same for every batch.

    Raises:
      ValueError: if latents or samples are less than 1; if beta is negative or not finite, or is
        not 1 beside `importance`, whose bound has no divergence to weight.

    (Kingma and Welling, Auto-encoding variational Bayes, 2013; Burda, Grosse and Salakhutdinov,
    Importance weighted autoencoders, 2015.)

    >>> import jaxnn as nn, optax
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
            f"to weight, got {beta!r}."
        )

    def loss(params, state, batch, *, key=None, train=False):
        noise_key = jax.random.key(0) if key is None else core.fold_in(key, 1)
        shape, dtype = (batch.shape[0], samples, latents), core.param_dtype(batch)
        noise = jax.random.normal(noise_key, shape, dtype).astype(batch.dtype)
        net_key = core.fold_in(key, 0)
        latent, state = net.apply(params, state, (batch, noise), key=net_key, train=train)
        if importance:
            bound = importance_bound(batch, latent, log_likelihood)
        else:
            bound = elbo(batch, latent, log_likelihood, beta)
        distortion = -log_likelihood(latent.output, batch).mean()
        metrics = {"distortion": distortion, "rate": kl_divergence(latent).mean()}
        return -bound.mean(), (state, metrics)

    return loss
