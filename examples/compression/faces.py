"""The autoencoder of faces."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.decomposition import PCA

import jaxnn as nn
from examples import Options
from examples.compression.training import Compressed, adamw, augmented, restored

HEIGHT = 25  # pixels of a face
WIDTH = 25
MOVE = 2  # pixels by which a face is moved at most
CHANNELS = 16  # of the network that refines the image
KERNEL = 5  # pixels along each side of its kernels
RATE = 1e-3  # the highest learning rate
BATCH = 40
STEPS = 500
QUICK_STEPS = 20
QUICK_STRIDE = 9  # a quick run takes the components of every ninth move


def moved(key: jax.Array, x: jax.Array) -> jax.Array:
    """Faces [rows, pixels], each mirrored or not, and moved by up to MOVE pixels."""
    faces = x.reshape(-1, HEIGHT, WIDTH, 1)
    faces = jnp.pad(faces, ((0, 0), (MOVE, MOVE), (MOVE, MOVE), (0, 0)), mode="edge")
    faces = nn.augmentation.crop(jax.random.fold_in(key, 0), faces, (HEIGHT, WIDTH))
    return nn.augmentation.flip(jax.random.fold_in(key, 1), faces).reshape(x.shape)


def every_move(x: np.ndarray) -> np.ndarray:
    """All faces that `moved` can return."""
    faces = x.reshape(-1, HEIGHT, WIDTH)
    faces = np.pad(faces, ((0, 0), (MOVE, MOVE), (MOVE, MOVE)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(faces, (HEIGHT, WIDTH), axis=(1, 2))
    windows = windows.reshape(-1, HEIGHT, WIDTH)
    return np.concatenate([windows, windows[:, :, ::-1]]).reshape(-1, HEIGHT * WIDTH)


def principal_components(code: int, x: np.ndarray) -> PCA:
    return PCA(code, svd_solver="randomized", random_state=0).fit(x)


def autoencoder(start: PCA) -> nn.Layer:
    """Two linear maps that start as these components, and a network that refines the image."""
    spread = np.sqrt(start.explained_variance_)[:, None]
    into, back = start.components_ / spread, start.components_ * spread

    def linear(w, b):
        return nn.dense(w.shape[1], w_init=constant(w), b_init=constant(b))

    def constant(value):
        return lambda key, shape, dtype: jnp.asarray(value, dtype).reshape(shape)

    def image(x):
        return x.reshape(-1, HEIGHT, WIDTH, 1)

    refine = nn.serial(
        nn.conv(CHANNELS, KERNEL),
        jax.nn.gelu,
        nn.conv(CHANNELS, KERNEL),
        jax.nn.gelu,
        nn.conv(1, KERNEL, w_init=jax.nn.initializers.zeros),
    )
    decoder = nn.serial(linear(back, start.mean_), image, nn.residual(refine), nn.flatten())
    return nn.autoencoder.plain_autoencoder(linear(into.T, -into @ start.mean_), decoder)


def learned(options: Options, net: nn.Layer, x: np.ndarray) -> nn.training.FitResult:
    steps = QUICK_STEPS if options.quick else STEPS
    optimizer = adamw(RATE, steps)
    example = jax.ShapeDtypeStruct((BATCH, HEIGHT * WIDTH), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), example)
    step = nn.training.step(augmented(net, moved), optimizer)
    return nn.training.fit(step, train, x, steps=steps, batch_size=BATCH, every=steps // 10)


def compressed(options: Options, code: int, faces: tuple[np.ndarray, np.ndarray]) -> Compressed:
    """Train an autoencoder with a code of the given size, and compress the test faces."""
    x, test_x = faces
    mean, spread = x.mean(), x.std()
    scaled, test_scaled = (x - mean) / spread, (test_x - mean) / spread
    moves = every_move(scaled)[:: QUICK_STRIDE if options.quick else 1]
    start = principal_components(code, moves)
    net = autoencoder(start)
    end = learned(options, net, scaled)
    both = [
        restored(components, test_scaled)
        for components in (start, principal_components(code, scaled))
    ]
    better = min(both, key=lambda each: nn.mse(each, test_scaled))
    return Compressed(
        images=test_x,
        by_components=better * spread + mean,
        by_network=np.asarray(net(end.train.params, jnp.asarray(test_scaled))) * spread + mean,
        end=end,
    )
