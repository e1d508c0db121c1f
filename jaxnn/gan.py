"""Generative adversarial networks: a generator learns from a discriminator that it tries to fool.

A generator G makes rows from noise z. A discriminator (or critic) D learns to tell real rows from
generated ones by a logit, and the generator learns to make rows that the discriminator takes for
real. `losses` makes the loss of each net, `step` updates both in turn, `training.fit` runs it, and
`sample` generates rows from an average of the generator's params. `dcgan_generator` and
`dcgan_discriminator` are for images, `class_conditional` and `projection_discriminator` for data
with classes; any other nets will do as well.

A `Game` says what each net minimizes, with real = D(x) and fake = D(G(z)):

    game            discriminator                                     generator
    non_saturating  mean softplus(-real) + mean softplus(fake)        mean softplus(-fake)
    hinge           mean max(0, 1 - real) + mean max(0, 1 + fake)     -mean fake
    least_squares   (mean (real - 1)^2 + mean fake^2) / 2             mean (fake - 1)^2 / 2
    wasserstein     mean fake - mean real                             -mean fake

`non_saturating`, the default, is the cross entropy of the original paper. `wasserstein` needs a
critic whose slope is bounded: give `losses` a penalty made of `gradient_penalty`, or use
`nn.spectral_norm`. `r1` is a penalty for the other games.

Where it is used: to generate images, sound and other data that must look sharp, to translate images
from one style to another, and as an additional loss that penalizes unrealistic outputs, such as
blur. A trained generator produces a sample in a single pass.

Where it fails: training is a game of two nets and not the minimization of one loss, so it can
oscillate, and the losses do not tell how good the samples are (use `frechet_distance` and
`manifold_precision_recall`). The generator may produce only a few kinds of rows (mode collapse),
and there is no likelihood; a variational autoencoder (`nn.autoencoder`) bounds one, and is easier
to train.

A generator of points that are normal around (2, -1):

>>> import jax, jax.numpy as jnp, jaxnn as nn, optax
>>> x = jnp.array([2.0, -1.0]) + 0.5 * jax.random.normal(jax.random.key(1), (512, 2))
>>> z = jax.random.normal(jax.random.key(2), (512, 4))
>>> nets = nn.mlp(32, 2), nn.mlp(32, 1)  # the generator and the discriminator
>>> optimizers = optax.adam(3e-3, b1=0.5), optax.adam(3e-3, b1=0.5)
>>> step = nn.gan.step(nn.gan.losses(nets, latent=4), optimizers)
>>> train = nn.gan.init_train(nets, optimizers, jax.random.key(0), z, x)
>>> end = nn.training.fit(step, train, x, steps=2000, batch_size=64)
>>> fake = nn.gan.sample(nets[0], end.train, z)
>>> nn.gan.frechet_distance(x, fake) < 0.5  # the untrained generator has about 10
True

See also: python -m examples generation.

Papers:
- Goodfellow et al., Generative adversarial networks, 2014.
- Mirza and Osindero, Conditional generative adversarial nets, 2014.
- Radford, Metz and Chintala, Unsupervised representation learning with deep convolutional
  generative adversarial networks, 2016.
- Mao et al., Least squares generative adversarial networks, 2017.
- Lim and Ye, Geometric GAN, 2017.
- Arjovsky, Chintala and Bottou, Wasserstein generative adversarial networks, 2017.
- Gulrajani et al., Improved training of Wasserstein GANs, 2017.
- Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium,
  2017.
- Mescheder, Geiger and Nowozin, Which training methods for GANs do actually converge?, 2018.
- Miyato and Koyama, cGANs with projection discriminator, 2018.
- Kynkaanniemi et al., Improved precision and recall metric for assessing generative models, 2019.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.adversarial.conditional import class_conditional, projection_discriminator
from jaxnn.nets.adversarial.dcgan import dcgan_discriminator, dcgan_features, dcgan_generator
from jaxnn.nets.adversarial.games import Game, hinge, least_squares, non_saturating, wasserstein
from jaxnn.nets.adversarial.gan import losses
from jaxnn.nets.adversarial.metrics import frechet_distance, manifold_precision_recall
from jaxnn.nets.adversarial.penalties import gradient_penalty, r1
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
