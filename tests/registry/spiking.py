"""Entries of the registry: spiking."""

import jax.numpy as jnp

import jaxnn as nn
from jaxnn.interop.nir import Affine, Leaky, Lif
from jaxnn.sequences import unroll
from tests.registry.entry import PARTS, SPIKES, STDP, Entry, features, masked

ENTRIES = {
    "lif": Entry(
        lambda: nn.spiking.lif(0.8, 0.5, refractory=1, learn=("decay", "threshold"), feedback=True),
        features(6, 8),
        SPIKES,
    ),
    "lif masked": Entry(lambda: nn.spiking.lif(0.8, 0.5, reset="zero"), masked(6, 2, 8), SPIKES),
    "adaptive_lif": Entry(
        lambda: nn.spiking.adaptive_lif(0.8, 0.5, learn=("adaptation", "adaptation_decay")),
        features(6, 8),
        SPIKES,
    ),
    "synaptic_lif": Entry(
        lambda: nn.spiking.synaptic_lif(0.8, 0.5, reset="delayed", learn=("synaptic_decay",)),
        features(6, 8),
        SPIKES,
    ),
    "leaky_integrator": Entry(
        lambda: nn.spiking.leaky_integrator(learn=("decay",)), features(6, 8)
    ),
    "izhikevich": Entry(
        lambda: nn.serial(lambda x: 30 * x, nn.spiking.izhikevich()), features(6, 8), SPIKES
    ),
    "stdp": Entry(
        lambda: nn.serial(lambda x: jnp.abs(x), nn.spiking.stdp(8, one_winner=True)),
        features(6, 8),
        STDP,
    ),
    "spiking_mlp": Entry(
        lambda: unroll.unroll(nn.spiking.spiking_mlp(8, 16, steps=3)), features(8), SPIKES
    ),
    "row_blocks": Entry(lambda: nn.spiking.row_blocks(nn.mlp(16, 8), 4), features(8), PARTS),
    "spiking_chain": Entry(
        lambda: nn.spiking.spiking_chain(Affine(8), Lif(0.8, 0.5), Affine(8), Leaky()),
        features(6, 8),
        SPIKES,
    ),
    "spiking_cnn": Entry(lambda: nn.spiking.spiking_cnn(8, 8), features(6, 4, 4, 8), SPIKES),
}
