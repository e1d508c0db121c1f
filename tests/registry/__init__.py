"""Every layer, cell and network, one file a family: what the laws run over."""

from tests.registry import (
    adversarial,
    attention,
    autoencoder,
    capsule,
    convolution,
    flows,
    graph,
    layers,
    mixture,
    rbf,
    recurrent,
    som,
    spiking,
    transformer,
    vision,
)
from tests.registry.entry import HALF, Entry

ROOMS = (
    adversarial,
    attention,
    autoencoder,
    capsule,
    convolution,
    flows,
    graph,
    layers,
    mixture,
    rbf,
    recurrent,
    som,
    spiking,
    transformer,
    vision,
)
ENTRIES = {name: entry for room in ROOMS for name, entry in room.ENTRIES.items()}
assert len(ENTRIES) == sum(len(room.ENTRIES) for room in ROOMS), "two entries have one name"
__all__ = ["ENTRIES", "HALF", "Entry"]
