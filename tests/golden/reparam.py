"""Cases of PyTorch's reparametrizations of a weight, with outputs last."""

import torch
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from tests.golden.make import draw, record
from tests.golden.norm import exact


def first(w: torch.Tensor) -> torch.Tensor:
    """Outputs first and inputs last, as PyTorch has them."""
    return w.movedim(-1, 0)


class Holder(torch.nn.Module):
    """A module that gives its weight."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight.detach())

    def forward(self):
        return self.weight


def spectral(train: bool, steps: int = 1):
    """(w, u, v) -> the weight, and u and v after it."""

    def forward(w, u, v):
        module = spectral_norm(Holder(first(w)), n_power_iterations=steps).train(train)
        u, v = u.detach().clone(), v.detach().clone()
        held = {"original": first(w), "0._u": u, "0._v": v}
        held = {f"parametrizations.weight.{name}": value for name, value in held.items()}
        return functional_call(module, held, ()).movedim(0, -1), u, v

    return forward


def weight(g, v):
    """(g, v) -> the weight."""
    held = {"original0": g.reshape(-1, *[1] * (v.ndim - 1)), "original1": first(v)}
    held = {f"parametrizations.weight.{name}": value for name, value in held.items()}
    return functional_call(weight_norm(Holder(first(v))), held, ()).movedim(0, -1)


def vectors(outputs: int, inputs: int) -> dict[str, torch.Tensor]:
    """Vectors of a power iteration, of length 1."""
    pair = {"u": draw(outputs, seed=1), "v": draw(inputs, seed=2)}
    return {name: exact(value / value.norm()) for name, value in pair.items()}


def cases():
    """Of the weights of a dense layer and of a convolution [height, width, inputs, outputs]."""
    dense, conv = draw(5, 4), draw(2, 3, 4, 5)
    return {
        "spectral_norm-train": record(spectral(True), {"w": dense} | vectors(4, 5)),
        "spectral_norm-steps": record(spectral(True, 3), {"w": dense} | vectors(4, 5)),
        "spectral_norm-conv": record(spectral(True), {"w": conv} | vectors(5, 24)),
        "spectral_norm-evaluation": record(spectral(False), {"w": dense} | vectors(4, 5)),
        "weight_norm-dense": record(weight, {"g": draw(4, seed=3), "v": dense}),
        "weight_norm-conv": record(weight, {"g": draw(5, seed=3), "v": conv}),
    }
