"""Entries of the registry: graph."""

import jax.numpy as jnp

import jaxnn as nn
from tests.registry.entry import POOL, SEE, Entry, graphs

ENTRIES = {
    "gcn": Entry(lambda: nn.graph.gcn(8), graphs, SEE),
    "gat": Entry(lambda: nn.graph.gat(8, heads=2, dropout=0.3), graphs, SEE),
    "gatv2": Entry(lambda: nn.graph.gatv2(8, heads=2, merge="mean", dropout=0.3), graphs, SEE),
    "sage": Entry(lambda: nn.graph.sage(8, aggregate="max", normalize=True), graphs, SEE),
    "gin": Entry(lambda: nn.graph.gin(nn.mlp(8, 8, activation=jnp.tanh)), graphs, SEE),
    "message_passing": Entry(
        lambda: nn.graph.message_passing(nn.dense(8), nn.dense(8), aggregate="mean", keep=True),
        graphs,
        SEE,
    ),
    "edge_conditioned": Entry(
        lambda: nn.graph.edge_conditioned(8, nn.serial(nn.dense(8), jnp.tanh)), graphs, SEE
    ),
    "virtual_node": Entry(
        lambda: nn.graph.virtual_node(nn.graph.gcn(8), nn.serial(nn.dense(8), jnp.tanh)),
        graphs,
        SEE,
    ),
    "nodewise": Entry(
        lambda: nn.serial(nn.graph.nodewise(nn.dense(8)), nn.graph.edgewise(nn.dense(8))),
        graphs,
        SEE,
    ),
    "top_k_pool and readout": Entry(
        lambda: nn.serial(nn.graph.top_k_pool(), nn.graph.readout("sum", "max")), graphs, SEE | POOL
    ),
    "set2set": Entry(nn.graph.set2set, graphs, SEE),
    "function of nodes": Entry(
        lambda: nn.serial(nn.graph.gcn(8), jnp.tanh, nn.graph.gcn(8), nn.graph.node_output()),
        graphs,
        SEE,
    ),
}
