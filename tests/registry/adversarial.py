"""Entries of the registry: adversarial."""

import jaxnn as nn
from jaxnn.layers.norm import batch_norm
from tests.registry.entry import (
    Entry,
    features,
    told,
)

ENTRIES = {
    "dcgan_generator": Entry(lambda: nn.gan.dcgan_generator(8, width=8), features(8)),
    "dcgan_discriminator": Entry(
        lambda: nn.gan.dcgan_discriminator(width=8, norm=batch_norm), features(8, 8, 8)
    ),
    "conditional": Entry(lambda: nn.gan.class_conditional(nn.dense(8), 8, width=8), told(8)),
    "projection_discriminator": Entry(
        lambda: nn.gan.projection_discriminator(nn.dense(8), 8), told(8)
    ),
}
