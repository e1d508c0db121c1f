"""Graphs as arrays: features of the nodes, and edges given as pairs of node indices.

Several graphs are stored as one `Graph`, their disjoint union: the nodes and edges of the first
graph come first, then those of the second, and so on. The arrays may be longer than their content,
so that unions of many sizes share few shapes and one compiled program serves them all. Padding
nodes come last and belong to no graph. A padding edge runs to node n, one past the last node, which
does not exist, so that it contributes to nothing. Layers compute something for padding rows, and
nothing else depends on it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxnn import core


class Graph(NamedTuple):
    """One graph or a union of several.

    `make_graph` makes one graph; `batch_graphs` and `take_graphs` make unions of others.

    Attributes:
      nodes: the features of the nodes, [n, ...].
      edges: the features of the edges, [m, ...], or () if edges have no features.
      senders: int32 [m], the node that each edge comes from; n for a padding edge.
      receivers: int32 [m], the node that each edge goes to; n for a padding edge.
      globals: the features of each graph, [graphs, ...], or () for none.
      sizes: int32 [graphs, 2], the numbers of nodes and of edges of each graph; a graph without
        nodes is padding.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> isinstance(path, nn.graph.Graph), path._fields
    (True, ('nodes', 'edges', 'senders', 'receivers', 'globals', 'sizes'))
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
    """Make one graph from arrays, and check on the host that every edge joins existing nodes.

    An edge has a direction: give each edge of an undirected graph both ways, as `undirected` makes
    them. An edge from a node to itself and an edge given twice are edges like any other: each
    carries a message of its own. A graph may have no edges, or neither nodes nor edges.

    Args:
      nodes: the features of the nodes, [n, ...].
      senders: integers [m], the node that each edge comes from.
      receivers: integers [m], the node that each edge goes to.
      edges: the features of the edges, [m, ...], or () for none.
      globals: the features of the graph, [...], or () for none.

    Returns:
      A `Graph` of NumPy arrays, with features in the dtypes that JAX gives them.

    Raises:
      TypeError: if senders or receivers are not integers.
      ValueError: if an edge runs from or to a node that does not exist, with the index of the edge;
        if shapes do not agree.

    >>> import numpy as np, jaxnn as nn
    >>> nodes = np.ones((3, 2), np.float32)
    >>> nn.graph.make_graph(nodes, [0, 1], [1, 2]).sizes.tolist()
    [[3, 2]]
    >>> nn.graph.make_graph(nodes, [0, 1], [1, 3])
    Traceback (most recent call last):
    ValueError: make_graph: edge 1 runs from node 1 to node 3, but there are 3 nodes, 0 to 2.
    """
    nodes = _array(nodes)
    if nodes.ndim == 0:
        raise ValueError("make_graph takes nodes [n, ...], got a scalar.")
    n, ends = len(nodes), [_indices(each) for each in (senders, receivers)]
    if len(ends[0]) != len(ends[1]):
        raise ValueError(
            f"make_graph takes a sender and a receiver for each edge, got {len(ends[0])} senders "
            f"and {len(ends[1])} receivers."
        )
    # JAX would silently clamp an index that is out of range to the nearest node.
    outside = (np.minimum(*ends) < 0) | (np.maximum(*ends) >= n)
    if outside.any():
        i = int(np.argmax(outside))
        available = f"{n} nodes, 0 to {n - 1}" if n else "no nodes"
        raise ValueError(
            f"make_graph: edge {i} runs from node {ends[0][i]} to node {ends[1][i]}, but there are "
            f"{available}."
        )
    if has_features(edges):
        edges = _array(edges)
        if edges.shape[:1] != ends[0].shape:
            raise ValueError(
                f"make_graph takes a row of features for each of its {len(ends[0])} edges, got "
                f"{core.describe(edges)}."
            )
    of_graph = _array(globals)[None] if has_features(globals) else ()
    sizes = np.array([[n, len(ends[0])]], np.int32)
    senders, receivers = (each.astype(np.int32) for each in ends)
    return Graph(nodes, edges, senders, receivers, of_graph, sizes)


