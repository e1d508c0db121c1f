"""The spiking case of `benchmarks/families.py` in snnTorch, as its own tutorial has the net."""

from collections.abc import Callable

import snntorch
import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.peers.family_sizes import DECAY, NEURONS, SPIKING, STEPS, digits
from benchmarks.peers.layers_in_torch import trained


class Spiking(nn.Module):
    """Two layers of leaky neurons, stepped over a picture that does not change."""

    def __init__(self, hoisted: bool):
        super().__init__()
        self.hoisted = hoisted
        self.first, self.last = nn.Linear(784, NEURONS), nn.Linear(NEURONS, 10)
        self.hidden, self.out = snntorch.Leaky(beta=DECAY), snntorch.Leaky(beta=DECAY)

    def forward(self, x):
        u, v = self.hidden.reset_mem(), self.out.reset_mem()
        held = self.first(x) if self.hoisted else None
        membranes = []
        for _ in range(STEPS):
            spikes, u = self.hidden(self.first(x) if held is None else held, u)
            _, v = self.out(self.last(spikes), v)
            membranes.append(v)
        return torch.stack(membranes)


def entropy(membranes, labels):
    """The cross entropy of every step, summed over the steps."""
    return sum(fn.cross_entropy(each, labels) for each in membranes)


def spiking(hoisted: bool = False):
    return trained(Spiking(hoisted), entropy, *digits())


CASES: dict[str, Callable] = {SPIKING: spiking}
