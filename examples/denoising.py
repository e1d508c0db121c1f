"""A convolutional network takes the noise out of a photograph, beside non-local means.

Noise of a known deviation, 25 of 255 grey values, lies on the camera man; the network learned on
the nine other photographs, whole and at three quarters and half of their size, and never saw him.
It works at half the resolution on many channels, which sees further and costs less than one at the
full resolution, and it predicts the noise: what it takes away. Every step adds fresh noise to
crops that are turned and mirrored at random. The result is the mean over the eight turned and
mirrored views of the noisy picture, each turned back. Width, depth and steps were chosen with the
astronaut held out.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from skimage.restoration import denoise_nl_means
from skimage.transform import rescale

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 29.1  # dB
SIGMA = 25 / 255
TEST = "camera"
WIDTH, DEPTH = 96, 6
CROP, STRIDE, SCALES = 48, 32, (1.0, 0.75, 0.5)
BATCH, STEPS, QUICK_STEPS = 8, 3200, 20


def denoiser(width: int, depth: int) -> nn.Layer:
    """y = x - noise(x), of pictures [batch, height, width, 1] with even sides."""
    he = jax.nn.initializers.he_normal()
    body = [nn.conv(width, 2, stride=2, w_init=he), jax.nn.relu]
    for _ in range(depth):
        body += [nn.conv(width, 3, w_init=he), jax.nn.relu]
    return nn.residual(nn.serial(*body, nn.conv(4, 3), nn.pixel_shuffle(2)))


net = denoiser(WIDTH, DEPTH)
denoise = nn.autoencoder.reconstruction(net, corrupt=nn.gaussian_noise(SIGMA))


def turned(key: jax.Array, x: jax.Array) -> jax.Array:
    """Square pictures, each transposed or not and mirrored or not along both axes."""
    for i, change in enumerate((lambda x: x.swapaxes(1, 2), lambda x: x[:, ::-1])):
        chosen = jax.random.bernoulli(jax.random.fold_in(key, i), shape=(len(x), 1, 1, 1))
        x = jnp.where(chosen, change(x), x)
    return nn.augmentation.flip(jax.random.fold_in(key, 2), x)


def loss(params, state, batch, *, key, train):
    """The squared error after denoising, in training of crops turned at random."""
    if train:
        batch = turned(jax.random.fold_in(key, 0), batch)
        key = jax.random.fold_in(key, 1)
    return denoise(params, state, batch, key=key, train=train)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.warmup_cosine_decay_schedule(0.0, 1e-3, 100, max(length(options), 200))
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(rate))
    x = jax.ShapeDtypeStruct((BATCH, CROP, CROP, 1), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, x


def crops(photographs: list[np.ndarray], scales: tuple[float, ...]) -> np.ndarray:
    """Square pieces [pieces, CROP, CROP, 1] of photographs in several sizes, STRIDE apart."""
    pieces = []
    for photograph in photographs:
        for scale in scales:
            picture = photograph if scale == 1 else rescale(photograph, scale, anti_aliasing=True)
            windows = np.lib.stride_tricks.sliding_window_view(picture, (CROP, CROP))
            pieces.append(windows[::STRIDE, ::STRIDE].reshape(-1, CROP, CROP))
    return np.concatenate(pieces)[..., None].astype(np.float32)


@jax.jit
def cleaned(params, picture: jax.Array) -> jax.Array:
    """A picture [height, width] denoised, as the mean over its eight turned and mirrored views."""

    def one(view):
        return jnp.clip(net(params, view[None, :, :, None])[0, :, :, 0], 0, 1)

    total = jnp.zeros_like(picture)
    for times in range(4):
        view = jnp.rot90(picture, times)
        there = (one(view) + one(view[:, ::-1])[:, ::-1]) / 2
        total += jnp.rot90(there, -times) / 4
    return total


def psnr(picture: np.ndarray, truth: np.ndarray) -> float:
    """The peak signal-to-noise ratio in dB, of pictures in [0, 1]."""
    return float(-10 * np.log10(np.mean((picture - truth) ** 2)))


def run(options: Options) -> Result:
    photographs = data.photographs()
    truth = photographs.pop(TEST)
    scales = (1.0,) if options.quick else SCALES
    pieces = crops(list(photographs.values()), scales)
    step, train, _ = plan(options)
    end = nn.training.fit(
        step, train, pieces, steps=length(options), batch_size=BATCH, every=length(options) // 10
    )
    # The noise of the test is a part of the data: no seed of a run moves it.
    noise = np.random.default_rng(0).normal(0, SIGMA, truth.shape)
    noisy = (truth + noise).astype(np.float32)
    means = denoise_nl_means(
        noisy, patch_size=5, patch_distance=6, h=0.6 * SIGMA, sigma=SIGMA, fast_mode=False
    )
    once = np.asarray(net(end.train.params, jnp.asarray(noisy)[None, :, :, None]))[0, :, :, 0]
    made = {
        "noisy": noisy,
        "the network": np.asarray(cleaned(end.train.params, jnp.asarray(noisy))),
        "non-local means": means,
        "clean": truth,
    }
    return Result(
        checks=(Check("psnr", psnr(made["the network"], truth), THRESHOLD),),
        baseline="non-local means, told the deviation of the noise",
        baseline_value=psnr(means, truth),
        steps=length(options),
        parameters=nn.count_params(train.params),
        metrics={
            "psnr_noisy": psnr(noisy, truth),
            "psnr_of_one_view": psnr(np.clip(once, 0, 1), truth),
            "crops": float(len(pieces)),
        },
        history=end.history,
        figures={"camera": draw(made, truth)},
    )


def draw(made: dict[str, np.ndarray], truth: np.ndarray) -> Figure:
    """All versions of the picture, whole and a part of it enlarged."""
    figure = Figure(figsize=(15, 8), layout="constrained")
    figure.suptitle(
        "The camera man with noise of 25 grey values, and without it again", fontsize=15
    )
    corner = (slice(90, 230), slice(170, 310))
    for column, (title, picture) in zip(figure.subplots(2, len(made)).T, made.items(), strict=True):
        value = "" if title == "clean" else f", {psnr(picture, truth):.2f} dB"
        column[0].set_title(title + value, fontsize=12)
        for axes, part in zip(column, (picture, picture[corner]), strict=True):
            axes.imshow(part, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.axis("off")
    return figure
