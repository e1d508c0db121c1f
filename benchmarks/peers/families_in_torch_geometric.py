"""A full-batch epoch of graph networks in PyTorch Geometric, without dropout."""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as fn
from torch_geometric.nn import GATConv, GCNConv

from benchmarks.peers import graph_sizes


class Net(torch.nn.Module):
    def __init__(self, first: Any, second: Any, activation: Callable):
        super().__init__()
        self.first, self.second, self.activation = first, second, activation

    def forward(self, x, ends):
        return self.second(self.activation(self.first(x, ends)), ends)


def trained(net: Net, rate: float) -> tuple[Callable[[int], None], int]:
    x, ends, y = (torch.from_numpy(each) for each in graph_sizes.citations())
    ends, y = ends.long(), y.long()[: graph_sizes.LABELLED]
    adam = torch.optim.Adam(net.parameters(), rate)

    def run(steps: int) -> None:
        for _ in range(steps):
            adam.zero_grad()
            fn.cross_entropy(net(x, ends)[: graph_sizes.LABELLED], y).backward()
            adam.step()

    return run, sum(each.numel() for each in net.parameters())


def gcn():
    """With the degrees computed once, as its own example of Cora has it."""
    classes = graph_sizes.CLASSES
    first, second = GCNConv(graph_sizes.WORDS, 16, cached=True), GCNConv(16, classes, cached=True)
    return trained(Net(first, second, fn.relu), 0.01)


def gat():
    first = GATConv(graph_sizes.WORDS, 8, heads=8)
    return trained(Net(first, GATConv(64, graph_sizes.CLASSES), fn.elu), 0.005)


CASES: dict[str, Callable] = {graph_sizes.GCN: gcn, graph_sizes.GAT: gat}
