"""The detector and its loss."""

import jax
import jax.numpy as jnp

import jaxnn as nn

SIZE = (96, 96)  # pixels of a scene
CLASSES = 10
WIDTH = 32  # channels of the detector


backbone = nn.serial(
    nn.conv(16, 3, stride=2, bias=False),
    nn.batch_norm(),
    jax.nn.relu,
    nn.conv(32, 3, stride=2, bias=False),
    nn.batch_norm(),
    jax.nn.relu,
    nn.unet(32, widths=(32, 64, 96)),
    jax.nn.relu,
)
net = nn.detection.detector(CLASSES, backbone, width=WIDTH)


def relit(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images in [0, 1] with a random brightness and contrast, half of them as negatives."""
    keys = (jax.random.fold_in(key, i) for i in range(3))
    shape = (len(x), 1, 1, 1)
    gain = jax.random.uniform(next(keys), shape, x.dtype, 0.6, 1.2)
    shift = jax.random.uniform(next(keys), shape, x.dtype, -0.2, 0.2)
    negative = jax.random.bernoulli(next(keys), shape=shape)
    x = jnp.where(negative, 1 - x, x)
    return 0.5 + gain * (x - 0.5) + shift


def loss(params, state, batch, *, key, train):
    """The mean over images of the detection loss; in training, of relit images."""
    x, objects = batch
    x = x[..., None].astype(jnp.float32) / 255
    if train:
        x = relit(jax.random.fold_in(key, 0), x)
    prediction, state = net.apply(params, state, x, key=key, train=train)
    return nn.detection.detection_loss(prediction, objects, size=SIZE).mean(), (state, {})
