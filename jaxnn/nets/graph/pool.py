"""From nodes to graphs: read-outs, and pools that leave fewer nodes."""

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
from jaxnn.nets.graph.data import Graph, checked, edge_mask, node_graphs
from jaxnn.printing import factory


@factory
def readout(*aggregates: str) -> Layer:
    """Each graph as one row: its nodes on the whole, y_g = aggregate over nodes i of g of x_i.

    Args:
      *aggregates: of "sum", "mean" and "max", one or several, whose results are side by side;
        "mean" by default. A Graph of [n, features] gives [graphs, features] for each. A graph
        without nodes gives zeros.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for an aggregate that is none.

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.array([[1.0], [2.0], [6.0]]), [0, 1], [1, 2])
    >>> nn.graph.readout("sum", "max")((), path).tolist()
    [[9.0, 6.0]]
    """
    reduces = [aggregator(each, "readout") for each in aggregates or ("mean",)]

    def whole(x):
        x = checked(x, "readout")
        belongs = node_graphs(x)
        return concatenate([reduce(x.nodes, belongs, x.sizes.shape[0]) for reduce in reduces])

    def init(key, x):
        checked(x, "readout")
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        return whole(x), ()

    return Layer(init, apply)


@factory
def set2set(steps: int = 3) -> Layer:
    """A read-out that looks at the nodes several times, and asks something else each time.

    q_t = lstm([q_{t-1}, r_{t-1}]), a_i = softmax over nodes i of x_i . q_t
    r_t = sum of a_i x_i, and y_g = [q_t, r_t] after the last step

    Args:
      steps: how often it looks. A Graph of [n, features] gives [graphs, 2 features].

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for steps that are less than 1.

    (Vinyals, Bengio and Kudlur, Order matters: sequence to sequence for sets, 2016.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.ones((3, 4)), [0, 1], [1, 2])
    >>> params, _ = nn.graph.set2set().init(jax.random.key(0), path)
    >>> nn.graph.set2set()(params, path).shape
    (1, 8)
    """
    steps = core.check_int(steps, "set2set: steps")

    def begin(x):
        width = checked(x, "set2set").nodes.shape[-1]
        y = jax.ShapeDtypeStruct((x.sizes.shape[0], 1, 2 * width), x.nodes.dtype)
        return lstm(width), y

    def init(key, x):
        cell, y = begin(x)
        return cell.init(key, y)

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        cell, y = begin(x)
        belongs = node_graphs(x)

        def look(_, memory):
            carry, y = memory
            (carry, q), _ = cell.apply(params, (), (carry, y))
            score = (x.nodes * take(q[:, 0], belongs)).sum(-1)
            a = segment_softmax(score, belongs, x.sizes.shape[0])
            r = segment_sum(a[:, None] * x.nodes, belongs, x.sizes.shape[0])
            return carry, concatenate((q, r[:, None]))

        start = cell.carry(params, y), jnp.zeros(y.shape, y.dtype)
        return jax.lax.fori_loop(0, steps, look, start)[1][:, 0], ()

    return Layer(init, apply)


@factory
def top_k_pool(ratio: float = 0.5, *, w_init: Callable = GLOROT) -> Layer:
    """The nodes of each graph that score best, with the edges between them.

    s_i = x_i . w / |w|; of n nodes the ceil(ratio n) of largest s stay, y_i = x_i tanh(s_i)

    They come in the order of their scores, the best first, so that nothing depends on the order in
    which they were given but where scores are equal. The output has rows for ratio of all nodes,
    and one a graph.

    Args:
      ratio: the share that stays, in (0, 1].
      w_init: an initialiser of `jax.nn` for w [features, 1], Glorot uniform by default.

    Raises:
      TypeError: for what is no Graph with floats [n, features] as nodes.
      ValueError: for a ratio out of range; for params that take another number of features.

    (Gao and Ji, Graph U-Nets, 2019.)

    >>> import jax, jaxnn as nn
    >>> path = nn.graph.make_graph(jax.numpy.arange(4.0)[:, None], [0, 1, 2], [1, 2, 3])
    >>> y = nn.graph.top_k_pool(0.5)({"w": jax.numpy.ones((1, 1))}, path)
    >>> y.sizes.tolist(), y.senders.tolist(), y.receivers.tolist()
    ([[2, 1]], [3, 3, 1], [3, 3, 0])
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"top_k_pool: ratio is the share that stays, in (0, 1], got {ratio!r}.")

    def init(key, x):
        nodes = checked(x, "top_k_pool").nodes
        return {"w": w_init(key, (nodes.shape[-1], 1), core.param_dtype(nodes))}, ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        nodes = checked(x, "top_k_pool").nodes
        (w,) = core.unpack_params(params, nodes, "top_k_pool", "w")
        if w.shape[0] != nodes.shape[-1]:
            raise ValueError(
                f"top_k_pool has params for {w.shape[0]} features, got {core.describe(nodes)}."
            )
        score = jnp.matmul(nodes, _unit(w))[:, 0]
        rows = min(nodes.shape[0], math.floor(ratio * nodes.shape[0]) + x.sizes.shape[0])
        node, sizes = _best(x, jax.lax.stop_gradient(score), ratio, rows)
        kept = take(nodes, node) * jnp.tanh(take(score, node))[:, None]
        return _between(x._replace(sizes=sizes), kept, node, rows), ()

    return Layer(init, apply)


def _unit(w):
    """w at length one, and zero where it is zero; in half precision its square would overflow."""
    wide = core.at_least_float32(w)
    square = jnp.sum(jnp.square(wide))
    return (wide * jax.lax.rsqrt(jnp.where(square > 0, square, 1))).astype(w.dtype)


def _best(x: Graph, score, ratio: float, rows: int):
    """The nodes that stay, int32 [rows] with the number of nodes where none is left, and sizes."""
    n = x.nodes.shape[0]
    belongs = node_graphs(x)
    order = jnp.lexsort((-score, belongs))
    counts = x.sizes[:, 0]
    # ceil of a product that is exact, as 0.1 * 30 is not.
    stay = jnp.ceil(ratio * counts.astype(jnp.float32) - 1e-4).astype(counts.dtype)
    starts = jnp.cumsum(counts, dtype=counts.dtype) - counts
    place = jnp.arange(n, dtype=counts.dtype) - take(starts, belongs[order])
    keeps = place < take(stay, belongs[order])
    first = jnp.argsort(~keeps, stable=True)[:rows]
    node = jnp.where(keeps[first], order[first], n).astype(jnp.int32)
    return node, jnp.stack([stay, x.sizes[:, 1]], axis=1)


def _between(x: Graph, kept, node, rows: int) -> Graph:
    """The graph of the kept nodes and the edges between them."""
    places = jnp.full(x.nodes.shape[0], rows, jnp.int32)
    places = places.at[node].set(jnp.arange(rows, dtype=jnp.int32), mode="drop")

    def moved(ends):
        return places.at[jnp.asarray(ends)].get(mode="fill", fill_value=rows)

    senders, receivers = moved(x.senders), moved(x.receivers)
    stays = (senders < rows) & (receivers < rows)
    senders, receivers = (jnp.where(stays, ends, rows) for ends in (senders, receivers))
    y = x._replace(nodes=kept, senders=senders, receivers=receivers)
    owner = node_graphs(y).at[receivers].get(mode="fill", fill_value=x.sizes.shape[0])
    counts = segment_sum(edge_mask(y).astype(jnp.int32), owner, x.sizes.shape[0])
    return y._replace(sizes=jnp.stack([x.sizes[:, 0], counts], axis=1))
