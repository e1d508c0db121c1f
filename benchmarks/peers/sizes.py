"""What every framework is given: the titles of the cases, and the same data in NumPy."""

import numpy as np

CNN = "CNN of 2 convolutions and 2 dense layers, 28x28, batch 64"
RESNET = "ResNet of 3 blocks with batch norm, 32x32x3, batch 32"
DEPTHWISE = "depthwise convolution, 128 channels, 56x56, batch 8"
LSTM = "LSTM 32 to 128, 64 steps, batch 32"
LONG_LSTM = "LSTM 32 to 128, 1024 steps, batch 8"
GRU = "GRU 32 to 128, 64 steps, batch 32"
LONG_GRU = "GRU 32 to 128, 1024 steps, batch 8"
GPT = "GPT of 4 layers, 128 wide, 4 heads, 8 x 128 tokens"
LONG_GPT = "GPT of 4 layers, 128 wide, 4 heads, 1 x 1024 tokens"
DEEP_GPT = "GPT of 12 layers, 128 wide, 4 heads, 8 x 128 tokens"


def images(batch: int, side: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [batch, side, side, channels] float32 and labels [batch] int32 below 10."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((batch, side, side, channels), np.float32)
    return x, generator.integers(0, 10, batch, np.int32)


def series(batch: int, time: int, features: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences [batch, time, features] and targets [batch, time, width], float32."""
    draw = np.random.default_rng(0).standard_normal
    return draw((batch, time, features), np.float32), draw((batch, time, width), np.float32)


def tokens(batch: int, time: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [batch, time] int32, and those one step ahead."""
    drawn = np.random.default_rng(0).integers(0, vocabulary, (batch, time + 1), np.int32)
    return drawn[:, :-1], drawn[:, 1:]


def flops(title: str) -> int:
    """Floating-point operations a step needs; attention that looks back needs half its products."""
    return step_flops(*_MULTIPLY_ADDS[title])


def step_flops(first: int, others: int) -> int:
    """Floating-point operations a step needs: those of its matmuls and convolutions.

    A multiply and an add each; forward, for the weights' gradient and, but in a first layer, for
    the input's gradient.

    Args:
      first, others: multiply-adds forward, of the first layer and of the others.
    """
    return 2 * (2 * first + 3 * others)


def _gpt(batch: int, time: int, depth: int = 4) -> tuple[int, int]:
    a_token = depth * (12 * 128**2 + 128 * (time + 1)) + 65 * 128
    return 0, batch * time * a_token


_MULTIPLY_ADDS = {  # forward, of the first layer and of the others
    CNN: (64 * 784 * 9 * 32, 64 * (196 * 9 * 32 * 64 + 3136 * 128 + 128 * 10)),
    RESNET: (
        32 * 1024 * 27 * 16,
        32 * (1024 * 2 * 9 * 16**2 + 256 * (9 * 16 * 32 + 9 * 32**2 + 16 * 32))
        + 32 * (64 * (9 * 32 * 64 + 9 * 64**2 + 32 * 64) + 64 * 10),
    ),
    DEPTHWISE: (8 * 3136 * 16 * 128, 8 * (3136 * 9 * 128 + 128 * 10)),
    LSTM: (64 * 32 * 32 * 512, 64 * 32 * 128 * 512),
    LONG_LSTM: (1024 * 8 * 32 * 512, 1024 * 8 * 128 * 512),
    GRU: (64 * 32 * 32 * 384, 64 * 32 * 128 * 384),
    LONG_GRU: (1024 * 8 * 32 * 384, 1024 * 8 * 128 * 384),
    GPT: _gpt(8, 128),
    LONG_GPT: _gpt(1, 1024),
    DEEP_GPT: _gpt(8, 128, 12),
}
