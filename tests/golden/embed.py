"""Cases of PyTorch's embedding."""

import torch
from torch.nn import functional

from tests.golden.make import draw, record


def lookup(padding: int | None):
    """(tokens, w) -> y."""
    return lambda tokens, w: functional.embedding(tokens, w, padding_idx=padding)


def tied(tokens, w):
    """Tokens in, logits out, by one table."""
    return functional.linear(torch.tanh(functional.embedding(tokens, w)), w)


def cases():
    """With and without padding, and tied."""
    tokens = torch.tensor([[0, 3, 3], [6, 2, 0]])
    w = draw(7, 4)
    padded = w.clone()
    padded[3] = 0
    return {
        "plain": record(lookup(None), {"tokens": tokens, "w": w}),
        "padding": record(lookup(3), {"tokens": tokens, "w": padded}),
        "tied": record(tied, {"tokens": tokens, "w": w}),
    }
