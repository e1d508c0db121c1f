"""Neighbor sampling: small parts of a graph that is too large to be processed at once."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.layers.segment import take
from jaxnn.nets.graph.data import Graph, check_one_graph, has_features


def sample_neighbours(
    key: jax.Array, x: Graph, seeds: jax.Array, counts: Sequence[int]
) -> tuple[Graph, jax.Array]:
    """Sample neighbors of some nodes, neighbors of those, and so on, as one graph of trees.

    A node with no more in-neighbors than are asked for is given all of them; otherwise each is
    drawn with the same probability, and none twice. A node that is reached in two ways appears
    twice. The shapes depend on the counts alone, so that it runs under `jax.jit` without
    recompiling.

    Args:
      key: `jax.random.key(...)`.
      x: one graph, whose edges are sorted by receiver, as `by_receiver` sorts them.
      seeds: integers [k], nodes of x.
      counts: how many in-neighbors to sample for each seed, then for each of those, and so on.

    Returns:
      (graph, node): the graph, with the seeds as its first k nodes; and int32 [n], the node of x
      that each of its nodes is, or the number of nodes of x for padding. Padding nodes and edges
      come last.

    Raises:
      TypeError: if the seeds are not integers.
      ValueError: if x is a union of several graphs, if a count is less than 1, if a seed is not a
        node, or if the edges are not sorted by receiver; under `jax.jit`, where values are not
        known, edges out of order are not drawn.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> star = nn.graph.make_graph(jnp.ones((5, 1)), [1, 2, 3, 4], [0, 0, 0, 0])
    >>> star, seeds = nn.graph.by_receiver(star), jnp.array([0])
    >>> some, node = nn.graph.sample_neighbours(jax.random.key(0), star, seeds, [2])
    >>> some.nodes.shape, some.receivers.tolist()
    ((3, 1), [0, 0])

    (Hamilton, Ying and Leskovec, Inductive representation learning on large graphs, 2017, section
    3.1; the draw is systematic sampling: Madow, On the theory of systematic sampling, 1949.)
    """
    check_one_graph(x, "sample_neighbours")
    x, n = jax.tree.map(jnp.asarray, x), x.nodes.shape[0]
    check_labels(jnp.asarray(seeds), n, "sample_neighbours: seeds")
    if not core.traced(x.receivers) and bool((x.receivers[1:] < x.receivers[:-1]).any()):
        raise ValueError(
            "sample_neighbours takes edges sorted by receiver: give nn.graph.by_receiver(graph)."
        )
    starts = jnp.searchsorted(x.receivers, jnp.arange(n + 1), side="left").astype(jnp.int32)
    level = jnp.asarray(seeds).astype(jnp.int32)
    nodes, edges, receivers, first = [level], [], [], 0
    for i, count in enumerate(counts):
        count = core.check_int(count, "sample_neighbours: counts")
        edge, exists = _sampled_edges(core.fold_in(key, i), x, starts, level, count)
        parent = jnp.arange(first, first + len(level), dtype=jnp.int32)
        parent = jnp.where(exists, parent[:, None], -1).reshape(-1)
        first += len(level)
        level = x.senders.at[edge].get(mode="fill", fill_value=n)
        nodes, edges, receivers = [*nodes, level], [*edges, edge], [*receivers, parent]
    node, edge, receiver = (jnp.concatenate(each) for each in (nodes, edges, receivers))
    return _padding_last(x, node, edge, receiver, len(seeds))


def by_receiver(x: Graph) -> Graph:
    """Sort the edges of a graph by receiver, then by sender; on the host.

    Args:
      x: a graph or a union.

    Returns:
      The same graph, with its edges in that order.

    >>> import numpy as np, jaxnn as nn
    >>> x = nn.graph.make_graph(np.ones((3, 1)), [0, 2, 1], [2, 0, 2])
    >>> nn.graph.by_receiver(x).senders.tolist()
    [2, 0, 1]
    """
    order = np.lexsort((np.asarray(x.senders), np.asarray(x.receivers)))
    edges = np.asarray(x.edges)[order] if has_features(x.edges) else ()
    senders, receivers = (np.asarray(each)[order] for each in (x.senders, x.receivers))
    return x._replace(edges=edges, senders=senders, receivers=receivers)


def _sampled_edges(key: jax.Array, x: Graph, starts, level, count: int):
    """Up to `count` edges to each node of a level, and which of them exist.

    starts: int32 [n + 1], the first edge to each node; level: int32 [k], nodes. Edges are int32
    [k count], the number of edges of x where there is none; exists is bool [k, count].
    """
    n = x.nodes.shape[0]
    begin = take(starts, level)
    degree = jnp.where(level < n, take(starts, level + 1) - begin, 0)
    # Evenly spaced from a random start: each in-neighbor is drawn with the same probability.
    spacing = jnp.maximum(degree / count, 1)[:, None]
    start = jax.random.uniform(key, (len(level), 1)) * spacing
    index = jnp.arange(count, dtype=jnp.int32)[None]
    index = jnp.where((degree <= count)[:, None], index, (start + index * spacing).astype(int))
    edge = begin[:, None] + index
    exists = (index < degree[:, None]) & (_lookup(x.receivers, edge) == level[:, None])
    return jnp.where(exists, edge, len(x.senders)).reshape(-1), exists


def _padding_last(x: Graph, node, edge, receiver, seeds: int) -> tuple[Graph, jax.Array]:
    """The sampled graph and its nodes, with the nodes and edges that do not exist at the end.

    node, edge: rows of x, or the number of such rows for padding; receiver: rows of node, or -1 for
    padding. The sender of edge i is node seeds + i.
    """
    n, size = x.nodes.shape[0], len(node)
    sender = seeds + jnp.arange(len(edge), dtype=jnp.int32)
    node_order = jnp.argsort(node >= n, stable=True)
    edge_order = jnp.argsort(receiver < 0, stable=True)
    new_index = jnp.zeros(size, jnp.int32).at[node_order].set(jnp.arange(size, dtype=jnp.int32))
    absent = receiver < 0
    sender, receiver = (
        jnp.where(absent, size, new_index[jnp.clip(each, 0, size - 1)])[edge_order]
        for each in (sender, receiver)
    )
    node, edge = node[node_order], edge[edge_order]
    features = take(x.edges, edge) if has_features(x.edges) else ()
    sizes = jnp.stack([(node < n).sum(), (~absent).sum()]).astype(jnp.int32)[None]
    return Graph(take(x.nodes, node), features, sender, receiver, x.globals, sizes), node


def _lookup(x: jax.Array, index: jax.Array) -> jax.Array:
    """The integers x[index], or -1 for an index that is out of range."""
    if not x.shape[0]:
        return jnp.full(index.shape, -1, x.dtype)
    return x.at[index].get(mode="fill", fill_value=-1)
