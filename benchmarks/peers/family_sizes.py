"""What every framework is given for `benchmarks/families.py`: titles, and the same NumPy data."""

import numpy as np

from benchmarks.peers import sizes

RBF = "RBF network of 1000 centres, fitted to 4000 rows of 784, 10 classes"
RBF_STEP = "RBF network 784-1000-10, batch 128"
SOM = "self-organizing map of 10x10, a pass over 1797 rows of 64"
SPIKING = "spiking net 784-1000-10, 25 steps, batch 128"
CENTRES, PENALTY, WIDTH = 1000, 1e-3, 5.0
BATCH, NEURONS, STEPS, DECAY = 128, 1000, 25, 0.95  # of the spiking net


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Rows [4000, 784] near one of ten middles, float32, and ones for their class [4000, 10]."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 4000)
    middles = generator.random((10, 784), np.float32)
    noise = generator.random((4000, 784), np.float32)
    return (middles[labels] + noise) / 2, np.eye(10, dtype=np.float32)[labels]


def small() -> np.ndarray:
    """Rows [1797, 64] from 0 to 1, float32."""
    return np.random.default_rng(0).random((1797, 64), np.float32)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures as rows [BATCH, 784] float32, and their labels."""
    x, y = sizes.images(BATCH, 28, 1)
    return x.reshape(BATCH, -1), y
