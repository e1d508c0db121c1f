"""The spiking case of `benchmarks/families.py` in snnTorch: the net of its own tutorial."""

from collections.abc import Callable

import snntorch
import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.peers import cases, data
from benchmarks.peers.torch.layers import trained


class Spiking(nn.Module):
    """Two layers of leaky neurons that see the same image at every step.

    With `hoisted` the currents of the first layer are computed once and not at every step.
    """

    def __init__(self, hoisted: bool):
        super().__init__()
        self.hoisted = hoisted
        neurons, decay = cases.SPIKING_NEURONS, cases.SPIKING_DECAY
        self.first, self.last = nn.Linear(784, neurons), nn.Linear(neurons, 10)
        self.hidden, self.out = snntorch.Leaky(beta=decay), snntorch.Leaky(beta=decay)

    def forward(self, x):
        u, v = self.hidden.reset_mem(), self.out.reset_mem()
        current = self.first(x) if self.hoisted else None
        membranes = []
        for _ in range(cases.SPIKING_STEPS):
            spikes, u = self.hidden(self.first(x) if current is None else current, u)
            _, v = self.out(self.last(spikes), v)
            membranes.append(v)
        return torch.stack(membranes)


def entropy(membranes, labels):
    """The cross entropy of every step, summed over the steps."""
    return sum(fn.cross_entropy(membrane, labels) for membrane in membranes)


def spiking(hoisted: bool = False):
    return trained(Spiking(hoisted), entropy, *data.digits())


CASES: dict[str, Callable] = {cases.SPIKING: spiking}
