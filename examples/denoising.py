"""A convolutional network removes the noise from a photograph, compared with non-local means.

Noise of a known standard deviation, 25 of 255 gray values, is added to the photograph of the
cameraman. The network is trained on the nine other photographs, at full size and at three quarters
and half of it. It works at half the resolution with many channels, which sees further and costs
less than full resolution, and it predicts the noise, which is then subtracted. Every step adds new
noise to crops that are randomly transposed and mirrored. The result is the mean over the eight
rotated and mirrored views of the noisy photograph, each turned back. Width, depth and number of
steps were chosen with the photograph of the astronaut held out.
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
SIGMA = 25 / 255  # the standard deviation of the noise
TEST = "camera"  # the photograph to test on
WIDTH = 96  # channels
DEPTH = 6  # convolutions at half the resolution
CROP = 48  # pixels along each side
STRIDE = 32  # pixels from one crop to the next
SCALES = (1.0, 0.75, 0.5)  # the sizes at which photographs are cropped
RATE = 1e-3  # the highest learning rate
CLIP = 0.1  # the largest norm of the gradient
BATCH = 8
STEPS = 3200
QUICK_STEPS = 20


def denoiser(width: int, depth: int) -> nn.Layer:
    """y = x - noise(x), for images [batch, height, width, 1] with even sides."""
    he = jax.nn.initializers.he_normal()
    body = [nn.conv(width, 2, stride=2, w_init=he), jax.nn.relu]
    for _ in range(depth):
        body += [nn.conv(width, 3, w_init=he), jax.nn.relu]
    return nn.residual(nn.serial(*body, nn.conv(4, 3), nn.pixel_shuffle(2)))


net = denoiser(WIDTH, DEPTH)
denoise = nn.autoencoder.reconstruction(net, corrupt=nn.gaussian_noise(SIGMA))


def turned(key: jax.Array, x: jax.Array) -> jax.Array:
    """Square images, each transposed or not, and mirrored or not along both axes."""
    for i, change in enumerate((lambda x: x.swapaxes(1, 2), lambda x: x[:, ::-1])):
        chosen = jax.random.bernoulli(jax.random.fold_in(key, i), shape=(len(x), 1, 1, 1))
        x = jnp.where(chosen, change(x), x)
    return nn.augmentation.flip(jax.random.fold_in(key, 2), x)


def loss(params, state, batch, *, key, train):
    """The squared error after denoising; in training, of crops turned at random."""
    if train:
        batch = turned(jax.random.fold_in(key, 0), batch)
        key = jax.random.fold_in(key, 1)
    return denoise(params, state, batch, key=key, train=train)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, 100, max(length(options), 200))
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP), optax.adam(rate))
    x = jax.ShapeDtypeStruct((BATCH, CROP, CROP, 1), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, x


def crops(photographs: list[np.ndarray], scales: tuple[float, ...]) -> np.ndarray:
    """Square crops [crops, CROP, CROP, 1] of photographs at several scales, STRIDE apart."""
    pieces = []
    for photograph in photographs:
        for scale in scales:
            image = photograph if scale == 1 else rescale(photograph, scale, anti_aliasing=True)
            windows = np.lib.stride_tricks.sliding_window_view(image, (CROP, CROP))
            pieces.append(windows[::STRIDE, ::STRIDE].reshape(-1, CROP, CROP))
    return np.concatenate(pieces)[..., None].astype(np.float32)


@jax.jit
def cleaned(params, image: jax.Array) -> jax.Array:
    """An image [height, width] denoised, as the mean over its eight rotated and mirrored views."""

    def one(view):
        return jnp.clip(net(params, view[None, :, :, None])[0, :, :, 0], 0, 1)

    total = jnp.zeros_like(image)
    for times in range(4):
        view = jnp.rot90(image, times)
        both = (one(view) + one(view[:, ::-1])[:, ::-1]) / 2
        total += jnp.rot90(both, -times) / 4
    return total


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """The peak signal-to-noise ratio in dB, for images in [0, 1]."""
    return float(-10 * np.log10(np.mean((image - truth) ** 2)))


def non_local_means(noisy: np.ndarray) -> np.ndarray:
    return denoise_nl_means(
        noisy, patch_size=5, patch_distance=6, h=0.6 * SIGMA, sigma=SIGMA, fast_mode=False
    )


def run(options: Options) -> Result:
    photographs = data.photographs()
    truth = photographs.pop(TEST)
    pieces = crops(list(photographs.values()), (1.0,) if options.quick else SCALES)
    step, train, _ = plan(options)
    steps = length(options)
    end = nn.training.fit(step, train, pieces, steps=steps, batch_size=BATCH, every=steps // 10)
    params = end.train.params
    # The noise of the test is a part of the data: it is the same for every seed of a run.
    noise = np.random.default_rng(0).normal(0, SIGMA, truth.shape)
    noisy = (truth + noise).astype(np.float32)
    once = np.asarray(net(params, jnp.asarray(noisy)[None, :, :, None]))[0, :, :, 0]
    versions = {
        "noisy": noisy,
        "the network": np.asarray(cleaned(params, jnp.asarray(noisy))),
        "non-local means": non_local_means(noisy),
        "clean": truth,
    }
    ratios = {title: psnr(image, truth) for title, image in versions.items() if title != "clean"}
    return Result(
        checks=(Check("psnr", ratios["the network"], THRESHOLD),),
        baseline="non-local means, given the standard deviation of the noise",
        baseline_value=ratios["non-local means"],
        steps=steps,
        parameters=nn.count_params(params),
        metrics={"psnr_noisy": ratios["noisy"]}
        | {"psnr_of_one_view": psnr(np.clip(once, 0, 1), truth), "crops": float(len(pieces))},
        history=end.history,
        figures={"camera": draw(versions, ratios)},
    )


def draw(versions: dict[str, np.ndarray], ratios: dict[str, float]) -> Figure:
    """All versions of the photograph, each whole and with a part enlarged."""
    figure = Figure(figsize=(15, 8), layout="constrained")
    figure.suptitle(
        "The cameraman with noise of 25 gray values, and with the noise removed", fontsize=15
    )
    part = (slice(90, 230), slice(170, 310))
    columns = figure.subplots(2, len(versions)).T
    for column, (title, image) in zip(columns, versions.items(), strict=True):
        value = f", {ratios[title]:.2f} dB" if title in ratios else ""
        column[0].set_title(title + value, fontsize=12)
        for axes, shown in zip(column, (image, image[part]), strict=True):
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.axis("off")
    return figure
