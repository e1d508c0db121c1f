"""A full-batch epoch of graph networks in jaxnn: one step of Adam on all nodes, without dropout."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn.task import cross_entropy, stepped


def gcn():
    """The net and its learning rate."""
    relu = nn.graph.nodewise(jax.nn.relu)
    return nn.serial(nn.graph.gcn(16), relu, nn.graph.gcn(cases.GRAPH_CLASSES)), 0.01


def gat():
    """The net and its learning rate."""
    first, elu = nn.graph.gat(8, heads=8), nn.graph.nodewise(jax.nn.elu)
    return nn.serial(first, elu, nn.graph.gat(cases.GRAPH_CLASSES)), 0.005


def begin(make: Callable[[], tuple[nn.Layer, float]]) -> tuple[Callable, Any, Any]:
    """The jitted step, the initial train state, and (graph, labels) on the device."""
    net, rate = make()
    x, ends, y = data.citations()
    labels = y[: cases.GRAPH_LABELED]
    batch = jax.tree.map(jnp.asarray, (nn.graph.make_graph(x, *ends), labels))

    def loss(params, state, batch, *, key, train):
        graph, y = batch
        logits = net(params, graph).nodes[: cases.GRAPH_LABELED]
        return cross_entropy(logits, y).mean(), (state, {})

    adam = optax.adam(rate)
    train = nn.training.init_train(net, adam, jax.random.key(0), batch[0])
    return nn.training.step(loss, adam), train, batch


CASES: dict[str, Callable] = {
    cases.GCN: partial(stepped, partial(begin, gcn)),
    cases.GAT: partial(stepped, partial(begin, gat)),
}
