"""Graph attention: each node weighs its in-neighbors and itself."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number
from jaxnn.core import Layer
from jaxnn.layers.dense import dense
from jaxnn.layers.noise import dropout as dropout_layer
from jaxnn.layers.segment import segment_sum, take
from jaxnn.nets.graph.conv import GLOROT, with_bias
from jaxnn.nets.graph.data import Graph, check_graph
from jaxnn.printing import factory

MERGES = "concatenate", "mean"


@factory
def gat(
    width: int,
    heads: int = 1,
    *,
    merge: str = "concatenate",
    slope: float = 0.2,
    dropout: float = 0.0,
    bias: bool = True,
    w_init: Callable = GLOROT,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Graph attention: each node averages itself and its in-neighbors by learned weights.

    h = x w, e_ij = leaky_relu(h_i . receive + h_j . send), a_i = softmax over j of e_ij
    y_i = sum over edges j -> i, and j = i, of a_ij h_j, then the heads are merged, + b

    The node itself always takes part; an edge from a node to itself counts in addition.

    Args:
      width: features of one head.
      heads: the number of heads, each with weights a_ij of its own.
      merge: "concatenate" for an output [n, heads width], "mean" for the mean of the heads
        [n, width].
      slope: the slope of the leaky rectifier below zero.
      dropout: the fraction of the weights a_ij that is set to zero in training.
      bias: whether to add a bias b of the output's width.
      w_init: initializer of w [features, heads width] and of send and receive [heads, width];
        Glorot uniform by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes [n, heads width], or
      [n, width] if the heads are averaged, of the same dtype.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if merge is unknown, if the nodes are not [n, features], if params are for another
        number of features, or if there is no key in training with dropout.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.graph.gat(8, heads=2)
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape
    (3, 16)

    (Velickovic et al., Graph attention networks, 2018.)
    """
    width, heads, out = _sizes("gat", width, heads, merge)
    slope = 1.0 * check_number(slope, "gat: slope")
    linear = dense(heads * width, bias=False, w_init=w_init)

    def begin(key, nodes):
        params, _ = linear.init(core.fold_in(key, 0), nodes)
        for i, side in enumerate(("send", "receive")):
            side_key = core.fold_in(key, 2 + i)
            params[side] = w_init(side_key, (heads, width), core.param_dtype(nodes))
        return params

    def score(x, w, send, receive):
        h = linear({"w": w}, x.nodes).reshape(x.nodes.shape[0], heads, width)
        sent, received = ((h * vector[None]).sum(-1) for vector in (send, receive))
        edges = jax.nn.leaky_relu(take(sent, x.senders) + take(received, x.receivers), slope)
        return h, edges, jax.nn.leaky_relu(sent + received, slope)

    names = "w", "send", "receive"
    return _attention("gat", out, merge, dropout, bias, b_init, names, begin, score)


