"""A full-batch epoch of graph networks in jaxnn: one step of Adam on all nodes, without dropout."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import graph_sizes
from benchmarks.peers.layers_in_jaxnn import cross_entropy, stepped


def gcn():
    return nn.serial(
        nn.graph.gcn(16), nn.graph.nodewise(jax.nn.relu), nn.graph.gcn(graph_sizes.CLASSES)
    ), 0.01


def gat():
    first = nn.graph.gat(8, heads=8), nn.graph.nodewise(jax.nn.elu)
    return nn.serial(*first, nn.graph.gat(graph_sizes.CLASSES)), 0.005


def begin(make: Callable[[], tuple[nn.Layer, float]]) -> tuple[Callable, Any, Any]:
    """The jitted step, where it starts, and the graph with the labels on the device."""
    net, rate = make()
    x, ends, y = graph_sizes.citations()
    batch = jax.tree.map(jnp.asarray, (nn.graph.make_graph(x, *ends), y[: graph_sizes.LABELLED]))

    def loss(params, state, batch, *, key, train):
        graph, y = batch
        logits = net(params, graph).nodes[: graph_sizes.LABELLED]
        return cross_entropy(logits, y).mean(), (state, {})

    adam = optax.adam(rate)
    train = nn.training.init_train(net, adam, jax.random.key(0), batch[0])
    return nn.training.step(loss, adam), train, batch


CASES: dict[str, Callable] = {
    graph_sizes.GCN: partial(stepped, partial(begin, gcn)),
    graph_sizes.GAT: partial(stepped, partial(begin, gat)),
}
