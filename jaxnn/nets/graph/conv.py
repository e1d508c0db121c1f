"""Graph convolutions that treat all neighbors alike: GCN, GraphSAGE and GIN.

Each node aggregates messages from its in-neighbors, the nodes from which edges come to it. A graph
layer takes a `Graph` and returns it with new node features. The result does not depend on the order
of nodes or edges nor on padding rows, and the graphs of a union do not see each other.

Layers that weigh the neighbors are in `jaxnn.nets.graph.attention`, and layers that read the
features of edges in `jaxnn.nets.graph.message`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.layers.dense import dense
from jaxnn.layers.segment import segment_max, segment_mean, segment_sum, take
from jaxnn.nets.graph.data import Graph, check_graph
from jaxnn.printing import factory

GLOROT = jax.nn.initializers.glorot_uniform()
AGGREGATES: dict[str, Callable] = {"sum": segment_sum, "mean": segment_mean, "max": segment_max}


@factory
def gcn(
    width: int,
    *,
    weighted: bool = False,
    bias: bool = True,
    w_init: Callable = GLOROT,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """A graph convolution: each node sums itself and its neighbors, normalized by their degrees.

    y_i = sum over edges j -> i, and j = i, of a_ij / sqrt(d_i d_j) (x_j w) + b
    d_i = 1 + sum over edges j -> i of a_ij

    The node itself always counts with weight 1; an edge from a node to itself adds to that.

    Args:
      width: features of a node in the output.
      weighted: whether the edge features are the weights a_ij >= 0, [m, 1]; otherwise all weights
        are 1, and edge features are passed on unread.
      bias: whether to add a bias b [width].
      w_init: initializer of w [features, width]; Glorot uniform by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes [n, width] of the same dtype.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the nodes are not [n, features], if weights are not [m, 1], or if params are
        for another number of features.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.serial(nn.graph.gcn(8), jax.nn.relu, nn.graph.gcn(2))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape
    (3, 2)

    (Kipf and Welling, Semi-supervised classification with graph convolutional networks, 2017.)
    """
    linear = dense(core.check_int(width, "gcn: width"), bias=False, w_init=w_init)

    def init(key, x):
        params, _ = linear.init(core.fold_in(key, 0), check_graph(x, "gcn").nodes)
        return with_bias(params, key, x.nodes, width, bias, b_init), ()

    def apply(params, state, x, *, key=None, train=False):
        nodes = check_graph(x, "gcn").nodes
        w, *b = core.unpack_params(params, nodes, "gcn", "w", *("b",) * bias)
        # Degrees and sums over many neighbors exceed the range and precision of half precision.
        h = core.at_least_float32(linear({"w": w}, nodes))
        weights = _edge_weights(x, h.dtype) if weighted else jnp.ones(x.senders.shape, h.dtype)
        scale = jax.lax.rsqrt(1 + segment_sum(weights, x.receivers, nodes.shape[0]))[:, None]
        h = scale * h
        messages = take(h, x.senders)
        messages = messages * weights[:, None] if weighted else messages
        y = scale * (h + segment_sum(messages, x.receivers, nodes.shape[0]))
        y = y.astype(nodes.dtype)
        return x._replace(nodes=y + b[0][None] if b else y), ()

    return Layer(init, apply)


@factory
def sage(
    width: int, *, aggregate: str = "mean", normalize: bool = False, w_init: Callable = GLOROT
) -> Layer:
    """GraphSAGE: one linear map of the node itself, and another of an aggregate of its neighbors.

    y_i = x_i own + aggregate over edges j -> i of x_j told + b

    Args:
      width: features of a node in the output.
      aggregate: "mean", "sum" or "max" over the neighbors; zero for a node without in-edges.
      normalize: whether each y_i is scaled to unit length, as in the paper.
      w_init: initializer of own and told [features, width]; Glorot uniform by default.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes [n, width] of the same dtype.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the aggregate is unknown, if the nodes are not [n, features], or if params are
        for another number of features.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.sage(8).init(jax.random.key(0), path)
    >>> nn.graph.sage(8)(params, path).nodes.shape, sorted(params)
    ((3, 8), ['own', 'told'])

    (Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, 2017.)
    """
    reduce = aggregator(aggregate, "sage")

    def flow(f, x):
        x = check_graph(x, "sage")

        def gathered(h):
            return reduce(take(h, x.senders), x.receivers, x.nodes.shape[0])

        # Sums and means commute with a linear map, so the narrower side is gathered.
        map_first = aggregate != "max" and width < x.nodes.shape[-1]
        told = gathered(f.told(x.nodes)) if map_first else f.told(gathered(x.nodes))
        y = f.own(x.nodes) + told
        if normalize:
            wide = core.at_least_float32(y)
            square = jnp.sum(jnp.square(wide), axis=-1, keepdims=True)
            wide = wide * jax.lax.rsqrt(jnp.maximum(square, jnp.finfo(wide.dtype).tiny))
            y = wide.astype(y.dtype)
        return x._replace(nodes=y)

    own, told = dense(width, w_init=w_init), dense(width, bias=False, w_init=w_init)
    return wire(flow, own=own, told=told)


@factory
def gin(body: Any, *, epsilon: float = 0.0, learned: bool = True) -> Layer:
    """A graph isomorphism layer, as good at telling graphs apart as the Weisfeiler-Lehman test.

    y_i = body((1 + epsilon) x_i + sum over edges j -> i of x_j)

    Args:
      body: a layer of arrays, such as `nn.mlp(64, 64)`.
      epsilon: the weight of the node itself beyond 1; the initial value if it is learned.
      learned: whether epsilon is a param.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes [n, width of body].

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if epsilon is not finite, or if the nodes are not [n, features].

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.graph.gin(nn.mlp(8, 8))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape, sorted(params)
    ((3, 8), ['body', 'epsilon'])

    (Xu et al., How powerful are graph neural networks?, 2019.)
    """
    if not math.isfinite(epsilon):
        raise ValueError(f"gin: epsilon must be finite, got {epsilon!r}.")

    def flow(f, x):
        x = check_graph(x, "gin")
        total = segment_sum(take(x.nodes, x.senders), x.receivers, x.nodes.shape[0])
        own = f.epsilon(x.nodes) if learned else (1 + epsilon) * x.nodes
        return x._replace(nodes=f.body(own + total))

    scale = {"epsilon": _one_plus(epsilon)} if learned else {}
    return wire(flow, **scale, body=body)


# Shared by the graph layers


def aggregator(aggregate: str, title: str) -> Callable:
    """The segment function of this name; raises ValueError if there is none."""
    if aggregate not in AGGREGATES:
        raise ValueError(f"{title}: aggregate is one of {list(AGGREGATES)}, got {aggregate!r}.")
    return AGGREGATES[aggregate]


def with_bias(params: dict, key, nodes, width: int, bias: bool, b_init: Callable) -> dict:
    """Params with a bias b [width] added, if there is to be one."""
    b = b_init(core.fold_in(key, 1), (width,), core.param_dtype(nodes))
    return params | {"b": b} if bias else params


def _edge_weights(x: Graph, dtype: Any):
    """The weights of the edges, [m]."""
    if jnp.shape(x.edges) != (*x.senders.shape, 1) or not core.floating(x.edges):
        raise ValueError(
            f"gcn with weighted=True takes edges [m, 1] of floats, their weights, got "
            f"{core.describe(x.edges)} for {x.senders.shape[0]} edges."
        )
    return x.edges[:, 0].astype(dtype)


def _one_plus(epsilon: float) -> Layer:
    """A learned scale: y = (1 + epsilon) x."""

    def init(key, x):
        return jnp.full((), epsilon, core.param_dtype(x)), ()

    def apply(params, state, x, *, key=None, train=False):
        return (1 + core.cast(params, x.dtype)) * x, ()

    return Layer(init, apply)
