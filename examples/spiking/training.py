"""What the networks for digits and for events have in common: their loss and their optimizer."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

DECAY = 0.9  # of the membrane potentials per step
W_INIT = jax.nn.initializers.he_normal()

neuron = partial(nn.spiking.lif, DECAY)
readout = partial(nn.spiking.leaky_integrator, DECAY)


def spiking_loss(net: nn.Layer, penalty: float = 1.0) -> Callable:
    """The cross entropy of the mean output potential, plus `penalty` times that on spikes."""

    def loss(params, state, batch, *, key, train):
        x, labels = batch
        y, state = net.apply(params, state, x, key=key, train=train)
        metrics = {
            "entropy": jnp.mean(nn.spiking.membrane_loss(y.output, labels)),
            "accuracy": nn.accuracy(y.output.mean(axis=1), labels),
            "spike_rate": nn.spiking.spike_rate(y.spikes),
        }
        return metrics["entropy"] + penalty * nn.spiking.spike_penalty(y.spikes), (state, metrics)

    return loss


def begin(
    net: nn.Layer, loss: Callable, rate: float, steps: int, key: jax.Array, x
) -> tuple[Callable, nn.training.TrainState]:
    """(the update step, where it starts), with a learning rate that falls along a cosine."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    return nn.training.step(loss, optimizer), nn.training.init_train(net, optimizer, key, x)
