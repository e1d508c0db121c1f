"""The table of all sizes: the titles of the cases, what one step of them takes in, and its flops.

`data.py` makes the arrays that go with it. Every framework reads both, so that all of them compute
the same thing.
"""

# Layers.
CNN = "CNN of 2 convolutions and 2 dense layers, 28x28, batch 64"
SMALL_RESNET = "ResNet of 3 blocks with batch norm, 32x32x3, batch 32"
DEPTHWISE = "depthwise convolution, 128 channels, 56x56, batch 8"
LSTM = "LSTM 32 to 128, 64 steps, batch 32"
LONG_LSTM = "LSTM 32 to 128, 1024 steps, batch 8"
GRU = "GRU 32 to 128, 64 steps, batch 32"
LONG_GRU = "GRU 32 to 128, 1024 steps, batch 8"
GPT = "GPT of 4 layers, 128 wide, 4 heads, 8 x 128 tokens"
LONG_GPT = "GPT of 4 layers, 128 wide, 4 heads, 1 x 1024 tokens"

# Nets.
LENET = "LeNet, 28x28, batch 64"
RESNET_18 = "ResNet-18, 32x32x3, batch 16"
UNET = "U-Net of 4 levels, 64x64, batch 8"
DCGAN = "DCGAN, a step of each net, 28x28, batch 64"
VAE = "variational autoencoder 784-400-20, batch 128"
CAPSNET = "CapsNet of 288 capsules, 28x28, batch 64"
IMAGES = {LENET: 64, RESNET_18: 16, UNET: 8, DCGAN: 64, VAE: 128, CAPSNET: 64}  # a step
UNET_WIDTHS = (32, 64, 128, 256)  # channels of each level
DCGAN_NOISE, VAE_CODE = 64, 20  # features

# Sequences.
DEEP_GPT = "GPT of 12 layers, 128 wide, 4 heads, 8 x 128 tokens"
VOCABULARY = 65
TOKENS = {GPT: 1024, DEEP_GPT: 1024, LSTM: 2048, GRU: 2048}  # a training step
PROMPT_ROWS, PROMPT_LENGTH = 8, 128
GENERATED = {  # tokens generated in each row, the first one included
    f"GPT of 4 layers, {count} {noun} after {PROMPT_ROWS} x {PROMPT_LENGTH}": count
    for count, noun in ((1, "token"), (129, "tokens"), (897, "tokens"))
}

# Families.
RBF_FIT = "RBF network of 1000 centers, fitted to 4000 rows of 784, 10 classes"
RBF_CENTERS, RBF_PENALTY, RBF_WIDTH = 1000, 1e-3, 5.0
RBF_NET = "RBF network 784-1000-10, batch 128"
SOM = "self-organizing map of 10x10, a pass over 1797 rows of 64"
SPIKING = "spiking net 784-1000-10, 25 steps, batch 128"
SPIKING_NEURONS, SPIKING_STEPS, SPIKING_DECAY = 1000, 25, 0.95
DIGIT_ROWS = 128  # a batch of RBF_NET and of SPIKING
GCN = "GCN 1433-16-7, an epoch of a graph of Cora's size, Adam"
GAT = "GAT of 8 heads of 8, an epoch of a graph of Cora's size, Adam"
GRAPH_NODES, GRAPH_LINKS, GRAPH_WORDS, GRAPH_CLASSES, GRAPH_LABELED = 2708, 5278, 1433, 7, 140
DENSE = "dense feedforward layer of as many multiply-adds, 2048 rows"
TOP_1 = "mixture of 8 experts, each row to 1, 2048 rows"
TOP_2 = "mixture of 8 experts, each row to 2, 2048 rows"
MIXTURE_ROWS, MIXTURE_FEATURES, MIXTURE_WIDTH, MIXTURE_EXPERTS = 2048, 256, 1024, 8

# The sizes of a card, for `benchmarks/card.py`.
CARD_GPT = "GPT 12 x 768, 8 x 1024 tokens"
CARD_ROWS, CARD_LENGTH, CARD_VOCABULARY, CARD_WIDTH, CARD_DEPTH, CARD_HEADS = (
    *(8, 1024, 50304),
    *(768, 12, 12),
)
CARD_RESNET = "ResNet-50, 64 x 224 x 224"
CARD_LSTM = "LSTM of 1024, 64 x 128"
CARD_SPIKING = "spiking 784-1024-10, 100 steps, 256 rows"
CARD_GCN = "GCN 128-128-16, 100,000 nodes, 1,000,000 edges"
CARD_MATMUL, CARD_COPY = "product of 8192 x 8192", "copy of 1 GiB"


def flops(title: str) -> int:
    """Floating-point operations that a training step needs: those of its matmuls and convolutions.

    Causal attention needs half of its products. Distances count one multiply-add a feature, as
    their matrix product would; a self-organizing map counts its distances and the weighted sums
    that move its units. A step of the DCGAN runs the generator twice, once without a gradient, and
    the discriminator on real and generated images, then on generated ones for the input gradient
    alone.
    """
    if title != DCGAN:
        return step_flops(*MULTIPLY_ADDS[title])
    generator, discriminator = sum(DCGAN_GENERATOR), sum(DCGAN_DISCRIMINATOR)
    # The first layers compute no gradient of inputs that nothing is learned from.
    not_needed = DCGAN_GENERATOR[0] + 2 * DCGAN_DISCRIMINATOR[0]
    return 2 * (4 * generator + 8 * discriminator - not_needed)


def step_flops(first: int, others: int) -> int:
    """Floating-point operations of a step, from the multiply-adds of its forward pass.

    Each product is computed forward, for the weight gradient and, except in the first layer, for
    the input gradient.

    Args:
      first: multiply-adds of the first layer.
      others: multiply-adds of all other layers.
    """
    return 2 * (2 * first + 3 * others)


def _gpt(batch: int, time: int, depth: int = 4) -> tuple[int, int]:
    per_token = depth * (12 * 128**2 + 128 * (time + 1)) + VOCABULARY * 128
    return 0, batch * time * per_token


MULTIPLY_ADDS = {  # of the forward pass: the first layer's, and those of all others
    CNN: (64 * 784 * 9 * 32, 64 * (196 * 9 * 32 * 64 + 3136 * 128 + 128 * 10)),
    SMALL_RESNET: (
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
    VAE: (128 * 784 * 400, 128 * (400 * 40 + 20 * 400 + 400 * 784)),
    CAPSNET: (64 * 100 * 81 * 64, 64 * (36 * 25 * 64 * 64 + 288 * 8 * 160 + 4 * 288 * 160)),
    RBF_NET: (128 * 784 * 1000, 128 * 1000 * 10),
    SPIKING: (128 * 784 * 1000, 25 * 128 * 1000 * 10),
    SOM: (1797 * 64 * 100, 0),
    TOP_2: (2048 * 256 * (1024 + 8), 2048 * 256 * 1024),
    GCN: (2708 * 1433 * 16, 2708 * 16 * 7),
}
DCGAN_GENERATOR = 64 * 64 * 6272, 64 * 49 * 128 * (16 * 64) + 64 * 196 * 64 * 16
DCGAN_DISCRIMINATOR = 64 * 196 * 16 * 64, 64 * (49 * 64 * 16 * 128 + 6272)
