"""Graph attention: each node weighs those that send to it, and itself."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.dense import dense
from jaxnn.layers.noise import dropout as dropped
from jaxnn.layers.segment import segment_sum, take
from jaxnn.nets.graph.conv import GLOROT, biased
from jaxnn.nets.graph.data import Graph, checked
from jaxnn.printing import factory


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
    """Graph attention: each node weighs itself and those that send to it, head by head.

    h = x w, e_ij = leaky_relu(h_i . receive + h_j . send), a_i = softmax over j of e_ij
    y_i = sum over edges j -> i, and j = i, of a_ij h_j, then heads merged, + b

    The node itself counts always; an edge from a node to itself counts beside that.

    Args:
      width: features of a head.
      heads: how many weigh apart.
      merge: "concatenate" gives [n, heads width], "mean" their mean [n, width].
      slope: of the leaky rectifier below zero.
      dropout: the fraction of the weights a_ij that is zero in training.
      bias: whether there is a b beside w [features, heads width], send and receive [heads, width].
      w_init, b_init: initialisers of `jax.nn`; by default Glorot uniform, of send and receive too,
        and zeros.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for a merge that is neither; for params that take another number of features; in
        training with dropout without a key.

    (Velickovic et al., Graph attention networks, 2018.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.gat(8, heads=2).init(jax.random.key(0), path)
    >>> nn.graph.gat(8, heads=2)(params, path).nodes.shape
    (3, 16)
    """
    width, heads, wide = _headed("gat", width, heads, merge)
    linear, thin = dense(heads * width, bias=False, w_init=w_init), dropped(dropout)

    def init(key, x):
        nodes = checked(x, "gat").nodes
        params, _ = linear.init(core.fold_in(key, 0), nodes)
        for i, side in enumerate(("send", "receive")):
            drawn = core.fold_in(key, 2 + i)
            params[side] = w_init(drawn, (heads, width), core.param_dtype(nodes))
        return biased(params, key, nodes, wide, bias, b_init), ()

    def apply(params, state, x, *, key=None, train=False):
        nodes = checked(x, "gat").nodes
        names = ("w", "send", "receive", *("b",) * bias)
        w, send, receive, *b = core.unpack_params(params, nodes, "gat", *names)
        h = linear({"w": w}, nodes).reshape(nodes.shape[0], heads, width)
        sent, received = ((h * each[None]).sum(-1) for each in (send, receive))
        score = jax.nn.leaky_relu(take(sent, x.senders) + take(received, x.receivers), slope)
        own = jax.nn.leaky_relu(sent + received, slope)
        y = _attended(x, score, own, h, thin, key, core.check_train(train))
        return x._replace(nodes=_merged(y, merge, b)), ()

    return Layer(init, apply)


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
    """Graph attention whose ranking of the senders depends on who receives.

    e_ij = a . leaky_relu(x_j send + x_i receive), a_i = softmax over j of e_ij
    y_i = sum over edges j -> i, and j = i, of a_ij (x_j send), then heads merged, + b

    Arguments and what is raised are those of `gat`; params are send and receive [features, heads
    width], a [heads, width] and b.

    (Brody, Alon and Yahav, How attentive are graph attention networks?, 2022.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.gatv2(8, heads=2, merge="mean").init(jax.random.key(0), path)
    >>> nn.graph.gatv2(8, heads=2, merge="mean")(params, path).nodes.shape
    (3, 8)
    """
    width, heads, wide = _headed("gatv2", width, heads, merge)
    linear, thin = dense(heads * width, bias=False, w_init=w_init), dropped(dropout)

    def init(key, x):
        nodes = checked(x, "gatv2").nodes
        send, receive = (linear.init(core.fold_in(key, i), nodes)[0]["w"] for i in (0, 2))
        a = w_init(core.fold_in(key, 3), (heads, width), core.param_dtype(nodes))
        params = {"send": send, "receive": receive, "a": a}
        return biased(params, key, nodes, wide, bias, b_init), ()

    def apply(params, state, x, *, key=None, train=False):
        nodes = checked(x, "gatv2").nodes
        names = ("send", "receive", "a", *("b",) * bias)
        send, receive, a, *b = core.unpack_params(params, nodes, "gatv2", *names)
        sent, received = (
            linear({"w": w}, nodes).reshape(nodes.shape[0], heads, width) for w in (send, receive)
        )

        def score(sum_):
            return (jax.nn.leaky_relu(sum_, slope) * a[None]).sum(-1)

        edges = score(take(sent, x.senders) + take(received, x.receivers))
        own = score(sent + received)
        y = _attended(x, edges, own, sent, thin, key, core.check_train(train))
        return x._replace(nodes=_merged(y, merge, b)), ()

    return Layer(init, apply)


# Pieces


def _attended(x: Graph, score, own, h, thin: Layer, key, train: bool):
    """The mean of h over a node's senders and itself, by the softmax of score and own.

    score [m, heads], own [n, heads], h [n, heads, width].
    """
    n = own.shape[0]
    score_, own_ = jax.lax.stop_gradient((score, own))
    top = jnp.maximum(jax.ops.segment_max(score_, x.receivers, n), own_)
    raised, mine = jnp.exp(score - take(top, x.receivers)), jnp.exp(own - top)
    total = segment_sum(raised, x.receivers, n) + mine
    raised, mine = (
        thin((), each, key=core.fold_in(key, i), train=train)
        for i, each in enumerate((raised, mine))
    )
    told = segment_sum(raised[..., None] * take(h, x.senders), x.receivers, n)
    # Divided once a node, where weights would be divided once an edge.
    return (told + mine[..., None] * h) / total[..., None]


def _headed(title: str, width: int, heads: int, merge: str) -> tuple[int, int, int]:
    """Checked width, heads, and the width of the output."""
    width, heads = (
        core.check_int(width, f"{title}: width"),
        core.check_int(heads, f"{title}: heads"),
    )
    if merge not in ("concatenate", "mean"):
        raise ValueError(f'{title}: merge is "concatenate" or "mean", got {merge!r}.')
    return width, heads, width * heads if merge == "concatenate" else width


def _merged(y, merge: str, b: list):
    y = y.mean(1) if merge == "mean" else y.reshape(y.shape[0], y.shape[1] * y.shape[2])
    return y + b[0][None] if b else y