@factory
def gatv2(
    width: int,
    heads: int = 1,
    *,
    merge: str = "concatenate",
    slope: float = 0.2,
    dropout: float = 0.0,
    bias: bool = True,
    w_init: Callable = GLOROT,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Graph attention in which the ranking of the senders depends on the receiver.

    e_ij = a . leaky_relu(x_j send + x_i receive), a_i = softmax over j of e_ij
    y_i = sum over edges j -> i, and j = i, of a_ij (x_j send), then the heads are merged, + b

    Args:
      width: features of one head.
      heads: the number of heads, each with weights a_ij of its own.
      merge: "concatenate" for an output [n, heads width], "mean" for the mean of the heads
        [n, width].
      slope: the slope of the leaky rectifier below zero.
      dropout: the fraction of the weights a_ij that is set to zero in training.
      bias: whether to add a bias b of the output's width.
      w_init: initializer of send and receive [features, heads width] and of a [heads, width];
        Glorot uniform by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes [n, heads width], or
      [n, width] if the heads are averaged, of the same dtype.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if merge is unknown, if the nodes are not [n, features], if params are for another
        number of features, or if there is no key in training with dropout.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.graph.gatv2(8, heads=2, merge="mean")
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).nodes.shape
    (3, 8)

    (Brody, Alon and Yahav, How attentive are graph attention networks?, 2022.)
    """
    width, heads, out = _sizes("gatv2", width, heads, merge)
    slope = 1.0 * check_number(slope, "gatv2: slope")
    linear = dense(heads * width, bias=False, w_init=w_init)

    def begin(key, nodes):
        send, receive = (linear.init(core.fold_in(key, i), nodes)[0]["w"] for i in (0, 2))
        a = w_init(core.fold_in(key, 3), (heads, width), core.param_dtype(nodes))
        return {"send": send, "receive": receive, "a": a}

    def score(x, send, receive, a):
        sent, received = (
            linear({"w": w}, x.nodes).reshape(x.nodes.shape[0], heads, width)
            for w in (send, receive)
        )

        def logit(total):
            return (jax.nn.leaky_relu(total, slope) * a[None]).sum(-1)

        edges = logit(take(sent, x.senders) + take(received, x.receivers))
        return sent, edges, logit(sent + received)

    names = "send", "receive", "a"
    return _attention("gatv2", out, merge, dropout, bias, b_init, names, begin, score)


def _attention(
    title: str,
    out: int,
    merge: str,
    dropout: float,
    bias: bool,
    b_init: Callable,
    names: tuple[str, ...],
    begin: Callable,
    score: Callable,
) -> Layer:
    """Build the layer of either kind of attention, with outputs of width `out`.

    begin: (key, nodes) -> params, without the bias.
    score: (x, *params) -> (h [n, heads, width], scores of the edges [m, heads], scores of the nodes
      for themselves [n, heads]).
    """
    drop = dropout_layer(dropout)

    def init(key, x):
        nodes = check_graph(x, title).nodes
        return with_bias(begin(key, nodes), key, nodes, out, bias, b_init), ()

    def apply(params, state, x, *, key=None, train=False):
        nodes = check_graph(x, title).nodes
        given = core.unpack_params(params, nodes, title, *names, *("b",) * bias)
        weights, b = given[: len(names)], given[len(names) :]
        h, edges, own = score(x, *weights)
        y = _attended(x, h, edges, own, drop, key, core.check_train(train))
        y = y.mean(1) if merge == "mean" else y.reshape(y.shape[0], y.shape[1] * y.shape[2])
        return x._replace(nodes=y + b[0][None] if b else y), ()

    return Layer(init, apply, name=title)


def _attended(x: Graph, h, edges, own, drop: Layer, key, train: bool):
    """The mean of h over a node's senders and itself, by the softmax of their scores.

    h [n, heads, width], edges [m, heads], own [n, heads].
    """
    n = own.shape[0]
    edges_, own_ = jax.lax.stop_gradient((edges, own))
    top = jnp.maximum(jax.ops.segment_max(edges_, x.receivers, n), own_)
    edge_weight, own_weight = jnp.exp(edges - take(top, x.receivers)), jnp.exp(own - top)
    total = segment_sum(edge_weight, x.receivers, n) + own_weight
    edge_weight, own_weight = (
        drop((), weight, key=core.fold_in(key, i), train=train)
        for i, weight in enumerate((edge_weight, own_weight))
    )
    gathered = segment_sum(edge_weight[..., None] * take(h, x.senders), x.receivers, n)
    # One division for each node, rather than one for the weight of each edge.
    return (gathered + own_weight[..., None] * h) / total[..., None]


def _sizes(title: str, width: int, heads: int, merge: str) -> tuple[int, int, int]:
    """The checked width and heads, and the width of the output."""
    width = core.check_int(width, f"{title}: width")
    heads = core.check_int(heads, f"{title}: heads")
    if merge not in MERGES:
        raise ValueError(f'{title}: merge is "concatenate" or "mean", got {merge!r}.')
    return width, heads, width * heads if merge == "concatenate" else width
