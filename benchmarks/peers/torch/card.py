"""The cases of `benchmarks/card.py` in PyTorch: eager, bfloat16 by autocast.

A case is built by a function (dtype, quick) that returns (run, wait, facts): `run()` starts one
step and returns its result, `wait(result)` returns when that result is ready.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.peers import cases, data
from benchmarks.peers.torch.layers import Gpt, Outputs, token_loss

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def stepped(dtype: str, net: Any, loss: Callable, x: Any, y: Any, optimizer: Any = None):
    torch.set_float32_matmul_precision("highest" if dtype == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = dtype != "float32"
    net = net.to(DEVICE)
    params = net.parameters()
    optimizer = optimizer(params) if optimizer else torch.optim.SGD(params, 1e-3, 0.9)
    inputs = [torch.as_tensor(a).to(DEVICE) for a in (x if isinstance(x, tuple) else (x,))]
    y = torch.as_tensor(y).to(DEVICE)
    y = y if y.is_floating_point() else y.long()
    autocast = torch.autocast(DEVICE.type, torch.bfloat16, enabled=dtype == "bfloat16")

    def run():
        optimizer.zero_grad()
        with autocast:
            value = loss(net(*inputs), y)
        value.backward()
        optimizer.step()
        return value

    return run, lambda value: float(value.detach()), {}


def gpt(dtype: str, quick: bool):
    net = Gpt(
        *(cases.CARD_LENGTH, 2 if quick else cases.CARD_DEPTH),
        *(cases.CARD_VOCABULARY, cases.CARD_WIDTH, cases.CARD_HEADS),
        tied=True,
    )
    adam = partial(torch.optim.AdamW, lr=3e-4, fused=DEVICE.type == "cuda")
    return stepped(dtype, net, token_loss, *data.card_tokens(quick), optimizer=adam)


def resnet(dtype: str, quick: bool):
    from torchvision.models import resnet50

    x, y = data.card_images(quick)
    x = torch.as_tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    net = resnet50().to(memory_format=torch.channels_last)
    return stepped(dtype, net, fn.cross_entropy, x, y)


def lstm(dtype: str, quick: bool):
    net = Outputs(nn.LSTM(1024, 1024, batch_first=True))
    return stepped(dtype, net, fn.mse_loss, *data.series(64, 128, 1024, 1024))


def gcn(dtype: str, quick: bool):
    from torch_geometric.nn import GCNConv

    from benchmarks.peers.torch_geometric.families import Net

    x, ends, y = data.card_graph()
    net = Net(GCNConv(128, 128, cached=True), GCNConv(128, 16, cached=True), fn.relu)
    adam = partial(torch.optim.Adam, lr=1e-2)
    return stepped(dtype, net, fn.cross_entropy, (x, ends.astype(np.int64)), y, adam)


CASES: dict[str, Callable] = {
    cases.CARD_GPT: gpt,
    cases.CARD_RESNET: resnet,
    cases.CARD_LSTM: lstm,
    cases.CARD_GCN: gcn,
}
ONE_DTYPE: dict[tuple[str, str], Callable] = {}
