"""The translators, the critics, and their losses."""

import jax
import jax.numpy as jnp

import jaxnn as nn
from examples.common.images import warped

WIDTH = 32  # channels
CYCLE = 10.0  # the weight of cycle consistency
WARP = 1.5  # the strength of the augmentation


def translator() -> nn.Layer:
    """From images to images, through a bottleneck of 7 x 7 positions that sees the whole image."""

    def normed(layer):
        return nn.serial(layer, nn.instance_norm(), jax.nn.relu)

    return nn.serial(
        normed(nn.conv(WIDTH, 4, stride=2, bias=False)),
        normed(nn.conv(2 * WIDTH, 4, stride=2, bias=False)),
        nn.repeat(nn.residual(normed(nn.conv(2 * WIDTH, 3, bias=False))), 2),
        normed(nn.conv_transpose(WIDTH, 4, stride=2, bias=False)),
        nn.conv_transpose(1, 4, stride=2),
        jax.nn.sigmoid,
    )


# Both take pairs (small digits, MNIST's digits): the translators translate each into the other
# set, the critics judge whether each is of its own set.
translators = nn.wire(
    lambda f, x: (f.there(x[0]), f.back(x[1])), there=translator(), back=translator()
)
critics = nn.spectral_norm(
    nn.wire(
        lambda f, x: (f.small(x[0]), f.large(x[1])),
        small=nn.gan.dcgan_discriminator(width=WIDTH),
        large=nn.gan.dcgan_discriminator(width=WIDTH),
    )
)


def augmented(key: jax.Array, pair: tuple) -> tuple:
    """The digits of both sets, each warped at random."""
    return tuple(warped(jax.random.fold_in(key, 9 + i), each, WARP) for i, each in enumerate(pair))


def translator_loss(params, state, batch, *, key, train):
    """To pass for the other set, and to translate back."""
    opponent, pair = batch
    small, large = augmented(key, pair)
    as_large, as_small = translators(params, (small, large))
    large_again, small_again = translators(params, (as_small, as_large))
    logits, _ = critics.apply(opponent.params, opponent.state, (as_small, as_large), train=train)
    passing = sum(nn.gan.least_squares.generator(each) for each in logits)
    cycle = jnp.mean(jnp.abs(small_again - small)) + jnp.mean(jnp.abs(large_again - large))
    return passing + CYCLE * cycle, (state, {"cycle": cycle})


def critic_loss(params, state, batch, *, key, train):
    """To tell the real digits of each set from translated ones."""
    opponent, pair = batch
    small, large = augmented(key, pair)
    as_large, as_small = translators(opponent.params, (small, large))
    both = jnp.concatenate([small, as_small]), jnp.concatenate([large, as_large])
    logits, state = critics.apply(params, state, both, train=train)
    value = sum(nn.gan.least_squares.discriminator(*jnp.split(each, 2)) for each in logits)
    return value, (state, {})
