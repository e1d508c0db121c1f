"""Message passing with edge features, and a virtual node connected to all others."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.core import (
    Layer,
    check_features,
    check_int,
    describe,
    fold_in,
    param_dtype,
    unpack_params,
)
from jaxnn.flow import concatenate, wire
from jaxnn.layers.dense import dense
from jaxnn.layers.segment import segment_sum, take
from jaxnn.nets.graph.conv import GLOROT, aggregator
from jaxnn.nets.graph.data import Graph, check_graph, has_features
from jaxnn.nets.graph.masks import node_graphs
from jaxnn.printing import factory


@factory
def message_passing(
    message: Any, update: Any, *, aggregate: str = "sum", keep: bool = False
) -> Layer:
    """General message passing: one network makes the messages, another updates the nodes.

    m_ij = message([x_j, x_i, e_ij]) for each edge j -> i
    y_i = update([x_i, aggregate over edges j -> i of m_ij])

    Args:
      message: a layer of arrays, such as `nn.mlp(64, 64)`, of the concatenated features of sender,
        receiver and edge; of sender and receiver alone if the edges have no features.
      update: a layer of arrays, of the concatenated features of a node and its messages.
      aggregate: "sum", "mean" or "max" over the messages; zero for a node without in-edges.
      keep: whether the messages become the edge features of the output.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes [n, width of update]; with
      keep, and with edges [m, width of message].

    Raises:
      TypeError: if x is not a Graph, or its nodes or edges are not floating point.
      ValueError: if the aggregate is unknown, if the nodes are not [n, features], or if the edges
        are not [m, features].

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2], jnp.ones((2, 5)))
    >>> net = nn.graph.message_passing(nn.mlp(16, 8), nn.dense(6))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape, params["message"][0]["w"].shape
    ((3, 6), (13, 16))

    (Gilmer et al., Neural message passing for quantum chemistry, 2017; `keep`: Battaglia et al.,
    Relational inductive biases, deep learning, and graph networks, 2018.)
    """
    reduce = aggregator(aggregate, "message_passing")

    def flow(f, x):
        x = check_graph(x, "message_passing")
        ends = take(x.nodes, x.senders), take(x.nodes, x.receivers)
        m = f.message(concatenate((*ends, *_edge_features(x, "message_passing"))))
        total = reduce(m, x.receivers, x.nodes.shape[0])
        y = f.update(concatenate((x.nodes, total)))
        return x._replace(nodes=y, edges=m if keep else x.edges)

    return wire(flow, message=message, update=update)


@factory
def edge_conditioned(
    width: int, body: Any = None, *, aggregate: str = "sum", w_init: Callable = GLOROT
) -> Layer:
    """Message passing in which the features of each edge make the matrix of its message.

    y_i = x_i own + aggregate over edges j -> i of x_j matrix(e_ij) + b
    matrix(e) = w_0 + sum over features k of body(e) of body(e)_k w_k

    The matrix of an edge is never formed: each node is multiplied by every w_k, and the products
    are weighed along the edges. With one-hot edge features and no body, there is one matrix for
    each kind of edge (the relational graph convolution).

    Args:
      width: features of a node in the output.
      body: a layer of arrays over the edges, such as `nn.mlp(16, 8)`; by default the edge features
        themselves. The work grows in proportion to its width.
      aggregate: "sum", "mean" or "max" over the messages; zero for a node without in-edges.
      w_init: initializer of own and of each w_k [features, width]; Glorot uniform by default. w_0
        starts at zero. The params under "matrix" hold all w_k, with w_0 last.

    Returns:
      A layer from a Graph with nodes [n, features] and edges [m, edge features] to one with nodes
      [n, width].

    Raises:
      TypeError: if x is not a Graph, or its nodes or edges are not floating point.
      ValueError: if the aggregate is unknown, if the nodes are not [n, features], if there are no
        edge features or they are not [m, features], or if params are for other numbers of features.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2], jnp.ones((2, 5)))
    >>> params, _ = nn.graph.edge_conditioned(8).init(jax.random.key(0), path)
    >>> nn.graph.edge_conditioned(8)(params, path).nodes.shape
    (3, 8)

    (Simonovsky and Komodakis, Dynamic edge-conditioned filters in convolutional neural networks on
    graphs, 2017; Gilmer et al., Neural message passing for quantum chemistry, 2017.)
    """
    width = check_int(width, "edge_conditioned: width")
    reduce = aggregator(aggregate, "edge_conditioned")

    def flow(f, x):
        x = check_graph(x, "edge_conditioned")
        features = _edge_features(x, "edge_conditioned")
        if not features:
            raise ValueError(
                "edge_conditioned takes edges [m, features], got a graph without edge features."
            )
        k = features[0] if body is None else f.body(features[0])
        # Each node is multiplied once, and its products are weighed along the edges, one k after
        # another: all k at once would take the memory of [edges, k, width].
        products = jnp.moveaxis(f.matrix((x.nodes, k)), 1, 0)
        shares = concatenate((k, jnp.ones_like(k[:, :1]))).T

        @jax.checkpoint
        def add(total, part):
            nodes, share = part
            return total + take(nodes, x.senders) * share[:, None], None

        zeros = jnp.zeros((k.shape[0], width), products.dtype)
        messages, _ = jax.lax.scan(add, zeros, (products, shares))
        return x._replace(nodes=f.own(x.nodes) + reduce(messages, x.receivers, x.nodes.shape[0]))

    children = {} if body is None else {"body": body}
    own = dense(width, w_init=w_init)
    return wire(flow, **children, matrix=_matrices(width, w_init), own=own)


@factory
def virtual_node(layer: Any, update: Any) -> Layer:
    """A graph layer with a virtual node in each graph, connected to all its nodes.

    v_g = the globals of graph g, or zeros
    y = layer(x with v_g added to each node of graph g), with globals
    update(v_g + sum over the nodes i of graph g of x_i)

    Any two nodes of a graph are then two steps apart. Input globals have the width of the nodes.
    The output's globals have the width of update, so that the next such layer can take them.

    Args:
      layer: a graph layer.
      update: a layer of arrays, such as `nn.mlp(64, 64)`.

    Returns:
      A layer from a Graph with nodes [n, features] to the output of the given layer, with globals
      [graphs, width of update].

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the nodes are not [n, features], or if globals are not [graphs, features].

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.graph.virtual_node(nn.graph.gcn(8), nn.mlp(8, 8))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).globals.shape
    (1, 8)

    (Gilmer et al., Neural message passing for quantum chemistry, 2017, section 5.2; Hu et al., Open
    graph benchmark, 2020.)
    """

    def flow(f, x):
        x = check_graph(x, "virtual_node")
        graphs, width = x.sizes.shape[0], x.nodes.shape[-1]
        v = x.globals if has_features(x.globals) else jnp.zeros((graphs, width), x.nodes.dtype)
        if v.shape != (graphs, width):
            raise ValueError(
                f"virtual_node takes globals as wide as the nodes, [{graphs},{width}], got "
                f"{describe(v)}."
            )
        graph = node_graphs(x)
        y = f.layer(x._replace(nodes=x.nodes + take(v, graph)))
        total = v + segment_sum(x.nodes, graph, graphs)
        return y._replace(globals=f.update(total))

    return wire(flow, layer=layer, update=update)


def _edge_features(x: Graph, title: str) -> tuple:
    """The edge features in a tuple, which is empty if there are none."""
    if not has_features(x.edges):
        return ()
    if check_features(x.edges, title).shape != (x.senders.shape[0], x.edges.shape[-1]):
        raise ValueError(f"{title} takes edges [m, features], got {describe(x.edges)}.")
    return (x.edges,)


def _matrices(width: int, w_init: Any) -> Layer:
    """From (nodes [n, features], k [m, size]) to nodes times each w_k, [n, size + 1, width]."""

    def init(key, x):
        nodes, k = x
        weights = [
            w_init(fold_in(key, i), (nodes.shape[-1], width), param_dtype(nodes))
            for i in range(k.shape[-1])
        ]
        return {"w": jnp.stack([*weights, jnp.zeros_like(weights[0])], axis=1)}, ()

    def apply(params, state, x, *, key=None, train=False):
        nodes, k = x
        (w,) = unpack_params(params, nodes, "edge_conditioned", "w")
        if w.shape[:2] != (nodes.shape[-1], k.shape[-1] + 1):
            raise ValueError(
                f"edge_conditioned has params for {w.shape[0]} features of a node and "
                f"{w.shape[1] - 1} of an edge, got {describe(x)}."
            )
        y = jnp.matmul(nodes, w.reshape(w.shape[0], w.shape[1] * width))
        return y.reshape(nodes.shape[0], w.shape[1], width), ()

    return Layer(init, apply)
