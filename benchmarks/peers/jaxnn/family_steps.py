"""A training step of an RBF network, a map, a mixture, a spiking and a graph network.

`benchmarks/networks.py` times them in every dtype, beside the steps of `layers.py` and `nets.py`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn import graph
from benchmarks.peers.jaxnn import mixture as mixtures
from benchmarks.peers.jaxnn.spiking import spiking
from benchmarks.peers.jaxnn.task import Task, cross_entropy, in_dtype


def rbf():
    net = nn.rbf.rbf_net(cases.RBF_CENTERS, 10, width=28.0)
    return Task(net, cross_entropy, data.digits())


def som(dtype: Any = jnp.float32):
    """All rows in one chunk; the map learns in state, and the mean distance is the loss."""
    net = in_dtype(nn.som.self_organizing_map(nn.som.Grid(10, 10), 1000, rate=0.5), dtype)
    x, optimizer = jnp.asarray(data.som_rows()), optax.identity()

    def loss(params, state, x, *, key, train):
        y, state = net.apply(params, state, x, train=train)
        return y.distance.mean(), (state, {})

    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    return nn.training.step(loss, optimizer), train, x


def mixture(dtype: Any = jnp.float32):
    return mixtures.begin(lambda: in_dtype(mixtures.sparse(2), dtype))


def gcn(dtype: Any = jnp.float32):
    net, rate = graph.gcn()
    return graph.begin(lambda: (in_dtype(net, dtype), rate))


TASKS: dict[str, Callable[[], Task]] = {cases.RBF_NET: rbf, cases.SPIKING: spiking}
# Nets that have their own training step: (dtype) -> (jitted step, train state, batch).
OWN_STEPS: dict[str, Callable] = {cases.SOM: som, cases.TOP_2: mixture, cases.GCN: gcn}
