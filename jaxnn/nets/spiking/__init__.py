"""Spiking networks."""

from jaxnn.arguments import check_public
from jaxnn.nets.spiking import surrogate
from jaxnn.nets.spiking.chain import spiking_chain
from jaxnn.nets.spiking.encoding import delta_code, latency_code, rate_code
from jaxnn.nets.spiking.energy import Scaled, dequantize, energy, quantize, synaptic_operations
from jaxnn.nets.spiking.izhikevich import izhikevich
from jaxnn.nets.spiking.losses import (
    count_cross_entropy,
    count_loss,
    first_spikes,
    latency_loss,
    membrane_loss,
    spike_penalty,
)
from jaxnn.nets.spiking.membrane import leaky_integrator
from jaxnn.nets.spiking.nets import (
    Spiking,
    repeat_in_time,
    row_blocks,
    spike_rate,
    spiking_cnn,
    spiking_mlp,
    spiking_net,
    time_distributed,
)
from jaxnn.nets.spiking.neurons import adaptive_lif, lif, synaptic_lif
from jaxnn.nets.spiking.stdp import stdp

__all__ = [
    "Scaled",
    "Spiking",
    "adaptive_lif",
    "count_cross_entropy",
    "count_loss",
    "delta_code",
    "dequantize",
    "energy",
    "first_spikes",
    "izhikevich",
    "latency_code",
    "latency_loss",
    "leaky_integrator",
    "lif",
    "membrane_loss",
    "quantize",
    "rate_code",
    "repeat_in_time",
    "row_blocks",
    "spike_penalty",
    "spike_rate",
    "spiking_chain",
    "spiking_cnn",
    "spiking_mlp",
    "spiking_net",
    "stdp",
    "surrogate",
    "synaptic_lif",
    "synaptic_operations",
    "time_distributed",
]

check_public(globals(), __all__)
