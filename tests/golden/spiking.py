"""Spiking neurons of snnTorch 1.0: spikes and membranes, in float64 but for its 0 and 1.

The least distance of a membrane from the threshold is far above what float32 rounds away.
"""

import snntorch
import torch

from tests.golden.make import draw, record

DECAY, THRESHOLD, SYNAPTIC = 0.75, 0.875, 0.5
NAMES = ["lif_delayed", "lif_zero", "synaptic_lif_delayed"]


def forward(name):
    kind, _, reset = name.rpartition("_")
    more = {
        "beta": torch.tensor(DECAY, dtype=torch.float64),
        "threshold": torch.tensor(THRESHOLD, dtype=torch.float64),
        "spike_grad": snntorch.surrogate.fast_sigmoid(5),
        "reset_mechanism": "zero" if reset == "zero" else "subtract",
    }
    if kind == "lif":
        neuron, memory = snntorch.Leaky(**more), 1
    else:
        alpha = torch.tensor(SYNAPTIC, dtype=torch.float64)
        neuron, memory = snntorch.Synaptic(alpha=alpha, **more), 2

    def run(x):
        held = [torch.zeros(x.shape[0], x.shape[2], dtype=torch.float64)] * memory
        spikes, membranes = [], []
        for step in x.unbind(1):
            s, *held = neuron(step, *held)
            assert (held[-1] - THRESHOLD).abs().min() > 1e-4
            spikes.append(s)
            membranes.append(held[-1])
        return torch.stack(spikes, 1).double(), torch.stack(membranes, 1)

    return run


def cases():
    return {name: record(forward(name), {"x": draw(3, 8, 4, seed=3)}) for name in NAMES}
