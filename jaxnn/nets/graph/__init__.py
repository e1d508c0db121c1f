"""Graph networks: layers in which each node of a graph aggregates messages from its neighbors.

Data such as molecules, social networks, citations and meshes have no grid and no order: things, and
links between some of them. A graph network computes features of each node from its own features and
those of the nodes that send edges to it,

    m_i = aggregate over edges j -> i of message(x_j, x_i, e_ij)
    y_i = update(x_i, m_i)

with an aggregate, such as a sum, that does not depend on the order of the neighbors. One layer sees
the direct neighbors; k layers see the nodes within k steps. `gcn`, `sage`, `gin`, `gat` and `gatv2`
are the usual choices of message and update, `edge_conditioned` reads the features of edges, and
`message_passing` takes both functions as networks of your own.

A graph is a `Graph` of arrays, made by `make_graph` from node features and a sender and a receiver
for each edge; `undirected` adds the reverse of each edge. A graph layer takes a `Graph` and returns
it with new node features. Functions such as `jax.nn.relu` act on its nodes; other layers of arrays
are wrapped in `nodewise` or `edgewise`. A net ends with `node_output` to predict something for each
node, with `readout` or `set2set` for each graph, or with `link_loss` for pairs of nodes. Many small
graphs become one padded union by `batch_graphs` or `take_graphs`, and a large graph is cut into
small parts by `sample_neighbours`.

Where it is used: properties of molecules, recommendation and fraud detection in networks of users,
classification of documents that cite each other, physical simulation on meshes, traffic forecasts.
It does well where links carry information that the features of a single node lack, and where few
nodes have labels.

Where it fails: with many layers the features of all nodes become alike (over-smoothing), and what
is many steps away is squeezed through few edges (over-squashing); `virtual_node` helps with the
latter. Layers that only pass messages cannot tell apart all graphs: none of those here does better
than the Weisfeiler-Lehman test, which cannot count cycles. Where neighbors are mostly unlike each
other, averaging over them may do worse than a network that ignores the edges.

Train a network to find the two groups of a graph when only one member of each is labeled:

    >>> import jax, numpy as np, optax, jaxnn as nn
    >>> senders = [0, 0, 0, 1, 1, 2, 3, 4, 4, 4, 5, 5, 6]
    >>> receivers = [1, 2, 3, 2, 3, 3, 4, 5, 6, 7, 6, 7, 7]
    >>> x = nn.graph.make_graph(np.eye(8, dtype=np.float32), senders, receivers)
    >>> x = nn.graph.undirected(x)
    >>> labels = np.array([0, -1, -1, -1, -1, -1, -1, 1])  # -1: no label
    >>> net = nn.serial(
    ...     nn.graph.gcn(16), jax.nn.relu, nn.graph.gcn(2), nn.graph.node_output()
    ... )
    >>> loss = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels, -1)
    >>> optimizer = optax.adam(0.01)
    >>> step = nn.training.step(nn.training.supervised(net, loss), optimizer)
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> end = nn.training.fit(step, train, [(x, labels)], steps=200)
    >>> net(end.train.params, x).argmax(axis=-1).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]

Train a network to tell rings from stars, with several graphs in one padded batch:

    >>> def ring(n):
    ...     return np.arange(n), (np.arange(n) + 1) % n
    >>> def star(n):
    ...     return np.zeros(n - 1, int), np.arange(1, n)
    >>> def graph(n, edges):
    ...     nodes = np.ones((n, 1), np.float32)
    ...     return nn.graph.undirected(nn.graph.make_graph(nodes, *edges))
    >>> rings = [graph(n, ring(n)) for n in (4, 5, 6, 7)]
    >>> stars = [graph(n, star(n)) for n in (4, 5, 6, 7)]
    >>> x = nn.graph.batch_graphs(rings + stars)
    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> net = nn.serial(nn.graph.gin(nn.mlp(16, 16)), nn.graph.readout("mean"), nn.dense(2))
    >>> step = nn.training.step(nn.training.supervised(net, loss), optimizer)
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> end = nn.training.fit(step, train, [(x, labels)], steps=300)
    >>> end.history[-1]["loss"] < 0.1
    True

See also: python -m examples social, python -m examples molecules

Papers:
  Scarselli et al., The graph neural network model, 2009.
  Kipf and Welling, Semi-supervised classification with graph convolutional networks, 2017.
  Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, 2017.
  Gilmer et al., Neural message passing for quantum chemistry, 2017.
  Velickovic et al., Graph attention networks, 2018.
  Battaglia et al., Relational inductive biases, deep learning, and graph networks, 2018.
  Xu et al., How powerful are graph neural networks?, 2019.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.graph.attention import gat, gatv2
from jaxnn.nets.graph.batch import batch_graphs, padded_size, take_graphs
from jaxnn.nets.graph.conv import gcn, gin, sage
from jaxnn.nets.graph.data import Graph, make_graph, undirected
from jaxnn.nets.graph.links import hold_out_links, link_logits, link_loss, negative_links
from jaxnn.nets.graph.masks import degrees, edge_mask, graph_mask, node_graphs, node_mask
from jaxnn.nets.graph.message import edge_conditioned, message_passing, virtual_node
from jaxnn.nets.graph.pool import readout, set2set, top_k_pool
from jaxnn.nets.graph.sampling import by_receiver, sample_neighbours
from jaxnn.nets.graph.wrappers import edgewise, node_output, nodewise

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
