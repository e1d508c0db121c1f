"""The generator, the discriminator, and their losses."""

import jax
import jax.numpy as jnp

import jaxnn as nn

LATENT = 64  # numbers of noise for an image
WIDTH = 32  # channels
DIVERSITY = 0.03  # the weight of mode seeking

# The class is embedded as a vector as long as the noise: one-hot, it would be lost beside it.
generator = nn.gan.class_conditional(
    nn.gan.dcgan_generator(28, width=WIDTH, output=jax.nn.sigmoid), 10, width=LATENT
)
discriminator = nn.spectral_norm(
    nn.gan.projection_discriminator(nn.gan.dcgan_features(width=WIDTH), 10)
)
nets = generator, discriminator
_, discriminator_loss = nn.gan.losses(nets, LATENT, nn.gan.hinge)


def generator_loss(params, state, batch, *, key, train):
    """The hinge loss of the generator, and mode seeking between two digits of each class.

    mean -D(G(z, c), c) + DIVERSITY mean |z - z'| / |G(z, c) - G(z', c)|
    """
    opponent, (x, labels) = batch
    pairs = len(labels) // 2
    labels = jnp.concatenate([labels[:pairs]] * 2)
    z = jax.random.normal(jax.random.fold_in(key, 0), (len(labels), LATENT), x.dtype)
    keys = (jax.random.fold_in(key, i) for i in (1, 2))
    fake, state = generator.apply(params, state, (z, labels), key=next(keys), train=train)
    logits, _ = discriminator.apply(
        opponent.params, opponent.state, (fake, labels), key=next(keys), train=train
    )
    image_distance, noise_distance = (
        jnp.mean(jnp.abs(each[:pairs] - each[pairs:]).reshape(pairs, -1), axis=1)
        for each in (fake, z)
    )
    alike = jnp.mean(noise_distance / (image_distance + 1e-3))
    return nn.gan.hinge.generator(logits) + DIVERSITY * alike, (state, {"alike": alike})
