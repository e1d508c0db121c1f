"""The next frame of a clip, by a kernel for each pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import ndimage
from skimage.registration import phase_cross_correlation

import jaxnn as nn
from examples import Options

SIZE = (96, 176)  # pixels of a frame
TRAINING_FRAMES = 92  # of the clip; the last 23 are for test
PAST = 3  # frames that the network sees
REACH = 2  # pixels from the middle of a kernel to its edge
TAPS = PAST * (2 * REACH + 1) ** 2  # numbers in a kernel
WIDTH = 24  # channels
CROP = 64  # pixels along each side of a training crop
RATE = 5e-3  # the highest learning rate
DECAY = 0.01  # of the weights
BATCH = 8
STEPS = 400
QUICK_STEPS = 10


def differences(past: jax.Array) -> jax.Array:
    """Each pixel's neighbors in all frames, less itself in the last frame: [..., TAPS]."""
    padded = jnp.pad(past, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    side, (rows, columns) = 2 * REACH + 1, past.shape[1:3]
    taps = [padded[:, i : i + rows, j : j + columns] for i in range(side) for j in range(side)]
    return jnp.concatenate(taps, axis=-1) - past[..., -1:]


def next_frame(f, past: jax.Array) -> jax.Array:
    """The next frame [batch, height, width] of frames [batch, height, width, PAST]."""
    last = past[..., -1:]
    slopes = [jnp.roll(last, -1, axis) - jnp.roll(last, 1, axis) for axis in (1, 2)]
    changes = past[..., :-1] - last
    h = f.near(jnp.concatenate([last - 0.5, *(10 * each for each in slopes), 20 * changes], -1))
    # The camera moves the whole image: features of the whole scale those of each pixel.
    h = f.far(h * (1 + f.whole(h))[:, None, None])
    change = jnp.sum(f.kernels(h) * differences(past), axis=-1)
    return last[..., 0] + 0.1 * change


zeros = jax.nn.initializers.zeros
net = nn.wire(
    next_frame,
    near=nn.serial(
        nn.conv(WIDTH, 3),
        jax.nn.relu,
        nn.conv(WIDTH, 3, dilation=2),
        jax.nn.relu,
    ),
    whole=nn.serial(nn.global_avg_pool(), nn.dense(WIDTH), jnp.tanh, nn.dense(WIDTH, w_init=zeros)),
    far=nn.serial(
        nn.conv(WIDTH, 3, dilation=4),
        jax.nn.relu,
        nn.conv(WIDTH, 1),
        jax.nn.relu,
    ),
    # With kernels of zero, training starts from repeating the last frame.
    kernels=nn.conv(TAPS, 1, w_init=zeros),
)


def decibels(prediction: jax.Array, truth: jax.Array) -> jax.Array:
    """The peak signal-to-noise ratio of each image in [0, 1], in dB."""
    return -10 * jnp.log10(jnp.mean(jnp.square(prediction - truth), axis=(1, 2)))


def loss(params, state, x, *, key, train):
    """The mean logarithm of the squared error of windows [batch, height, width, PAST + 1]."""
    if train:
        x = nn.augmentation.crop(jax.random.fold_in(key, 0), x, CROP)
    truth, repeated = x[..., -1], x[..., -2]
    prediction = net(params, x[..., :-1])
    error = jnp.mean(jnp.square(prediction - truth), axis=(1, 2))
    ratio = decibels(prediction, truth)
    gain = jnp.mean(ratio - decibels(repeated, truth))
    # Without the small constant, crops in which nothing moves would dominate the loss.
    return jnp.mean(jnp.log(error + 1e-5)), ((), {"psnr": jnp.mean(ratio), "gain": gain})


def windows(clip: np.ndarray, first: int, last: int) -> np.ndarray:
    """Each frame from `first` to before `last`, after the PAST frames before it."""
    frames = clip.transpose(1, 2, 0)
    each = range(max(first, PAST), last)
    return np.stack([frames[..., i - PAST : i + 1] for i in each])


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.cosine_onecycle_schedule(length(options), RATE, pct_start=0.1)
    optimizer = optax.adamw(rate, weight_decay=DECAY, mask=nn.decayed)
    x = jax.ShapeDtypeStruct((BATCH, *SIZE, PAST + 1), jnp.float32)
    past = jax.ShapeDtypeStruct((BATCH, CROP, CROP, PAST), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), past)
    return nn.training.step(loss, optimizer), train, x


def learn(options: Options, x: np.ndarray) -> nn.training.FitResult:
    """Train on windows."""
    step, train, _ = plan(options)
    steps = length(options)
    every = min(50, steps // 5)
    return nn.training.fit(step, train, x, steps=steps, batch_size=BATCH, every=every)


def predictions(params, known: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """The last frames of test windows, as predicted by the network and by the baselines."""
    predict = jax.jit(lambda past: net(params, past))
    parts = [predict(test[i : i + 4, ..., :-1]) for i in range(0, len(test), 4)]
    past = jnp.asarray(test[..., :-1])
    kernel = one_kernel(known[::4])  # neighboring windows are nearly the same
    return {
        "network": np.concatenate(parts),
        "one kernel": test[..., -2] + np.asarray(differences(past)) @ kernel,
        "last frame, moved": np.stack([moved_on(past) for past in test[..., :-1]]),
        "last frame": test[..., -2],
    }


def moved_on(past: np.ndarray) -> np.ndarray:
    """The last of frames [height, width, PAST], moved by the shift between the last two."""
    shift, _, _ = phase_cross_correlation(past[..., -1], past[..., -2], upsample_factor=100)
    return ndimage.shift(past[..., -1], shift, order=5, mode="nearest")


def one_kernel(x: np.ndarray) -> np.ndarray:
    """The kernel [TAPS] for all pixels of windows, by least squares."""
    products, targets = np.zeros((TAPS, TAPS)), np.zeros(TAPS)
    jitted_differences = jax.jit(differences)
    for window in x:
        rows = jitted_differences(window[None, ..., :-1])
        rows = np.asarray(rows, np.float64).reshape(-1, TAPS)
        products += rows.T @ rows
        targets += rows.T @ (window[..., -1] - window[..., -2]).ravel()
    return np.linalg.lstsq(products, targets, rcond=None)[0]
