"""The cases of `benchmarks/layers.py` in PyTorch, eager; `compiled=True` uses `torch.compile`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.peers import cases, data

RATE, MOMENTUM = 1e-3, 0.9


def trained(
    net: Any, loss: Callable, x: Any, y: Any, compiled: bool = False
) -> tuple[Callable[[int], None], int]:
    net = torch.compile(net) if compiled else net
    optimizer = torch.optim.SGD(net.parameters(), RATE, MOMENTUM)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    y = y if y.is_floating_point() else y.long()

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(net(x), y).backward()
            optimizer.step()

    return run, sum(param.numel() for param in net.parameters())


def classifier(net: Any, batch: int, side: int, channels: int):
    """Channels come first, as is usual in PyTorch."""
    x, y = data.images(batch, side, channels)
    return trained(net, fn.cross_entropy, x.transpose(0, 3, 1, 2).copy(), y)


def cnn():
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    return classifier(net, 64, 28, 1)


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            *(nn.BatchNorm2d(width), nn.ReLU()),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        shortcut = nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential(*shortcut) if stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet():
    net = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )
    return classifier(net, 32, 32, 3)


def depthwise():
    net = nn.Sequential(
        *(nn.Conv2d(16, 128, 1), nn.Conv2d(128, 128, 3, padding=1, groups=128), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)),
    )
    return classifier(net, 8, 56, 16)


class Outputs(nn.Module):
    """All outputs of a recurrent net, without its final state."""

    def __init__(self, net: Any):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0]


def recurrent(make: Any, batch: int, time: int, compiled: bool = False):
    net = Outputs(make(32, 128, batch_first=True))
    return trained(net, fn.mse_loss, *data.series(batch, time, 32, 128), compiled=compiled)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = fn.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, time, width))


class Transformer(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width, heads))
        self.mlp = nn.Sequential(
            *(nn.LayerNorm(width), nn.Linear(width, 4 * width)),
            *(nn.GELU("tanh"), nn.Linear(4 * width, width)),
        )

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


class Gpt(nn.Module):
    """A GPT whose output layer has its own weights, or with `tied` those of the embedding."""

    def __init__(
        self,
        time: int,
        depth: int,
        vocabulary: int = cases.VOCABULARY,
        width: int = 128,
        heads: int = 4,
        tied: bool = False,
    ):
        super().__init__()
        self.tokens, self.tied = nn.Embedding(vocabulary, width), tied
        if tied:
            nn.init.normal_(self.tokens.weight, std=0.02)
        self.positions = nn.Parameter(0.02 * torch.randn(time, width))
        self.blocks = nn.Sequential(*(Transformer(width, heads) for _ in range(depth)))
        output = () if tied else (nn.Linear(width, vocabulary),)
        self.head = nn.Sequential(nn.LayerNorm(width), *output)

    def forward(self, x):
        x = self.head(self.blocks(self.tokens(x) + self.positions))
        return x @ self.tokens.weight.T if self.tied else x


def token_loss(logits, y):
    return fn.cross_entropy(logits.flatten(0, 1), y.flatten())


def gpt(batch: int, time: int, depth: int = 4, compiled: bool = False):
    tokens = data.tokens(batch, time, cases.VOCABULARY)
    return trained(Gpt(time, depth), token_loss, *tokens, compiled=compiled)


CASES = {
    cases.CNN: cnn,
    cases.SMALL_RESNET: resnet,
    cases.DEPTHWISE: depthwise,
    cases.LSTM: lambda: recurrent(nn.LSTM, 32, 64),
    cases.LONG_LSTM: lambda: recurrent(nn.LSTM, 8, 1024),
    cases.GRU: lambda: recurrent(nn.GRU, 32, 64),
    cases.LONG_GRU: lambda: recurrent(nn.GRU, 8, 1024),
    cases.GPT: lambda: gpt(8, 128),
    cases.LONG_GPT: lambda: gpt(1, 1024),
}
