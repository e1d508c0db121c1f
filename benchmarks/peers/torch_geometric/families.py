"""A full-batch epoch of graph networks in PyTorch Geometric, without dropout."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as fn
from torch_geometric.nn import GATConv, GCNConv

from benchmarks.peers import cases, data


class Net(torch.nn.Module):
    def __init__(self, first: Any, second: Any, activation: Callable):
        super().__init__()
        self.first, self.second, self.activation = first, second, activation

    def forward(self, x, ends):
        return self.second(self.activation(self.first(x, ends)), ends)


def trained(net: Net, rate: float) -> tuple[Callable[[int], None], int]:
    x, ends, y = (torch.from_numpy(array) for array in data.citations())
    ends, y = ends.long(), y.long()[: cases.GRAPH_LABELED]
    adam = torch.optim.Adam(net.parameters(), rate)

    def run(steps: int) -> None:
        for _ in range(steps):
            adam.zero_grad()
            fn.cross_entropy(net(x, ends)[: cases.GRAPH_LABELED], y).backward()
            adam.step()

    return run, sum(param.numel() for param in net.parameters())


def gcn():
    """The degrees are computed once, as in the library's own example of Cora."""
    classes = cases.GRAPH_CLASSES
    first, second = GCNConv(cases.GRAPH_WORDS, 16, cached=True), GCNConv(16, classes, cached=True)
    return trained(Net(first, second, fn.relu), 0.01)


def gat():
    first = GATConv(cases.GRAPH_WORDS, 8, heads=8)
    return trained(Net(first, GATConv(64, cases.GRAPH_CLASSES), fn.elu), 0.005)


CASES: dict[str, Callable] = {cases.GCN: gcn, cases.GAT: gat}
