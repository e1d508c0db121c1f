"""The spiking case of `benchmarks/families.py` in jaxnn."""

from collections.abc import Callable
from functools import partial

import jax

import jaxnn as nn
from benchmarks.peers.family_sizes import DECAY, NEURONS, SPIKING, STEPS, digits
from benchmarks.peers.layers_in_jaxnn import Task, trained

ROWS = 16  # at once: what is remembered of 25 steps then stays in fast memory


def spiking():
    """A picture held for all steps; the cross entropy of the membranes, summed over the steps."""
    neuron = partial(nn.spiking.lif, DECAY, reset="delayed", spike=nn.spiking.surrogate.arctan())
    steps = nn.serial(
        nn.spiking.repeat_in_time(STEPS), neuron(), nn.dense(10), neuron(membrane=True)
    )
    # What comes in does not change, so that its product is taken once, of all rows.
    net = nn.serial(nn.dense(NEURONS), nn.spiking.row_blocks(nn.unroll(steps), ROWS))
    return Task(net, entropy, digits())


def entropy(y: dict[str, jax.Array], labels: jax.Array) -> jax.Array:
    """The cross entropy of every step, summed over the steps."""
    return STEPS * nn.spiking.membrane_loss(y["membrane"], labels, over="each")


CASES: dict[str, Callable] = {SPIKING: partial(trained, spiking)}
