"""Graphs as arrays: nodes, and edges that name the nodes between which they run.

Several graphs are one `Graph`, their disjoint union: nodes and edges of the first, then those of
the second. It may be longer than what it holds, so that unions of all sizes have few shapes, and a
program compiled for one serves them all. The nodes that are left over come last and belong to no
graph; an edge that is left over runs to the node after the last, which is not there, and adds to
nothing. Layers compute something for what is left over, and nothing else depends on it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxnn import core
from jaxnn.layers.segment import segment_sum


class Graph(NamedTuple):
    """One graph or several; made by `graph`, or of others by `batch_graphs` and `take_graphs`.

    nodes: features [n, ...].
    edges: features [m, ...], or () where an edge is but an edge.
    senders, receivers: int32 [m], the nodes that each edge comes from and goes to; n for an edge
      that is left over.
    globals: features of each graph [graphs, ...], or ().
    sizes: int32 [graphs, 2], the nodes and the edges of each; a graph without nodes is none.
    """

    nodes: Any
    edges: Any
    senders: Any
    receivers: Any
    globals: Any
    sizes: Any


export.register_namedtuple_serialization(Graph, serialized_name="jaxnn.graph.Graph")


def make_graph(
    nodes: Any, senders: Any, receivers: Any, edges: Any = (), globals: Any = ()
) -> Graph:
    """One graph, checked on the host; JAX would take the nearest node for one that is not there.

    An edge has a direction: a graph without is given with each edge both ways, as `undirected`
    makes it. An edge from a node to itself, and an edge given twice, are edges like others: each is
    a message of its own. A graph may have no edges, or no nodes and then no edges.

    Args:
      nodes: features [n, ...].
      senders, receivers: integers [m].
      edges: features [m, ...], or () for none.
      globals: features of the graph [...], or () for none.

    Raises:
      ValueError: for an edge from or to a node that is not there, with its place; for shapes that
        do not agree.
      TypeError: for senders or receivers that are no integers.

    >>> import numpy as np, jaxnn as nn
    >>> path = nn.graph.make_graph(np.ones((3, 2), np.float32), [0, 1], [1, 2])
    >>> path.sizes.tolist()
    [[3, 2]]
    >>> nn.graph.make_graph(np.ones((3, 2), np.float32), [0, 1], [1, 3])
    Traceback (most recent call last):
    ValueError: graph: edge 1 runs from node 1 to node 3, and there are 3 nodes, 0 to 2.
    """
    nodes = _array(nodes)
    if nodes.ndim == 0:
        raise ValueError("graph takes nodes [n, ...], got a scalar.")
    ends = [_ends(each) for each in (senders, receivers)]
    if len(ends[0]) != len(ends[1]):
        raise ValueError(
            f"graph takes a sender and a receiver for each edge, got {len(ends[0])} and "
            f"{len(ends[1])}."
        )
    absent = (np.minimum(*ends) < 0) | (np.maximum(*ends) >= nodes.shape[0])
    if absent.any():
        i = int(np.argmax(absent))
        there = (
            f"{nodes.shape[0]} nodes, 0 to {nodes.shape[0] - 1}" if nodes.shape[0] else "no nodes"
        )
        raise ValueError(
            f"graph: edge {i} runs from node {ends[0][i]} to node {ends[1][i]}, and there are "
            f"{there}."
        )
    if held(edges):
        edges = _array(edges)
        if edges.shape[:1] != ends[0].shape:
            raise ValueError(
                f"graph takes features of each of its {len(ends[0])} edges, got "
                f"{core.describe(edges)}."
            )
    whole = _array(globals)[None] if held(globals) else ()
    sizes = np.array([[nodes.shape[0], len(ends[0])]], np.int32)
    senders, receivers = (each.astype(np.int32) for each in ends)
    return Graph(nodes, edges, senders, receivers, whole, sizes)


def undirected(x: Graph) -> Graph:
    """One graph with each edge both ways, without edges given twice or from a node to itself.

    Edges are sorted by receiver, then by sender. Of edges given twice the features of the first are
    kept; on the host.

    Raises:
      ValueError: for a union of several graphs.

    >>> import numpy as np, jaxnn as nn
    >>> both = nn.graph.undirected(nn.graph.make_graph(np.ones((3, 1)), [0, 1, 1, 2], [1, 0, 2, 2]))
    >>> both.senders.tolist(), both.receivers.tolist()
    ([1, 0, 2, 1], [0, 1, 1, 2])
    """
    ends = one_graph(x, "undirected").senders, x.receivers
    ends = np.concatenate([ends, ends[::-1]], axis=1)
    # Sorted by receiver, then by sender, and stably, so that the first of equal ones comes first.
    order = np.lexsort((ends[0], ends[1]))
    placed = ends[:, order]
    new = np.ones(len(order), bool)
    new[1:] = (placed[:, 1:] != placed[:, :-1]).any(axis=0)
    first = order[new & (placed[0] != placed[1])]
    edges = np.concatenate([x.edges, x.edges])[first] if held(x.edges) else ()
    sizes = np.array([[x.nodes.shape[0], len(first)]], np.int32)
    return x._replace(edges=edges, senders=ends[0, first], receivers=ends[1, first], sizes=sizes)


# What belongs to which


def owners(ends: jax.Array, rows: int) -> jax.Array:
    """The part that each of `rows` rows is in, where parts end before ends; their count if none."""
    # How many parts have ended by each row: no search, so that both sizes may be symbolic.
    ended = jnp.zeros((rows,), jnp.int32).at[ends].add(1, mode="drop")
    return jnp.cumsum(ended)


def node_graphs(x: Graph) -> jax.Array:
    """The graph of each node, int32 [n]; for nodes that are left over, the count of graphs.

    >>> import numpy as np, jaxnn as nn
    >>> point = nn.graph.make_graph(np.ones((1, 1)), [], [])
    >>> nn.graph.node_graphs(nn.graph.batch_graphs([point, point], nodes=3, edges=0,
    ...     count=2)).tolist()
    [0, 1, 2]
    """
    return owners(jnp.cumsum(jnp.asarray(x.sizes)[:, 0], dtype=jnp.int32), x.nodes.shape[0])


def node_mask(x: Graph) -> jax.Array:
    """Which nodes are in a graph, bool [n]; the others are left over.

    >>> import numpy as np, jaxnn as nn
    >>> pair = nn.graph.make_graph(np.ones((2, 1)), [0], [1])
    >>> nn.graph.node_mask(nn.graph.batch_graphs([pair], nodes=4, edges=3, count=1)).tolist()
    [True, True, False, False]
    """
    held = jnp.sum(jnp.asarray(x.sizes)[:, 0], dtype=jnp.int32)
    return jnp.arange(x.nodes.shape[0], dtype=jnp.int32) < held


def edge_mask(x: Graph) -> jax.Array:
    """Which edges are in a graph, bool [m]; the others are left over.

    >>> import numpy as np, jaxnn as nn
    >>> pair = nn.graph.make_graph(np.ones((2, 1)), [0], [1])
    >>> nn.graph.edge_mask(nn.graph.batch_graphs([pair], nodes=4, edges=3, count=1)).tolist()
    [True, False, False]
    """
    return (jnp.asarray(x.receivers) < x.nodes.shape[0]) & (
        jnp.asarray(x.senders) < x.nodes.shape[0]
    )


def graph_mask(x: Graph) -> jax.Array:
    """Which graphs have nodes, bool [graphs]; the others are left over.

    >>> import numpy as np, jaxnn as nn
    >>> pair = nn.graph.make_graph(np.ones((2, 1)), [0], [1])
    >>> nn.graph.graph_mask(nn.graph.batch_graphs([pair], nodes=4, edges=3, count=2)).tolist()
    [True, False]
    """
    return jnp.asarray(x.sizes)[:, 0] > 0


def degrees(x: Graph, dtype: Any = jnp.float32) -> jax.Array:
    """How many edges come to each node, [n] in dtype.

    >>> import numpy as np, jaxnn as nn
    >>> nn.graph.degrees(nn.graph.make_graph(np.ones((3, 1)), [0, 1, 1], [1, 2, 2])).tolist()
    [0.0, 1.0, 2.0]
    """
    return segment_sum(edge_mask(x).astype(dtype), x.receivers, x.nodes.shape[0])


def checked(x: Any, title: str) -> Graph:
    """x, which must be a Graph whose nodes are floats [n, features]; else raises TypeError."""
    if not isinstance(x, Graph):
        raise TypeError(
            f"{title} takes a Graph, got {core.describe(x)}: make one with nn.graph.make_graph, "
            "and put layers of arrays that stand beside graph layers into nn.graph.nodewise."
        )
    if core.check_features(x.nodes, title).ndim != 2:
        raise ValueError(f"{title} takes nodes [n, features], got {core.describe(x.nodes)}.")
    for field in ("senders", "receivers", "sizes"):
        ends = getattr(x, field)
        whole = jnp.issubdtype(getattr(ends, "dtype", np.float32), jnp.integer)
        wanted = (*np.shape(x.sizes)[:1], 2) if field == "sizes" else np.shape(x.senders)[:1]
        if not whole or ends.shape != wanted:
            raise ValueError(
                f"{title} takes a Graph with senders and receivers int [m] and sizes int "
                f"[graphs, 2], got {field} {core.describe(ends)}: make it with nn.graph.make_graph."
            )
    return x


def one_graph(x: Graph, title: str) -> Graph:
    """x, which must be one graph; raises ValueError for a union, where its sizes are known."""
    graphs = 1 if core.traced(x.sizes) else int((np.asarray(x.sizes)[:, 0] > 0).sum())
    if graphs > 1:
        raise ValueError(
            f"{title} takes one graph, got a union of {graphs}: pairs would run between graphs."
        )
    return x


def held(features: Any) -> bool:
    """Whether there are features: () stands for none."""
    return not (isinstance(features, tuple) and len(features) == 0)


def _array(features: Any) -> np.ndarray:
    """Features in the dtype that JAX gives them."""
    features = np.asarray(features)
    return features.astype(jax.dtypes.canonicalize_dtype(features.dtype))


def _ends(ends: Any) -> np.ndarray:
    ends = np.asarray(ends)
    ends = ends.astype(np.int32) if ends.size == 0 else ends
    if not np.issubdtype(ends.dtype, np.integer):
        raise TypeError(f"graph takes senders and receivers as integers, got {ends.dtype}.")
    if ends.ndim != 1:
        raise ValueError(f"graph takes senders and receivers [m], got {core.describe(ends)}.")
    return ends
