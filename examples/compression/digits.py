"""The autoencoder of digits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.decomposition import PCA

import jaxnn as nn
from examples import Options, data
from examples.common.images import warped
from examples.compression.training import Compressed, adamw, augmented, restored

CODE = 32  # numbers in the code
WIDTH = 1024  # of the hidden layer on each side of the code
RATE = 3e-3  # the highest learning rate
BATCH = 128
STEPS = 1800
QUICK_STEPS = 100


def autoencoder(code: int) -> nn.Layer:
    """A network from digits to the logits of their pixels."""
    encoder, decoder = nn.autoencoder.dense_coder((28, 28, 1), code, WIDTH, activation=jax.nn.gelu)
    return nn.autoencoder.plain_autoencoder(encoder, decoder)


def cross_entropy(logits: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, x))


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options, code: int = CODE):
    net, optimizer = autoencoder(code), adamw(RATE, length(options))
    x = jax.ShapeDtypeStruct((BATCH, 28, 28, 1), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(augmented(net, warped, cross_entropy), optimizer), train, x


def compressed(options: Options, code: int, digits: data.Split) -> Compressed:
    """Train an autoencoder with a code of the given size, and compress the test digits."""
    step, train, _ = plan(options, code)
    x, test_x = (rows.reshape(-1, 28, 28, 1) for rows in (digits.x, digits.test_x))
    steps = length(options)
    end = nn.training.fit(step, train, x, steps=steps, batch_size=BATCH, every=steps // 10)
    logits = autoencoder(code)(end.train.params, jnp.asarray(test_x))
    return Compressed(
        images=digits.test_x,
        by_components=restored(PCA(code, random_state=0).fit(digits.x), digits.test_x),
        by_network=np.asarray(jax.nn.sigmoid(logits)).reshape(-1, 784),
        end=end,
    )
