"""Spiking networks: neurons that integrate input over time and output spikes, 0 or 1.

A neuron keeps a membrane potential u, which decays, adds up the input current x, and is reset when
it crosses the threshold and the neuron spikes. For the leaky integrate-and-fire neuron, `lif`,

    u_t = decay u_{t-1} + x_t, s_t = (u_t > threshold), u_t <- u_t - threshold s_t

`adaptive_lif` has a threshold that rises at each spike, `synaptic_lif` an input current that
decays, `izhikevich` the firing patterns of real neurons, and `leaky_integrator` no spikes at all:
its membranes are the usual readout. The derivative of a spike is zero almost everywhere, so
training replaces it by a surrogate, the slope of a smooth function from `nn.spiking.surrogate`. The
gradient then goes through time as in any recurrent network. `stdp` learns without a gradient.

Neurons have no weights: they are cells that follow layers with weights, as in
`nn.serial(nn.dense(64), nn.spiking.lif())`. `spiking_mlp`, `spiking_cnn` and `spiking_net` are
complete networks, whose output is a `Spiking` with the readout and the spikes of every stage, and
`nn.unroll` turns a cell into a layer for whole sequences [batch, time, ...]. `rate_code`,
`latency_code` and `delta_code` make spikes from numbers, and with steps=... a network repeats a
static input at every step. `membrane_loss`, `count_loss`, `count_cross_entropy` and `latency_loss`
compare the output with labels, and `spike_penalty` keeps spikes rare. `quantize`,
`synaptic_operations` and `energy` estimate the cost on a device, and `spiking_chain` makes networks
that `jaxnn.interop.nir` writes for neuromorphic hardware.

Where it is used: data that comes as events, such as that of event cameras and silicon cochleas;
classification on neuromorphic chips at low power, where a neuron that does not spike costs nothing;
models of the brain. A net processes each event as it arrives, with a latency of one step.

Where it fails: a CPU or GPU computes a spiking net once for every time step and gains nothing from
its zeros, so that a conventional net is faster there and, on static data, usually more accurate.
Training is sensitive to the scale of the currents: neurons far below the threshold learn little,
and neurons that spike at every step carry no information. Surrogate gradients are biased, and over
long sequences they vanish or explode as in any recurrent network.

Train a network to tell whether two numbers have the same sign (an XOR):

    >>> import jax, jax.numpy as jnp, optax, jaxnn as nn
    >>> x = jax.random.uniform(jax.random.key(1), (256, 2), minval=-1, maxval=1)
    >>> labels = (x[:, 0] * x[:, 1] > 0).astype(jnp.int32)
    >>> net = nn.unroll(nn.spiking.spiking_mlp(64, 2, steps=10))
    >>> def loss(y, labels):
    ...     return nn.spiking.membrane_loss(y.output, labels)
    >>> optimizer = optax.adam(0.01)
    >>> step = nn.training.step(nn.training.supervised(net, loss), optimizer)
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> end = nn.training.fit(step, train, (x, labels), steps=200, batch_size=64)
    >>> end.history[-1]["loss"] < 0.1
    True
    >>> y = net(end.train.params, x)
    >>> bool((y.output.mean(axis=1).argmax(axis=-1) == labels).mean() > 0.9)
    True
    >>> bool(nn.spiking.spike_rate(y.spikes) < 0.5)
    True

See also: python -m examples spiking

Papers:
  Izhikevich, Simple model of spiking neurons, 2003.
  Gerstner et al., Neuronal dynamics, 2014.
  Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons, 2018.
  Zenke and Ganguli, SuperSpike: supervised learning in multilayer spiking neural networks, 2018.
  Neftci, Mostafa and Zenke, Surrogate gradient learning in spiking neural networks, 2019.
"""

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
    spike_rate,
)
from jaxnn.nets.spiking.membrane import leaky_integrator
from jaxnn.nets.spiking.nets import Spiking, spiking_cnn, spiking_mlp, spiking_net
from jaxnn.nets.spiking.neurons import adaptive_lif, lif, synaptic_lif
from jaxnn.nets.spiking.over_time import repeat_in_time, row_blocks, time_distributed
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
