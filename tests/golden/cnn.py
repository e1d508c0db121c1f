"""Cases of nets put together from PyTorch's layers as its model zoo has them."""

import torch
from torch import nn

from tests.golden.make import draw, record

EPSILON = 1e-6


class Added(nn.Module):
    """y = after(shortcut(x) + body(x))."""

    def __init__(self, body, shortcut, after):
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut, after

    def forward(self, x):
        return self.after(self.shortcut(x) + self.body(x))


class Last(nn.Module):
    """Modules of channels last amid channels first."""

    def __init__(self, *modules):
        super().__init__()
        self.modules_ = nn.Sequential(*modules)

    def forward(self, x):
        return self.modules_(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Factor(nn.Module):
    """y = factor x."""

    def __init__(self, width):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * self.factor


def block(channels, width, stride, sizes):
    """A residual block of ResNet, of convolutions (width, kernel size, stride)."""
    body, before = [], channels
    for i, (out, size, by) in enumerate(sizes):
        body += [nn.ReLU()] if i else []
        body += [nn.Conv2d(before, out, size, by, size // 2, bias=False), nn.BatchNorm2d(out)]
        before = out
    shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False))
    shortcut.append(nn.BatchNorm2d(width))
    plain = stride == 1 and channels == width
    return Added(nn.Sequential(*body), nn.Identity() if plain else shortcut, nn.ReLU())


def resnet(bottleneck):
    """A stem as of large pictures, two stages of one block and a head."""
    if bottleneck:
        first = block(4, 16, 1, [(4, 1, 1), (4, 3, 1), (16, 1, 1)])
        second = block(16, 32, 2, [(8, 1, 1), (8, 3, 2), (32, 1, 1)])
    else:
        first = block(4, 4, 1, [(4, 3, 1), (4, 3, 1)])
        second = block(4, 8, 2, [(8, 3, 2), (8, 3, 1)])
    stem = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    head = nn.Linear(32 if bottleneck else 8, 5)
    return nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), first, second, *pool, head)


def convnext():
    """Two stages of one block."""

    def block(width):
        body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            Last(
                nn.LayerNorm(width, eps=EPSILON),
                nn.Linear(width, 4 * width),
                nn.GELU(approximate="tanh"),
                nn.Linear(4 * width, width),
                Factor(width),
            ),
        )
        return Added(body, nn.Identity(), nn.Identity())

    stem = nn.Conv2d(3, 4, 2, 2), Last(nn.LayerNorm(4, eps=EPSILON)), block(4)
    down = Last(nn.LayerNorm(4, eps=EPSILON)), nn.Conv2d(4, 8, 2, 2), block(8)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8, eps=EPSILON), nn.Linear(8, 5)
    return nn.Sequential(*stem, *down, *head)


def case(net, x):
    """The net's output and gradients, for params drawn by their order, with channels last."""
    net = net.double().eval()
    held = dict(net.named_parameters())
    inputs = {"x": x}
    for i, value in enumerate(held.values()):
        drawn = draw(*value.shape, seed=i)
        spread = 0.5 if value.ndim == 1 else value[0].numel() ** -0.5
        drawn = (drawn * spread + (value.ndim == 1)).float().double()
        turned = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
        inputs[f"p{i:02}"] = drawn.permute(turned)  # as ours has it, so that its gradient is too

    def forward(x, **params):
        back = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
        named = {
            name: value.permute(back[value.ndim])
            for name, value in zip(held, params.values(), strict=True)
        }
        return torch.func.functional_call(net, named, (x.permute(0, 3, 1, 2),))

    return record(forward, inputs)


def cases():
    x = draw(2, 13, 12, 3)
    return {
        "resnet of basic blocks": case(resnet(False), x),
        "resnet of bottlenecks": case(resnet(True), x),
        "convnext": case(convnext(), x),
    }
