"""The capsules, the plain network, and their losses."""

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

SHIFT = 2  # pixels by which a digit is moved at most
RECONSTRUCTION = 0.0005  # the weight of the squared error beside the margin loss
HE = jax.nn.initializers.he_normal()


def convolutions() -> nn.Layer:
    """The first layers of both networks, from [rows, 28, 28, 1] to [rows, 7, 7, 64]."""
    return nn.serial(
        nn.conv(32, 5, w_init=HE),
        jax.nn.relu,
        nn.max_pool(2),
        nn.conv(64, 5, w_init=HE),
        jax.nn.relu,
        nn.max_pool(2),
    )


reader = nn.serial(
    convolutions(), nn.capsule.primary_capsules(8, 8, 3), nn.capsule.capsules(10, 16)
)
# The width of the hidden layer gives it as many parameters as the reader.
plain = nn.serial(convolutions(), nn.flatten(), nn.mlp(93, 10))
decoder = nn.capsule.capsule_decoder((28, 28, 1), (256, 512))


def both(f, x):
    """The lengths of the capsules of images, and the reconstructions from those of the labels."""
    images, labels = x
    capsules = f.reader(images)
    return nn.capsule.capsule_lengths(capsules), f.decoder((capsules, labels))


net = nn.wire(both, reader=reader, decoder=decoder)


def lengths(params, x: jax.Array) -> jax.Array:
    """The lengths [rows, 10] of the capsules of images, the scores of the classes."""
    return nn.capsule.capsule_lengths(reader(params["reader"], x))


def moved(x, key, train):
    """Images; in training, each moved by up to SHIFT pixels."""
    return nn.augmentation.shift(jax.random.fold_in(key, 0), x, SHIFT) if train else x


def loss(params, state, batch, *, key, train):
    """The margin loss, and the squared error of the reconstruction."""
    x, labels = batch
    x = moved(x, key, train)
    (scores, drawn), state = net.apply(params, state, (x, labels), key=key, train=train)
    margin = nn.capsule.margin_loss(scores, labels)
    error = jnp.mean(jnp.sum((drawn - x) ** 2, axis=(1, 2, 3)))
    metrics = {"accuracy": nn.accuracy(scores, labels), "margin": margin, "squared_error": error}
    return margin + RECONSTRUCTION * error, (state, metrics)


def plain_loss(params, state, batch, *, key, train):
    """The cross entropy of the plain network, on images moved in the same way."""
    x, labels = batch
    logits, state = plain.apply(params, state, moved(x, key, train), key=key, train=train)
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(entropy), (state, {"accuracy": nn.accuracy(logits, labels)})
