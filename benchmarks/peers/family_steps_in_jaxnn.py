"""A training step of each family that other libraries leave out, for `benchmarks/networks.py`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import family_sizes, graph_in_jaxnn, graph_sizes, modular_in_jaxnn, sizes
from benchmarks.peers.layers_in_jaxnn import Task, cross_entropy
from benchmarks.peers.nets_in_jaxnn import within
from benchmarks.peers.spiking_in_jaxnn import spiking


def rbf():
    net = nn.rbf.rbf_net(family_sizes.CENTRES, 10, width=28.0)
    return Task(net, cross_entropy, family_sizes.digits())


def som(dtype: Any = jnp.float32):
    """A chunk of all rows; what it learns stands in state, and its distances are the loss."""
    net = within(nn.som.self_organizing_map(nn.som.Grid(10, 10), 1000, rate=0.5), dtype)
    x, nothing = jnp.asarray(family_sizes.small()), optax.identity()

    def loss(params, state, x, *, key, train):
        found, state = net.apply(params, state, x, train=train)
        return found.distance.mean(), (state, {})

    train = nn.training.init_train(net, nothing, jax.random.key(0), x)
    return nn.training.step(loss, nothing), train, x


def mixture(dtype: Any = jnp.float32):
    return modular_in_jaxnn.begin(lambda: within(modular_in_jaxnn.sparse(2), dtype))


def gcn(dtype: Any = jnp.float32):
    net, rate = graph_in_jaxnn.gcn()
    return graph_in_jaxnn.begin(lambda: (within(net, dtype), rate))


NETS: dict[str, Callable[[], Task]] = {
    family_sizes.RBF_STEP: rbf,
    family_sizes.SPIKING: spiking,
}
OWN: dict[str, Callable] = {
    family_sizes.SOM: som,
    modular_in_jaxnn.TOP_2: mixture,
    graph_sizes.GCN: gcn,
}
MULTIPLY_ADDS = {  # forward, of the first layer and of the others
    family_sizes.RBF_STEP: (128 * 784 * 1000, 128 * 1000 * 10),
    family_sizes.SPIKING: (128 * 784 * 1000, 25 * 128 * 1000 * 10),
    family_sizes.SOM: (1797 * 64 * 100, 0),
    modular_in_jaxnn.TOP_2: (2048 * 256 * (1024 + 8), 2048 * 256 * 1024),
    graph_sizes.GCN: (2708 * 1433 * 16, 2708 * 16 * 7),
}


def flops(title: str) -> int:
    """Floating-point operations that a step needs.

    Distances count a multiply-add for each feature, as their products would; of a map, those to its
    units and the sums that move them.
    """
    return sizes.step_flops(*MULTIPLY_ADDS[title])
