"""Autoencoders."""

from jaxnn.arguments import check_public
from jaxnn.nets.autoencoder.plain import (
    contraction,
    conv_coder,
    dense_coder,
    jacobian_norm,
    kl_sparsity,
    l1_sparsity,
    plain_autoencoder,
    reconstruction,
)
from jaxnn.nets.autoencoder.variational import (
    Latent,
    bernoulli_log_likelihood,
    elbo,
    gaussian_log_likelihood,
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
