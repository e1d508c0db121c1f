"""Cases of PyTorch Geometric's graph layers, on graphs without edges given twice or loops."""

import torch
from torch.func import functional_call
from torch_geometric import nn

from tests.golden.make import draw, record

EDGES = torch.tensor([[0, 1, 2, 4, 5, 0, 3, 6, 2], [1, 2, 0, 5, 6, 2, 1, 4, 3]])
BATCH = torch.tensor([0, 0, 0, 0, 1, 1, 1])


def case(layer, names, x, *, edges=None, after=None, zero=(), batch=None):
    """One case: names maps ours to the layer's own params; those of `zero` are held at zero."""
    layer = layer.double()
    held = {own: torch.zeros_like(dict(layer.named_parameters())[own]) for own in zero}
    shapes = dict(layer.named_parameters())
    inputs = {ours: draw(*shapes[own].shape, seed=i) for i, (ours, own) in enumerate(names.items())}
    graph = {"senders": EDGES[0], "receivers": EDGES[1]}
    told = {} if edges is None else {"edges": edges}

    def forward(x, senders, receivers, edges=None, **params):
        given = {own: params[ours] for ours, own in names.items()} | held
        ends = torch.stack([senders, receivers])
        if batch is not None and after is None:
            arguments = (x, batch)
        elif batch is not None:
            arguments = (x, ends, None, batch)
        else:
            arguments = (x, ends) if edges is None else (x, ends, edges)
        y = functional_call(layer, given, arguments)
        return y if after is None else after(y)

    return record(forward, {"x": x, **graph, **told, **inputs})


def cases():
    """The same names as in tests/nets/graph/test_conv.py."""
    x, edges = draw(7, 4, seed=9), draw(9, 2, seed=8)
    attention = {"w": "lin.weight", "send": "att_src", "receive": "att_dst", "b": "bias"}
    second = {"send": "lin_l.weight", "receive": "lin_r.weight", "a": "att", "b": "bias"}
    sage = {"told": "lin_l.weight", "own": "lin_r.weight", "b": "lin_l.bias"}
    matrices = {"w": "nn.weight", "w_0": "nn.bias", "own": "lin.weight", "b": "bias"}
    gru = {"w": "lstm.weight_ih_l0", "u": "lstm.weight_hh_l0", "b": "lstm.bias_ih_l0"}
    return {
        "gcn": case(nn.GCNConv(4, 3), {"w": "lin.weight", "b": "bias"}, x),
        "gat": case(nn.GATConv(4, 3, heads=2), attention, x),
        "gatv2": case(
            nn.GATv2Conv(4, 3, heads=2, concat=False),
            second,
            x,
            zero=("lin_l.bias", "lin_r.bias"),
        ),
        "sage": case(nn.SAGEConv(4, 3), sage, x),
        "sage-max": case(nn.SAGEConv(4, 3, aggr="max"), sage, x),
        "gin": case(
            nn.GINConv(torch.nn.Linear(4, 3), train_eps=True),
            {"w": "nn.weight", "b": "nn.bias", "epsilon": "eps"},
            x,
        ),
        "nnconv": case(nn.NNConv(4, 3, torch.nn.Linear(2, 12)), matrices, x, edges=edges),
        "set2set": case(nn.Set2Set(4, 3), gru, x, zero=("lstm.bias_hh_l0",), batch=BATCH),
        "top-k": case(
            nn.TopKPooling(4, 0.5),
            {"w": "select.weight"},
            x,
            batch=BATCH,
            after=lambda y: y[0],
        ),
    }
