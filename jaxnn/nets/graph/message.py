"""Messages along edges that say something of their own, and a node that all others talk to."""

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
from jaxnn.nets.graph.data import Graph, checked, held, node_graphs
from jaxnn.printing import factory


@factory
def message_passing(
    message: Any, update: Any, *, aggregate: str = "sum", keep: bool = False
) -> Layer:
    """Messages along edges, and nodes that make of them what they will.

    m_ij = message([x_j, x_i, e_ij]) for each edge j -> i
    y_i = update([x_i, aggregate over edges j -> i of m_ij])

    Args:
      message, update: layers of arrays, such as `jaxnn.mlp(64, 64)`, of rows side by side; a graph
        without features of edges has messages of nodes alone.
      aggregate: "sum", "mean" or "max"; of no edges it is zero.
      keep: whether the messages are the features of edges in the output.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for an aggregate that is none; for features of edges that are not [m, features].

    (Gilmer et al., Neural message passing for quantum chemistry, 2017; `keep`: Battaglia et al.,
    Relational inductive biases, deep learning, and graph networks, 2018.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2], jax.numpy.ones((2, 5)))
    >>> net = nn.graph.message_passing(nn.mlp(16, 8), nn.dense(6))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape, params["message"][0]["w"].shape
    ((3, 6), (13, 16))
    """
    reduce = aggregator(aggregate, "message_passing")

    def flow(f, x):
        x = checked(x, "message_passing")
        ends = take(x.nodes, x.senders), take(x.nodes, x.receivers)
        m = f.message(concatenate((*ends, *edges(x, "message_passing"))))
        told = reduce(m, x.receivers, x.nodes.shape[0])
        y = f.update(concatenate((x.nodes, told)))
        return x._replace(nodes=y, edges=m if keep else x.edges)

    return wire(flow, message=message, update=update)


@factory
def edge_conditioned(
    width: int, body: Any = None, *, aggregate: str = "sum", w_init: Callable = GLOROT
) -> Layer:
    """A matrix for each edge, made of its features, takes the sender to the message.

    y_i = x_i own + aggregate over edges j -> i of x_j matrix(e_ij) + b
    matrix(e) = w_0 + sum over features k of body(e) of body(e)_k w_k

    No matrix is formed for an edge: each node is multiplied by every w_k, and the products are
    weighed along the edges. With the features of an edge one-hot and no body, it is a matrix for
    each kind of edge (the relational graph convolution).

    Args:
      width: features of a node in the output.
      body: a layer of arrays over the edges, such as `jaxnn.mlp(16, 8)`; by default the features of
        the edges themselves. The work grows with its width.
      aggregate: "sum", "mean" or "max"; of no edges it is zero.
      w_init: an initialiser of `jax.nn` for own and for each w_k [features, width], Glorot uniform
        by default; w_0 starts at zero. The params "matrix" hold them all, w_0 last.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for an aggregate that is none; for edges without features.

    (Simonovsky and Komodakis, Dynamic edge-conditioned filters in convolutional neural networks on
    graphs, 2017; Gilmer et al., 2017.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2], jax.numpy.ones((2, 5)))
    >>> params, _ = nn.graph.edge_conditioned(8).init(jax.random.key(0), path)
    >>> nn.graph.edge_conditioned(8)(params, path).nodes.shape
    (3, 8)
    """
    width, reduce = (
        check_int(width, "edge_conditioned: width"),
        aggregator(aggregate, "edge_conditioned"),
    )

    def flow(f, x):
        x = checked(x, "edge_conditioned")
        told_of = edges(x, "edge_conditioned")
        if not told_of:
            raise ValueError("edge_conditioned takes edges [m, features], got a graph without.")
        k = told_of[0] if body is None else f.body(told_of[0])
        # Nodes first, once each, and then their parts weighed along the edges, one k after another:
        # all at once they would take the memory of [edges, k, width].
        parts = jnp.moveaxis(f.matrix((x.nodes, k)), 1, 0)
        shares = concatenate((k, jnp.ones_like(k[:, :1]))).T

        @jax.checkpoint
        def add(total, part):
            nodes, share = part
            return total + take(nodes, x.senders) * share[:, None], None

        empty = jnp.zeros((k.shape[0], width), parts.dtype)
        told, _ = jax.lax.scan(add, empty, (parts, shares))
        return x._replace(nodes=f.own(x.nodes) + reduce(told, x.receivers, x.nodes.shape[0]))

    children = {} if body is None else {"body": body}
    own = dense(width, w_init=w_init)
    return wire(flow, **children, matrix=_matrices(width, w_init), own=own)


@factory
def virtual_node(layer: Any, update: Any) -> Layer:
    """A node without a place, in each graph, that hears all others and speaks to them.

    v_g = the globals of graph g, or zeros
    y = layer(x with v_g added to each of its nodes), whose globals are
    update(v_g + sum over its nodes of x_i)

    So what is far apart is two steps apart. Globals have the width of the nodes, and leave with the
    width that update gives them, which the next such layer takes.

    Args:
      layer: a graph layer.
      update: a layer of arrays, such as `jaxnn.mlp(64, 64)`.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for globals of another width than the nodes.

    (Gilmer et al., 2017, section 5.2; Hu et al., Open graph benchmark, 2020.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.graph.virtual_node(nn.graph.gcn(8), nn.mlp(8, 8))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).globals.shape
    (1, 8)
    """

    def flow(f, x):
        x = checked(x, "virtual_node")
        graphs, width = x.sizes.shape[0], x.nodes.shape[-1]
        v = x.globals if held(x.globals) else jnp.zeros((graphs, width), x.nodes.dtype)
        if v.shape != (graphs, width):
            raise ValueError(
                f"virtual_node takes globals as wide as the nodes, [{graphs},{width}], got "
                f"{describe(v)}."
            )
        belongs = node_graphs(x)
        y = f.layer(x._replace(nodes=x.nodes + take(v, belongs)))
        heard = v + segment_sum(x.nodes, belongs, graphs)
        return y._replace(globals=f.update(heard))

    return wire(flow, layer=layer, update=update)


# Pieces


def edges(x: Graph, title: str) -> tuple:
    """The features of the edges in a tuple, which is empty where there are none."""
    if not held(x.edges):
        return ()
    if check_features(x.edges, title).shape != (x.senders.shape[0], x.edges.shape[-1]):
        raise ValueError(f"{title} takes edges [m, features], got {describe(x.edges)}.")
    return (x.edges,)


def _matrices(width: int, w_init: Any) -> Layer:
    """(nodes [n, features], k [m, size]) to nodes by each matrix, [n, size + 1, width]."""

    def init(key, x):
        nodes, k = x
        drawn = [
            w_init(fold_in(key, i), (nodes.shape[-1], width), param_dtype(nodes))
            for i in range(k.shape[-1])
        ]
        return {"w": jnp.stack([*drawn, jnp.zeros_like(drawn[0])], axis=1)}, ()

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
