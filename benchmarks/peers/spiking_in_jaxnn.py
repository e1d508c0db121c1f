"""The spiking case of `benchmarks/families.py` in jaxnn."""

from collections.abc import Callable
from functools import partial

import jax

import jaxnn as nn
from benchmarks.peers import sizes
from benchmarks.peers.layers_in_jaxnn import Task, trained

SPIKING = "spiking net 784-1000-10, 25 steps, batch 128"
BATCH, FEATURES, WIDTH, CLASSES, STEPS, DECAY = 128, 784, 1000, 10, 25, 0.95
ROWS = 32  # at once: what is remembered of 25 steps then stays in fast memory


def spiking():
    """A picture held for all steps; the cross entropy of the membranes, summed over the steps."""
    neuron = partial(nn.lif, DECAY, reset="delayed", spike=nn.surrogate.arctan())
    net = nn.serial(
        *(nn.dense(WIDTH), nn.hold(STEPS), neuron()),
        *(nn.dense(CLASSES), neuron(membrane=True)),
    )
    x, y = sizes.images(BATCH, 28, 1)
    return Task(nn.row_blocks(nn.unroll(net), ROWS), entropy, (x.reshape(BATCH, FEATURES), y))


def entropy(y: dict[str, jax.Array], labels: jax.Array) -> jax.Array:
    """The cross entropy of every step, summed over the steps."""
    return STEPS * nn.membrane_loss(y["membrane"], labels, over="each")


CASES: dict[str, Callable] = {SPIKING: partial(trained, spiking)}
