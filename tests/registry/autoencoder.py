"""Entries of the registry: autoencoder."""

import jax

import jaxnn as nn
from tests.registry.entry import HARD, Entry, features, with_noise

ENTRIES = {
    "autoencoder": Entry(
        lambda: nn.autoencoder.plain_autoencoder(
            *nn.autoencoder.dense_coder(8, 8, 16, activation=jax.nn.sigmoid)
        ),
        features(8),
    ),
    "autoencoder of images": Entry(
        lambda: nn.autoencoder.plain_autoencoder(*nn.autoencoder.conv_coder((5, 6, 8), 8, 8, 16)),
        features(5, 6, 8),
    ),
    "variational": Entry(
        lambda: nn.autoencoder.variational(*nn.autoencoder.dense_coder((2, 4), 16, 16)),
        with_noise(3, 8, 2, 4),
    ),
    "vector_quantizer": Entry(lambda: nn.autoencoder.vector_quantizer(16), features(4, 8), HARD),
    "vector_quantizer of averages": Entry(
        lambda: nn.autoencoder.vector_quantizer(16, decay=0.9), features(8), HARD
    ),
    "quantized": Entry(
        lambda: nn.autoencoder.vector_quantized(
            nn.conv(8, 2, stride=2), nn.autoencoder.vector_quantizer(16), nn.conv(8, 1)
        ),
        features(4, 4, 8),
        HARD,
    ),
}
