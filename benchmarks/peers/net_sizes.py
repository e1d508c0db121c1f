"""What every framework is given for `benchmarks/nets.py`: titles, and the same data in NumPy."""

import numpy as np

from benchmarks.peers import sizes

LENET = "LeNet, 28x28, batch 64"
RESNET = "ResNet-18, 32x32x3, batch 16"
UNET = "U-Net of 4 levels, 64x64, batch 8"
DCGAN = "DCGAN, a step of each net, 28x28, batch 64"
VAE = "variational autoencoder 784-400-20, batch 128"
CAPSNET = "CapsNet of 288 capsules, 28x28, batch 64"
ROWS = {LENET: 64, RESNET: 16, UNET: 8, DCGAN: 64, VAE: 128, CAPSNET: 64}

LATENT, CODE = 64, 20  # numbers of noise of the DCGAN; of the autoencoder's code
LEVELS = (32, 64, 128, 256)  # channels of the U-Net
MULTIPLY_ADDS = {  # forward, of the first layer and of the others
    VAE: (128 * 784 * 400, 128 * (400 * 40 + 20 * 400 + 400 * 784)),
    CAPSNET: (
        64 * 100 * 81 * 64,
        64 * (36 * 25 * 64 * 64 + 288 * 8 * 160 + 4 * 288 * 160),
    ),
}
GENERATOR = 64 * 64 * 6272, 64 * 49 * 128 * (16 * 64) + 64 * 196 * 64 * 16  # of the DCGAN
DISCRIMINATOR = 64 * 196 * 16 * 64, 64 * (49 * 64 * 16 * 128 + 6272)


def flops(title: str) -> int:
    """Floating-point operations that a step needs.

    A step of both nets runs the generator twice, once without a gradient, and the discriminator
    over real and made pictures, then over made ones for their gradient alone.
    """
    if title != DCGAN:
        return sizes.step_flops(*MULTIPLY_ADDS[title])
    generator, discriminator = sum(GENERATOR), sum(DISCRIMINATOR)
    without = GENERATOR[0] + 2 * DISCRIMINATOR[0]  # gradients of inputs that learn nothing
    return 2 * (4 * generator + 8 * discriminator - without)


def labelled(title: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [rows, side, side, channels] and labels [rows] below 10."""
    side, channels = (32, 3) if title == RESNET else (28, 1)
    return sizes.images(ROWS[title], side, channels)


def maps() -> tuple[np.ndarray, np.ndarray]:
    """Pictures and targets [rows, 64, 64, 1] of the U-Net."""
    draw = np.random.default_rng(0).standard_normal
    return draw((ROWS[UNET], 64, 64, 1), np.float32), draw((ROWS[UNET], 64, 64, 1), np.float32)


def real() -> np.ndarray:
    """Pictures [rows, 28, 28, 1] in [-1, 1] of the DCGAN."""
    return np.random.default_rng(0).uniform(-1, 1, (ROWS[DCGAN], 28, 28, 1)).astype(np.float32)


def binary() -> np.ndarray:
    """Pixels [rows, 784] of 0 and 1 of the autoencoder."""
    return np.random.default_rng(0).integers(0, 2, (ROWS[VAE], 784)).astype(np.float32)
