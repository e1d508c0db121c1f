"""Autoencoders: nets that learn a short code from which the input can be reconstructed.

An encoder maps x to a code, a decoder maps the code back to x, and the target of training is the
input itself, so no labels are needed. What keeps the net from copying x tells the kinds apart:

- plain: the code is narrower than x (`plain_autoencoder` with the loss `reconstruction`);
- denoising, sparse and contractive: the input is corrupted, or the code is penalized (the
  arguments `corrupt` and `penalties` of `reconstruction`);
- variational: the code is sampled from q(z | x), close to a prior (`variational`);
- vector-quantized: the code consists of entries of a learned codebook (`vector_quantized`).

`dense_coder` and `conv_coder` make mirrored pairs of an encoder and a decoder; any other nets will
do as well.

    plain:            minimize |x - decode(encode(x))|^2
    variational:      maximize E_q(z | x) [log p(x | z)] - KL(q(z | x) || p(z))
    vector-quantized: minimize |x - decode(e)|^2 + |stop(z) - e|^2 + beta |z - stop(e)|^2,
                      with z = encode(x) and e the nearest entry of the codebook

Where it is used: for compression and low-dimensional features, for denoising, and for anomaly
detection, where a large reconstruction error marks an unusual input. Variational autoencoders
generate new data and bound its likelihood; vector-quantized ones turn images or sound into tokens
for a sequence model.

Where it fails: a squared error averages over the details that the code does not hold, so images
come out blurred; adversarial nets (`nn.gan`) make sharper ones. A code that reconstructs well is
not always a useful feature. A flexible net may reconstruct anomalies too, a strong decoder can make
a variational code collapse to the prior, and a codebook can leave most of its entries unused (watch
`perplexity`).

A net that finds the two coordinates behind eight features:

>>> import jax, jaxnn as nn, optax
>>> hidden = jax.random.normal(jax.random.key(1), (512, 2))
>>> x = hidden @ jax.random.normal(jax.random.key(2), (2, 8))
>>> encoder, decoder = nn.autoencoder.dense_coder(8, 2, 32)  # a code of 2, a hidden layer of 32
>>> net, optimizer = nn.autoencoder.plain_autoencoder(encoder, decoder), optax.adam(1e-2)
>>> step = nn.training.step(nn.autoencoder.reconstruction(net), optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
>>> end = nn.training.fit(step, train, x, steps=500, batch_size=64)
>>> end.history[-1]["loss"] < 0.05
True
>>> encoder(end.train.params["encoder"], x).shape
(512, 2)

See also: python -m examples compression, denoising, anomaly or variational.

Papers:
- Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006.
- Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008.
- Ng, Sparse autoencoder, lecture notes of CS294A, 2011.
- Rifai et al., Contractive auto-encoders, 2011.
- Kingma and Welling, Auto-encoding variational Bayes, 2013.
- Burda, Grosse and Salakhutdinov, Importance weighted autoencoders, 2015.
- Higgins et al., beta-VAE, 2017.
- van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, 2017.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.autoencoder.coders import conv_coder, dense_coder
from jaxnn.nets.autoencoder.likelihoods import bernoulli_log_likelihood, gaussian_log_likelihood
from jaxnn.nets.autoencoder.penalties import contraction, jacobian_norm, kl_sparsity, l1_sparsity
from jaxnn.nets.autoencoder.plain import plain_autoencoder, reconstruction
from jaxnn.nets.autoencoder.variational import (
    Latent,
    elbo,
    importance_bound,
    kl_divergence,
    variational,
    variational_loss,
)
from jaxnn.nets.autoencoder.vector_quantized import (
    Quantized,
    perplexity,
    quantized_loss,
    vector_quantized,
    vector_quantizer,
)

__all__ = [
    "Latent",
    "Quantized",
    "bernoulli_log_likelihood",
    "contraction",
    "conv_coder",
    "dense_coder",
    "elbo",
    "gaussian_log_likelihood",
    "importance_bound",
    "jacobian_norm",
    "kl_divergence",
    "kl_sparsity",
    "l1_sparsity",
    "perplexity",
    "plain_autoencoder",
    "quantized_loss",
    "reconstruction",
    "variational",
    "variational_loss",
    "vector_quantized",
    "vector_quantizer",
]

check_public(globals(), __all__)
