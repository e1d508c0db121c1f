"""The cases of `benchmarks/layers.py` in PyTorch, eager; those of sequences compiled if asked."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.peers import sizes

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

    return run, sum(each.numel() for each in net.parameters())


def pictures(net: Any, batch: int, side: int, channels: int):
    """Channels come first, as its users have them."""
    x, y = sizes.images(batch, side, channels)
    return trained(net, fn.cross_entropy, x.transpose(0, 3, 1, 2).copy(), y)


def cnn():
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    return pictures(net, 64, 28, 1)


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            *(nn.BatchNorm2d(width), nn.ReLU()),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        short = nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        self.short = nn.Sequential(*short) if stride > 1 else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.short(x))


def resnet():
    net = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )
    return pictures(net, 32, 32, 3)


def depthwise():
    net = nn.Sequential(
        *(nn.Conv2d(16, 128, 1), nn.Conv2d(128, 128, 3, padding=1, groups=128), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10)),
    )
    return pictures(net, 8, 56, 16)


class Outputs(nn.Module):
    """Every output of a recurrent net, without its last memory."""

    def __init__(self, net: Any):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)[0]


def recurrent(make: Any, batch: int, time: int, compiled: bool = False):
    net = Outputs(make(32, 128, batch_first=True))
    return trained(net, fn.mse_loss, *sizes.series(batch, time, 32, 128), compiled)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(128, 384), nn.Linear(128, 128)

    def forward(self, x):
        batch, time, _ = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, 4, 32).permute(2, 0, 3, 1, 4)
        y = fn.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, time, 128))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(128), Attention())
        self.mlp = nn.Sequential(
            nn.LayerNorm(128), nn.Linear(128, 512), nn.GELU("tanh"), nn.Linear(512, 128)
        )

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.mlp(x)


class Gpt(nn.Module):
    def __init__(self, time: int, depth: int):
        super().__init__()
        self.tokens = nn.Embedding(65, 128)
        self.positions = nn.Parameter(0.02 * torch.randn(time, 128))
        self.blocks = nn.Sequential(*(Transformer() for _ in range(depth)))
        self.head = nn.Sequential(nn.LayerNorm(128), nn.Linear(128, 65))

    def forward(self, x):
        return self.head(self.blocks(self.tokens(x) + self.positions))


def gpt(batch: int, time: int, depth: int = 4, compiled: bool = False):
    def loss(logits, y):
        return fn.cross_entropy(logits.flatten(0, 1), y.flatten())

    return trained(Gpt(time, depth), loss, *sizes.tokens(batch, time, 65), compiled)


CASES = {
    sizes.CNN: cnn,
    sizes.RESNET: resnet,
    sizes.DEPTHWISE: depthwise,
    sizes.LSTM: lambda: recurrent(nn.LSTM, 32, 64),
    sizes.LONG_LSTM: lambda: recurrent(nn.LSTM, 8, 1024),
    sizes.GRU: lambda: recurrent(nn.GRU, 32, 64),
    sizes.LONG_GRU: lambda: recurrent(nn.GRU, 8, 1024),
    sizes.GPT: lambda: gpt(8, 128),
    sizes.LONG_GPT: lambda: gpt(1, 1024),
}
