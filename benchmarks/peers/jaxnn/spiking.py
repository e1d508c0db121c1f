"""The spiking case of `benchmarks/families.py` in jaxnn."""

from collections.abc import Callable
from functools import partial

import jax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn.task import Task, trained

ROWS = 16  # in a block, so that what the gradient needs of 25 steps stays in the cache


def spiking():
    """A constant image at all steps; the cross entropy of the membranes, summed over the steps."""
    surrogate = nn.spiking.surrogate.arctan()
    neuron = partial(nn.spiking.lif, cases.SPIKING_DECAY, reset="delayed", spike=surrogate)
    steps = nn.serial(
        *(nn.spiking.repeat_in_time(cases.SPIKING_STEPS), neuron()),
        *(nn.dense(10), neuron(membrane=True)),
    )
    # The input does not change, so its product is computed once and for all rows together.
    blocks = nn.spiking.row_blocks(nn.unroll(steps), ROWS)
    return Task(nn.serial(nn.dense(cases.SPIKING_NEURONS), blocks), entropy, data.digits())


def entropy(y: dict[str, jax.Array], labels: jax.Array) -> jax.Array:
    """The cross entropy of every step, summed over the steps."""
    return cases.SPIKING_STEPS * nn.spiking.membrane_loss(y["membrane"], labels, over="each")


CASES: dict[str, Callable] = {cases.SPIKING: partial(trained, spiking)}