def undirected(x: Graph) -> Graph:
    """Add the reverse of every edge, and drop duplicate edges and self-loops; on the host.

    Edges are sorted by receiver, then by sender. Of duplicate edges the first keeps its features.

    Args:
      x: one graph, not a union.

    Returns:
      A `Graph` with the same nodes, and each edge both ways.

    Raises:
      ValueError: if x is a union of several graphs.

    >>> import numpy as np, jaxnn as nn
    >>> one_way = nn.graph.make_graph(np.ones((3, 1)), [0, 1, 1, 2], [1, 0, 2, 2])
    >>> both_ways = nn.graph.undirected(one_way)
    >>> both_ways.senders.tolist(), both_ways.receivers.tolist()
    ([1, 0, 2, 1], [0, 1, 1, 2])
    """
    ends = check_one_graph(x, "undirected").senders, x.receivers
    ends = np.concatenate([ends, ends[::-1]], axis=1)
    # Sorted by receiver, then by sender, and stably, so that the first of equal edges comes first.
    order = np.lexsort((ends[0], ends[1]))
    in_order = ends[:, order]
    new = np.ones(len(order), bool)
    new[1:] = (in_order[:, 1:] != in_order[:, :-1]).any(axis=0)
    first = order[new & (in_order[0] != in_order[1])]
    edges = np.concatenate([x.edges, x.edges])[first] if has_features(x.edges) else ()
    sizes = np.array([[x.nodes.shape[0], len(first)]], np.int32)
    return x._replace(edges=edges, senders=ends[0, first], receivers=ends[1, first], sizes=sizes)


# Checks


def check_graph(x: Any, title: str) -> Graph:
    """x, which must be a Graph whose nodes are floats [n, features]; raises otherwise."""
    if not isinstance(x, Graph):
        raise TypeError(
            f"{title} takes a Graph, got {core.describe(x)}: make one with nn.graph.make_graph, "
            "and wrap layers of arrays between graph layers in nn.graph.nodewise."
        )
    if core.check_features(x.nodes, title).ndim != 2:
        raise ValueError(f"{title} takes nodes [n, features], got {core.describe(x.nodes)}.")
    for field in ("senders", "receivers", "sizes"):
        value = getattr(x, field)
        integers = jnp.issubdtype(getattr(value, "dtype", np.float32), jnp.integer)
        wanted = (*np.shape(x.sizes)[:1], 2) if field == "sizes" else np.shape(x.senders)[:1]
        if not integers or value.shape != wanted:
            raise ValueError(
                f"{title} takes a Graph with senders and receivers int [m] and sizes int "
                f"[graphs, 2], got {field} {core.describe(value)}: make it with "
                "nn.graph.make_graph."
            )
    return x


def check_one_graph(x: Graph, title: str) -> Graph:
    """x, which must be one graph; raises ValueError for a union if its sizes are known."""
    graphs = 1 if core.traced(x.sizes) else int((np.asarray(x.sizes)[:, 0] > 0).sum())
    if graphs > 1:
        raise ValueError(
            f"{title} takes one graph, got a union of {graphs}, in which pairs of nodes could lie "
            "in different graphs."
        )
    return x


def has_features(features: Any) -> bool:
    """Whether there are features, rather than ()."""
    return not (isinstance(features, tuple) and len(features) == 0)


def _array(features: Any) -> np.ndarray:
    """Features in the dtype that JAX gives them."""
    features = np.asarray(features)
    return features.astype(jax.dtypes.canonicalize_dtype(features.dtype))


def _indices(ends: Any) -> np.ndarray:
    """The senders or the receivers, which must be integers [m]."""
    ends = np.asarray(ends)
    ends = ends.astype(np.int32) if ends.size == 0 else ends
    if not np.issubdtype(ends.dtype, np.integer):
        raise TypeError(f"make_graph takes senders and receivers as integers, got {ends.dtype}.")
    if ends.ndim != 1:
        raise ValueError(f"make_graph takes senders and receivers [m], got {core.describe(ends)}.")
    return ends
