"""Graph networks."""

from jaxnn.arguments import check_public
from jaxnn.nets.graph.attention import gat, gatv2
from jaxnn.nets.graph.batch import batch_graphs, padded_size, take_graphs
from jaxnn.nets.graph.conv import edgewise, gcn, gin, node_output, nodewise, sage
from jaxnn.nets.graph.data import (
    Graph,
    degrees,
    edge_mask,
    graph_mask,
    make_graph,
    node_graphs,
    node_mask,
    undirected,
)
from jaxnn.nets.graph.links import (
    by_receiver,
    hold_out_links,
    link_logits,
    link_loss,
    negative_links,
    sample_neighbours,
)
from jaxnn.nets.graph.message import edge_conditioned, message_passing, virtual_node
from jaxnn.nets.graph.pool import readout, set2set, top_k_pool

__all__ = [
    "Graph",
    "batch_graphs",
    "by_receiver",
    "degrees",
    "edge_conditioned",
    "edge_mask",
    "edgewise",
    "gat",
    "gatv2",
    "gcn",
    "gin",
    "graph_mask",
    "hold_out_links",
    "link_logits",
    "link_loss",
    "make_graph",
    "message_passing",
    "negative_links",
    "node_graphs",
    "node_mask",
    "node_output",
    "nodewise",
    "padded_size",
    "readout",
    "sage",
    "sample_neighbours",
    "set2set",
    "take_graphs",
    "top_k_pool",
    "undirected",
    "virtual_node",
]

check_public(globals(), __all__)
