"""Graph networks: each node is told something by the nodes from which edges come to it.

A layer takes a `Graph` and returns it with other features. What it computes does not depend on the
order of nodes or edges, nor on what is left over in a padded union, and graphs of a union do not
see each other. Layers of arrays stand between them in `nodewise`. A layer that mixes the rows of a
batch, as `batch_norm` does, would see what is left over as well: norm each row, as `layer_norm`
does.

Here are those that take all neighbours alike; those that weigh them are in
`jaxnn.nets.graph.attention`, and those that look at the features of edges in
`jaxnn.nets.graph.message`.
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
from jaxnn.nets.graph.data import Graph, checked
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
    """A graph convolution: each node gets the mean of itself and its neighbours, by their degrees.

    y_i = sum over edges j -> i, and j = i, of a_ij / sqrt(d_i d_j) (x_j w) + b
    d_i = 1 + sum over edges j -> i of a_ij

    The node itself counts always, with weight 1; an edge from a node to itself adds to that.

    Args:
      width: features of a node in the output.
      weighted: whether the edges hold their weights a_ij >= 0, [m, 1]; else all are 1, and what
        edges hold is passed on unread.
      bias: whether there is a b [width] beside w [features, width].
      w_init, b_init: initialisers of `jax.nn`; by default Glorot uniform and zeros.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for weights of another shape; for params that take another number of features.

    (Kipf and Welling, Semi-supervised classification with graph convolutional networks, 2017.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.serial(nn.graph.gcn(8), nn.graph.nodewise(jax.nn.relu), nn.graph.gcn(2))
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape
    (3, 2)
    """
    linear = dense(core.check_int(width, "gcn: width"), bias=False, w_init=w_init)

    def init(key, x):
        params, _ = linear.init(core.fold_in(key, 0), checked(x, "gcn").nodes)
        return biased(params, key, x.nodes, width, bias, b_init), ()

    def apply(params, state, x, *, key=None, train=False):
        nodes = checked(x, "gcn").nodes
        w, *b = core.unpack_params(params, nodes, "gcn", "w", *("b",) * bias)
        # Degrees and sums over many neighbours are beyond what half precision holds.
        h = core.at_least_float32(linear({"w": w}, nodes))
        weights = _edge_weights(x, h.dtype) if weighted else jnp.ones(x.senders.shape, h.dtype)
        scale = jax.lax.rsqrt(1 + segment_sum(weights, x.receivers, nodes.shape[0]))[:, None]
        h = scale * h
        told = take(h, x.senders)
        told = told * weights[:, None] if weighted else told
        y = scale * (h + segment_sum(told, x.receivers, nodes.shape[0]))
        y = y.astype(nodes.dtype)
        return x._replace(nodes=y + b[0][None] if b else y), ()

    return Layer(init, apply)


@factory
def sage(
    width: int, *, aggregate: str = "mean", normalize: bool = False, w_init: Callable = GLOROT
) -> Layer:
    """GraphSAGE: what a node is, beside what its neighbours are on the whole.

    y_i = x_i own + aggregate over edges j -> i of x_j told + b

    Args:
      width: features of a node in the output.
      aggregate: "mean", "sum" or "max"; of no edges it is zero.
      normalize: whether each y_i is scaled to length one, as the paper does.
      w_init: an initialiser of `jax.nn`, Glorot uniform by default.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for an aggregate that is none; for params that take another number of features.

    (Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, 2017.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.sage(8).init(jax.random.key(0), path)
    >>> nn.graph.sage(8)(params, path).nodes.shape, sorted(params)
    ((3, 8), ['own', 'told'])
    """
    reduce = aggregator(aggregate, "sage")

    def flow(f, x):
        x = checked(x, "sage")

        def gathered(h):
            return reduce(take(h, x.senders), x.receivers, x.nodes.shape[0])

        # A sum of products is a product of sums, and the narrower side is summed.
        first = aggregate != "max" and width < x.nodes.shape[-1]
        told = gathered(f.told(x.nodes)) if first else f.told(gathered(x.nodes))
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
    """Graph isomorphism: as good at telling graphs apart as the Weisfeiler-Lehman test.

    y_i = body((1 + epsilon) x_i + sum over edges j -> i of x_j)

    Args:
      body: a layer of arrays, such as `jaxnn.mlp(64, 64)`.
      epsilon: at the start.
      learned: whether epsilon is a param.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for an epsilon that is not finite.

    (Xu et al., How powerful are graph neural networks?, 2019.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.gin(nn.mlp(8, 8)).init(jax.random.key(0), path)
    >>> nn.graph.gin(nn.mlp(8, 8))(params, path).nodes.shape, sorted(params)
    ((3, 8), ['body', 'epsilon'])
    """
    if not math.isfinite(epsilon):
        raise ValueError(f"gin: epsilon must be finite, got {epsilon!r}.")

    def flow(f, x):
        x = checked(x, "gin")
        told = segment_sum(take(x.nodes, x.senders), x.receivers, x.nodes.shape[0])
        own = f.epsilon(x.nodes) if learned else (1 + epsilon) * x.nodes
        return x._replace(nodes=f.body(own + told))

    scale = {"epsilon": _one_plus(epsilon)} if learned else {}
    return wire(flow, **scale, body=body)


@factory
def nodewise(layer: Any) -> Layer:
    """A layer of arrays over the nodes of a Graph: what stands between graph layers.

    A plain function, such as `jax.nn.relu`, acts on the nodes in any case; dropout, norms and dense
    layers are wrapped so.

    Params and state are the layer's own.

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> nn.graph.nodewise(jax.numpy.negative)((), path).nodes[0, 0].tolist()
    -1.0
    """
    return _over("nodewise", "nodes", layer)


@factory
def node_output() -> Layer:
    """The features of the nodes [n, features] of a Graph: the end of a net that tells of nodes.

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.serial(nn.graph.gcn(8), jax.nn.relu, nn.graph.gcn(2), nn.graph.node_output())
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).shape
    (3, 2)
    """

    def init(key, x):
        checked(x, "node_output")
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        return checked(x, "node_output").nodes, ()

    return Layer(init, apply)


@factory
def edgewise(layer: Any) -> Layer:
    """A layer of arrays over the edges of a Graph; params and state are the layer's own.

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2], jax.numpy.ones((2, 1)))
    >>> nn.graph.edgewise(jax.numpy.negative)((), path).edges.tolist()
    [[-1.0], [-1.0]]
    """
    return _over("edgewise", "edges", layer)


def aggregator(aggregate: str, title: str) -> Callable:
    """The function of segments of this name; raises ValueError where there is none."""
    if aggregate not in AGGREGATES:
        raise ValueError(f"{title}: aggregate is one of {list(AGGREGATES)}, got {aggregate!r}.")
    return AGGREGATES[aggregate]


# Pieces


def biased(params: dict, key, nodes, width: int, bias: bool, b_init: Callable) -> dict:
    """Params with a b [width] beside them, or as they are."""
    b = b_init(core.fold_in(key, 1), (width,), core.param_dtype(nodes))
    return params | {"b": b} if bias else params


def _edge_weights(x: Graph, dtype: Any):
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


def _over(title: str, field: str, layer: Any) -> Layer:
    """A layer over one field of a Graph."""
    child = core.lift(layer)

    def init(key, x):
        return child.init(key, getattr(checked(x, title), field))

    def apply(params, state, x, *, key=None, train=False):
        given = getattr(checked(x, title), field)
        y, state = child.apply(params, state, given, key=key, train=train)
        if y.shape[:1] != given.shape[:1]:
            raise ValueError(
                f"{title} takes a layer that keeps the rows, got {core.describe(y)} from "
                f"{core.describe(given)}."
            )
        return x._replace(**{field: y}), state

    return Layer(init, apply, name=title)
