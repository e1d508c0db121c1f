"""Recurrent cells of PyTorch: y and the last carry, stacked over layers and then directions.

The name of a case says what it is: elman, lstm or gru, then any of deep (two layers), both
(directions), projected and packed (rows of unequal length).
"""

import torch
from torch.nn.utils import rnn

from tests.golden.make import draw, record

ROWS, STEPS, FEATURES, WIDTH, PROJECTED = 3, 5, 4, 3, 2
NAMES = [
    "elman",
    "elman_deep_both_packed",
    "lstm",
    "lstm_both",
    "lstm_projected",
    "lstm_deep_projected_packed",
    "lstm_deep_both_packed",
    "gru",
    "gru_deep",
    "gru_both_packed",
]
GATES = {"elman": 1, "lstm": 4, "gru": 3}


def inputs(name, rows=ROWS, steps=STEPS, features=FEATURES, width=WIDTH, projected=PROJECTED):
    """x, lengths where they are packed, and params as jaxnn names them, by layer and direction."""
    kind, *flags = name.split("_")
    size, out = GATES[kind], projected if "projected" in flags else width
    found = {"x": draw(rows, steps, features)}
    if "packed" in flags:
        found["lengths"] = steps - (3 * torch.arange(rows)).remainder(steps)
    directions = ("f", "b") if "both" in flags else ("f",)
    for layer in range(2 if "deep" in flags else 1):
        for seed, way in enumerate(directions):
            fed = features if layer == 0 else out * len(directions)
            shapes = {"w": (fed, size * width), "u": (out, size * width), "b": (size * width,)}
            if kind == "gru":
                shapes["b_h"] = (width,)
            if "projected" in flags:
                shapes["projection"] = (width, out)
            for i, (param, shape) in enumerate(shapes.items()):
                found[f"{layer}{way}.{param}"] = draw(*shape, seed=10 * i + 2 * layer + seed) / 2
    return found


def forward(name):
    """The function of `inputs` that PyTorch computes."""
    kind, *flags = name.split("_")
    function = {"elman": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}[kind]

    def weights(params, place):
        own = {key.split(".")[1]: p for key, p in params.items() if key.startswith(place)}
        b_u = torch.zeros_like(own["b"])
        if kind == "gru":
            b_u = torch.cat([b_u[: -len(own["b_h"])], own["b_h"]])
        flat = [own["w"].T, own["u"].T, own["b"], b_u]
        return [*flat, own["projection"].T] if "projection" in own else flat

    def run(**given):
        x, lengths = given.pop("x"), given.pop("lengths", None)
        places = sorted({key.split(".")[0] for key in given}, key=lambda p: (p[0], p[1] == "b"))
        flat = [each for place in places for each in weights(given, place)]
        width, out = given["0f.b"].shape[0] // GATES[kind], given["0f.u"].shape[0]
        fresh = [x.new_zeros(len(places), len(x), size) for size in (out, width)]
        hidden = fresh if kind == "lstm" else fresh[0]
        layers, both = 1 + ("deep" in flags), "both" in flags
        options = (flat, True, layers, 0.0, False, both)
        if lengths is None:
            return function(x, hidden, *options, True)
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        data, *carry = function(packed.data, packed.batch_sizes, hidden, *options)
        y, _ = rnn.pad_packed_sequence(
            packed._replace(data=data), batch_first=True, total_length=x.shape[1]
        )
        return y, *(each[:, packed.unsorted_indices] for each in carry)

    return run


def cases():
    """The cases of this room."""
    return {name: record(forward(name), inputs(name)) for name in NAMES}
