"""The data of the cases in NumPy: drawn from a fixed seed, the same for every framework."""

import numpy as np

from benchmarks.peers import cases


def normal(*shapes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Arrays of standard normal numbers, float32."""
    draw = np.random.default_rng(0).standard_normal
    return tuple(draw(shape, np.float32) for shape in shapes)


def images(
    batch: int, side: int, channels: int, classes: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Images [batch, side, side, channels] float32, and labels [batch] int32."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((batch, side, side, channels), np.float32)
    return x, generator.integers(0, classes, batch, np.int32)


def series(batch: int, time: int, features: int, width: int) -> tuple[np.ndarray, ...]:
    """Sequences [batch, time, features] and targets [batch, time, width], float32."""
    return normal((batch, time, features), (batch, time, width))


def tokens(batch: int, time: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [batch, time] int32, and the same tokens one step later."""
    drawn = np.random.default_rng(0).integers(0, vocabulary, (batch, time + 1), np.int32)
    return drawn[:, :-1], drawn[:, 1:]


def prompts() -> np.ndarray:
    """Tokens int32 [rows, time] after which a net generates."""
    return tokens(cases.PROMPT_ROWS, cases.PROMPT_LENGTH, cases.VOCABULARY)[0]


def labeled_images(title: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [rows, side, side, channels] and labels [rows] below 10, of a classifier's case."""
    side, channels = (32, 3) if title == cases.RESNET_18 else (28, 1)
    return images(cases.IMAGES[title], side, channels)


def unet_images() -> tuple[np.ndarray, ...]:
    """Images and targets [rows, 64, 64, 1] of the U-Net."""
    shape = (cases.IMAGES[cases.UNET], 64, 64, 1)
    return normal(shape, shape)


def dcgan_images() -> np.ndarray:
    """Images [rows, 28, 28, 1] of the DCGAN, from -1 to 1."""
    shape = (cases.IMAGES[cases.DCGAN], 28, 28, 1)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def vae_pixels() -> np.ndarray:
    """Pixels [rows, 784] of the variational autoencoder, 0 or 1."""
    shape = (cases.IMAGES[cases.VAE], 784)
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.float32)


def clusters() -> tuple[np.ndarray, np.ndarray]:
    """Rows [4000, 784] around the centers of ten classes, and one-hot labels [4000, 10]."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 4000)
    centers = generator.random((10, 784), np.float32)
    noise = generator.random((4000, 784), np.float32)
    return (centers[labels] + noise) / 2, np.eye(10, dtype=np.float32)[labels]


def som_rows() -> np.ndarray:
    """Rows [1797, 64] of the self-organizing map, from 0 to 1, float32."""
    return np.random.default_rng(0).random((1797, 64), np.float32)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images as rows [128, 784] float32, and their labels [128] int32."""
    x, y = images(cases.DIGIT_ROWS, 28, 1)
    return x.reshape(len(x), -1), y


def mixture_rows() -> tuple[np.ndarray, ...]:
    """Inputs and targets [rows, features] of the mixture of experts, float32."""
    shape = (cases.MIXTURE_ROWS, cases.MIXTURE_FEATURES)
    return normal(shape, shape)


def citations() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A graph of Cora's size: words of each node, ends of each edge, and labels.

    A few nodes have many links; no link occurs twice, and each is present in both directions.

    Returns:
      Words [nodes, words] float32, few of them nonzero; ends [2, edges] int32; labels [nodes]
      int32.
    """
    nodes, links, words = cases.GRAPH_NODES, cases.GRAPH_LINKS, cases.GRAPH_WORDS
    generator = np.random.default_rng(0)
    x = (generator.random((nodes, words)) < 18 / words).astype(np.float32)
    x /= np.maximum(x.sum(1, keepdims=True), 1)
    popularity = 1 / np.arange(1, nodes + 1) ** 0.5
    pairs = generator.choice(nodes, (4 * links, 2), p=popularity / popularity.sum())
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
    pairs = generator.permutation(pairs)[:links]
    ends = np.concatenate([pairs, pairs[:, ::-1]]).T.astype(np.int32)
    return x, ends, generator.integers(0, cases.GRAPH_CLASSES, nodes, np.int32)


def card_tokens(quick: bool) -> tuple[np.ndarray, ...]:
    """Tokens [8, 1024] and the same tokens one step later; only the first row if quick."""
    both = tokens(cases.CARD_ROWS, cases.CARD_LENGTH, cases.CARD_VOCABULARY)
    return tuple(array[:1] if quick else array for array in both)


def card_images(quick: bool) -> tuple[np.ndarray, ...]:
    """Images [64, 224, 224, 3] and labels below 1000; only the first two rows if quick."""
    return tuple(array[:2] if quick else array for array in images(64, 224, 3, 1000))


def card_digits() -> tuple[np.ndarray, np.ndarray]:
    """Rows [256, 784] float32 from 0 to 1, and labels [256] int32."""
    generator = np.random.default_rng(0)
    return generator.random((256, 784), np.float32), generator.integers(0, 10, 256, np.int32)


def card_graph() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [100000, 128] float32, ends [2, 1000000] int32, and labels [100000] int32."""
    nodes, edges = 100_000, 1_000_000
    generator = np.random.default_rng(0)
    x = generator.standard_normal((nodes, 128), np.float32)
    ends = generator.integers(0, nodes, (2, edges), np.int32)
    return x, ends, generator.integers(0, 16, nodes, np.int32)
