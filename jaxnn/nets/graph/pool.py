"""From nodes to graphs: readouts, and a pool that keeps the best nodes of each graph."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import concatenate
from jaxnn.layers.recurrent.lstm import lstm
from jaxnn.layers.segment import segment_softmax, segment_sum, take
from jaxnn.nets.graph.conv import GLOROT, aggregator
from jaxnn.nets.graph.data import Graph, check_graph
from jaxnn.nets.graph.masks import edge_mask, node_graphs
from jaxnn.printing import factory


@factory
def readout(*aggregates: str) -> Layer:
    """Aggregate the nodes of each graph into one row: y_g = aggregate over nodes i of g of x_i.

    Args:
      *aggregates: one or more of "sum", "mean" and "max", whose results are concatenated; "mean" by
        default. A graph without nodes gives zeros.

    Returns:
      A layer from a Graph with nodes [n, features] to y [graphs, features] for each aggregate,
      concatenated.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if an aggregate is unknown, or if the nodes are not [n, features].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.array([[1.0], [2.0], [6.0]]), [0, 1], [1, 2])
    >>> nn.graph.readout("sum", "max")((), path).tolist()
    [[9.0, 6.0]]
    """
    reduces = [aggregator(each, "readout") for each in aggregates or ("mean",)]

    def init(key, x):
        check_graph(x, "readout")
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        x = check_graph(x, "readout")
        graph, graphs = node_graphs(x), x.sizes.shape[0]
        return concatenate([reduce(x.nodes, graph, graphs) for reduce in reduces]), ()

    return Layer(init, apply)


@factory
def set2set(steps: int = 3) -> Layer:
    """A readout that attends to the nodes several times, with a new query each time.

    q_t = lstm([q_{t-1}, r_{t-1}]), a_i = softmax over nodes i of x_i . q_t
    r_t = sum of a_i x_i, and y_g = [q_t, r_t] after the last step

    Args:
      steps: how many times it attends to the nodes.

    Returns:
      A layer from a Graph with nodes [n, features] to y [graphs, 2 features].

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if steps is less than 1, or if the nodes are not [n, features].

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.set2set().init(jax.random.key(0), path)
    >>> nn.graph.set2set()(params, path).shape
    (1, 8)

    (Vinyals, Bengio and Kudlur, Order matters: sequence to sequence for sets, 2016.)
    """
    steps = core.check_int(steps, "set2set: steps")

    def cell_and_input(x):
        """The LSTM for x, and the spec of its input: one step for each graph."""
        width = check_graph(x, "set2set").nodes.shape[-1]
        return lstm(width), jax.ShapeDtypeStruct((x.sizes.shape[0], 1, 2 * width), x.nodes.dtype)

    def init(key, x):
        cell, y = cell_and_input(x)
        return cell.init(key, y)

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        cell, y = cell_and_input(x)
        graph, graphs = node_graphs(x), x.sizes.shape[0]

        def attend(_, carry_y):
            carry, y = carry_y
            (carry, q), _ = cell.apply(params, (), (carry, y))
            score = (x.nodes * take(q[:, 0], graph)).sum(-1)
            a = segment_softmax(score, graph, graphs)
            r = segment_sum(a[:, None] * x.nodes, graph, graphs)
            return carry, concatenate((q, r[:, None]))

        start = cell.carry(params, y), jnp.zeros(y.shape, y.dtype)
        return jax.lax.fori_loop(0, steps, attend, start)[1][:, 0], ()

    return Layer(init, apply)


@factory
def top_k_pool(ratio: float = 0.5, *, w_init: Callable = GLOROT) -> Layer:
    """Keep the nodes of each graph with the highest scores, and the edges between them.

    s_i = x_i . w / |w|; of n nodes, the ceil(ratio n) with the largest s are kept,
    with y_i = x_i tanh(s_i)

    The kept nodes are in the order of their scores, the highest first, so that the result does not
    depend on the order of the input's nodes unless scores are equal.

    Args:
      ratio: the fraction of the nodes that is kept, in (0, 1].
      w_init: initializer of w [features, 1]; Glorot uniform by default.

    Returns:
      A layer from a Graph with nodes [n, features] to one with rows for ratio n nodes, rounded
      down, and one more for each graph, but no more than n.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the ratio is out of range, if the nodes are not [n, features], or if params are
        for another number of features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.arange(4.0)[:, None], [0, 1, 2], [1, 2, 3])
    >>> y = nn.graph.top_k_pool(0.5)({"w": jnp.ones((1, 1))}, path)
    >>> y.sizes.tolist(), y.senders.tolist(), y.receivers.tolist()
    ([[2, 1]], [3, 3, 1], [3, 3, 0])

    (Gao and Ji, Graph U-Nets, 2019.)
    """
    if not 0 < ratio <= 1:
        raise ValueError(
            f"top_k_pool: ratio is the fraction of nodes that is kept, in (0, 1], got {ratio!r}."
        )

    def init(key, x):
        nodes = check_graph(x, "top_k_pool").nodes
        return {"w": w_init(key, (nodes.shape[-1], 1), core.param_dtype(nodes))}, ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        nodes = check_graph(x, "top_k_pool").nodes
        (w,) = core.unpack_params(params, nodes, "top_k_pool", "w")
        if w.shape[0] != nodes.shape[-1]:
            raise ValueError(
                f"top_k_pool has params for {w.shape[0]} features, got {core.describe(nodes)}."
            )
        score = jnp.matmul(nodes, _unit(w))[:, 0]
        rows = min(nodes.shape[0], math.floor(ratio * nodes.shape[0]) + x.sizes.shape[0])
        node, sizes = _best_nodes(x, jax.lax.stop_gradient(score), ratio, rows)
        features = take(nodes, node) * jnp.tanh(take(score, node))[:, None]
        return _subgraph(x._replace(sizes=sizes), features, node, rows), ()

    return Layer(init, apply)


def _unit(w):
    """w scaled to unit length, or zeros if w is zero; its square would overflow half precision."""
    wide = core.at_least_float32(w)
    square = jnp.sum(jnp.square(wide))
    return (wide * jax.lax.rsqrt(jnp.where(square > 0, square, 1))).astype(w.dtype)


def _best_nodes(x: Graph, score, ratio: float, rows: int):
    """The nodes that are kept, int32 [rows], then the number of nodes as padding; and the sizes."""
    n = x.nodes.shape[0]
    graph = node_graphs(x)
    order = jnp.lexsort((-score, graph))
    counts = x.sizes[:, 0]
    # The tolerance keeps ceil from rounding up a product such as 0.1 * 30, which is not exact.
    kept = jnp.ceil(ratio * counts.astype(jnp.float32) - 1e-4).astype(counts.dtype)
    starts = jnp.cumsum(counts, dtype=counts.dtype) - counts
    rank = jnp.arange(n, dtype=counts.dtype) - take(starts, graph[order])
    is_kept = rank < take(kept, graph[order])
    first = jnp.argsort(~is_kept, stable=True)[:rows]
    node = jnp.where(is_kept[first], order[first], n).astype(jnp.int32)
    return node, jnp.stack([kept, x.sizes[:, 1]], axis=1)


def _subgraph(x: Graph, features, node, rows: int) -> Graph:
    """The graph of the kept nodes, with their new features, and the edges between them."""
    new_index = jnp.full(x.nodes.shape[0], rows, jnp.int32)
    new_index = new_index.at[node].set(jnp.arange(rows, dtype=jnp.int32), mode="drop")

    def renumbered(ends):
        return new_index.at[jnp.asarray(ends)].get(mode="fill", fill_value=rows)

    senders, receivers = renumbered(x.senders), renumbered(x.receivers)
    is_kept = (senders < rows) & (receivers < rows)
    senders, receivers = (jnp.where(is_kept, ends, rows) for ends in (senders, receivers))
    y = x._replace(nodes=features, senders=senders, receivers=receivers)
    graph = node_graphs(y).at[receivers].get(mode="fill", fill_value=x.sizes.shape[0])
    counts = segment_sum(edge_mask(y).astype(jnp.int32), graph, x.sizes.shape[0])
    return y._replace(sizes=jnp.stack([x.sizes[:, 0], counts], axis=1))
