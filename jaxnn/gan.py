"""Generative adversarial networks."""

from jaxnn.arguments import check_public
from jaxnn.nets.adversarial.dcgan import (
    class_conditional,
    dcgan_discriminator,
    dcgan_features,
    dcgan_generator,
    projection_discriminator,
)
from jaxnn.nets.adversarial.gan import (
    Game,
    gradient_penalty,
    hinge,
    least_squares,
    losses,
    non_saturating,
    r1,
    wasserstein,
)
from jaxnn.nets.adversarial.metrics import (
    frechet_distance,
    manifold_precision_recall,
)
from jaxnn.training.adversarial import Adversaries, init_train, sample, step

__all__ = [
    "Adversaries",
    "Game",
    "class_conditional",
    "dcgan_discriminator",
    "dcgan_features",
    "dcgan_generator",
    "frechet_distance",
    "gradient_penalty",
    "hinge",
    "init_train",
    "least_squares",
    "losses",
    "manifold_precision_recall",
    "non_saturating",
    "projection_discriminator",
    "r1",
    "sample",
    "step",
    "wasserstein",
]

check_public(globals(), __all__)
