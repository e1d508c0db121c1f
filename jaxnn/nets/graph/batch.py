"""Unions of graphs, padded to few sizes so that a new batch needs no new compilation."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.layers.segment import take
from jaxnn.nets.graph.data import Graph, has_features
from jaxnn.nets.graph.masks import segment_ids

SMALLEST = 8  # rows of the smallest padded size


def padded_size(n: int) -> int:
    """Round n up to one of few sizes: 8, 16, 24, 32, 48, 64, 96, 128, ...

    Args:
      n: a number of rows, 0 or more.

    Returns:
      The smallest such size that is n or more.

    Raises:
      ValueError: if n is negative or not a whole number.

    >>> import jaxnn as nn
    >>> [nn.graph.padded_size(n) for n in (0, 9, 33, 300)]
    [8, 16, 48, 384]
    """
    n = core.check_int(n, "padded_size: n", 0)
    half = 1 << max((max(n, SMALLEST) - 1).bit_length() - 1, 2)  # half the next power of two
    middle = half * 3 // 2
    return middle if n <= middle and middle % SMALLEST == 0 else 2 * half


def batch_graphs(
    graphs: Sequence[Graph],
    *,
    nodes: int | None = None,
    edges: int | None = None,
    count: int | None = None,
) -> Graph:
    """Make the disjoint union of graphs and pad it; on the host.

    Args:
      graphs: one graph or more, all with features of the same shapes and dtypes.
      nodes: rows of nodes in the union; by default the `padded_size` of all nodes, so that few
        programs are compiled for all batches.
      edges: rows of edges in the union; by default the `padded_size` of all edges.
      count: rows of graphs in the union; by default the `padded_size` of the number of graphs.

    Returns:
      A `Graph` of NumPy arrays, with padding rows last.

    Raises:
      ValueError: if there are no graphs, if their features differ in shape or dtype, or if they do
        not fit into the given rows.

    >>> import numpy as np, jaxnn as nn
    >>> path = nn.graph.make_graph(np.ones((3, 1)), [0, 1], [1, 2])
    >>> point = nn.graph.make_graph(np.ones((1, 1)), [], [])
    >>> union = nn.graph.batch_graphs([path, point, path])
    >>> union.nodes.shape, union.senders.tolist(), union.sizes[:4].tolist()
    ((8, 1), [0, 1, 4, 5, 8, 8, 8, 8], [[3, 2], [1, 0], [3, 2], [0, 0]])
    """
    if not graphs:
        raise ValueError("batch_graphs takes one graph at least, got none.")
    kinds = [_row_spec(x) for x in graphs]
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                f"batch_graphs takes graphs with the same kind of rows: graph {i} has rows of "
                f"{kind}, the first of {kinds[0]}."
            )
    graphs = [_without_padding(x) for x in graphs]
    parts = [(x.nodes, x.senders, x.sizes) for x in graphs]
    totals = [sum(map(len, part)) for part in zip(*parts, strict=True)]
    rows = [padded_size(total) for total in totals]
    for i, (title, given) in enumerate((("nodes", nodes), ("edges", edges), ("count", count))):
        if given is not None:
            rows[i] = core.check_int(given, f"batch_graphs: {title}", 0)
        if rows[i] < totals[i]:
            what = ("nodes", "edges", "graphs")[i]
            raise ValueError(f"batch_graphs: {title}={rows[i]} cannot hold {totals[i]} {what}.")
    starts = np.cumsum([0, *(len(x.nodes) for x in graphs)], dtype=np.int32)

    def ends(field):
        shifted = [getattr(x, field) + start for x, start in zip(graphs, starts, strict=False)]
        return _padded(shifted, rows[1], rows[0])

    def features(field, size):
        values = [getattr(x, field) for x in graphs]
        return _padded(values, size, 0) if has_features(values[0]) else ()

    return Graph(
        features("nodes", rows[0]),
        features("edges", rows[1]),
        ends("senders"),
        ends("receivers"),
        features("globals", rows[2]),
        _padded([x.sizes for x in graphs], rows[2], 0),
    )


def take_graphs(x: Graph, index: jax.Array, *, nodes: int, edges: int) -> Graph:
    """Select graphs of a union by their indices, as a padded union; also under `jax.jit`.

    With it, a data set that lies on the device as one union is cut into shuffled batches of one
    shape. A graph that no longer fits after those before it is left out: its sizes are zero.

    Args:
      x: a union whose graphs come one after the other, as `batch_graphs` makes it.
      index: integers [graphs], each in [0, graphs of x).
      nodes: rows of nodes in the result.
      edges: rows of edges in the result.

    Returns:
      A `Graph` of len(index) graphs, with `nodes` rows of nodes and `edges` rows of edges.

    Raises:
      TypeError: if the indices are not integers.
      ValueError: if an index is out of range; under `jax.jit`, where values are not known, such a
        graph has sizes of zero.

    >>> import numpy as np, jaxnn as nn
    >>> path = nn.graph.make_graph(np.ones((3, 1)), [0, 1], [1, 2])
    >>> point = nn.graph.make_graph(np.ones((1, 1)), [], [])
    >>> union = nn.graph.batch_graphs([path, point, path])
    >>> some = nn.graph.take_graphs(union, np.array([1, 0]), nodes=8, edges=4)
    >>> some.senders.tolist(), some.sizes.tolist()
    ([1, 2, 8, 8], [[1, 0], [3, 2]])
    """
    limits = (
        core.check_int(nodes, "take_graphs: nodes"),
        core.check_int(edges, "take_graphs: edges"),
    )
    x = jax.tree.map(jnp.asarray, x)
    starts = jnp.cumsum(x.sizes, axis=0, dtype=jnp.int32) - x.sizes
    check_labels(jnp.asarray(index), x.sizes.shape[0], "take_graphs: index")
    index = jnp.asarray(index)
    wanted = take(x.sizes, index)
    fits = jnp.all(
        jnp.cumsum(wanted, axis=0, dtype=jnp.int32) <= jnp.array([limits], jnp.int32),
        axis=1,
        keepdims=True,
    )
    sizes = jnp.where(fits, wanted, 0)
    ends = jnp.cumsum(sizes, axis=0, dtype=jnp.int32)
    offsets = take(starts, index) - (ends - sizes)  # from a row of the result to its row in x

    def rows(n, column):
        """The graph of each of n rows of the result, and the row of x that it comes from."""
        graph = segment_ids(ends[:, column], n)
        source = jnp.arange(n, dtype=jnp.int32) + take(offsets[:, column], graph)
        return graph, jnp.where(graph < len(index), source, len((x.nodes, x.senders)[column]))

    _, node = rows(nodes, 0)
    graph, edge = rows(edges, 1)

    def renumbered(ends_in_x):
        ends_here = take(ends_in_x, edge) - take(offsets[:, 0], graph)
        return jnp.where(graph < len(index), ends_here, nodes)

    return Graph(
        take(x.nodes, node),
        take(x.edges, edge) if has_features(x.edges) else (),
        renumbered(x.senders),
        renumbered(x.receivers),
        take(x.globals, index) if has_features(x.globals) else (),
        sizes,
    )


def _row_spec(x: Graph) -> str:
    """The shape and dtype of one row of each kind of features, as text."""
    features = {title: getattr(x, title) for title in ("nodes", "edges", "globals")}
    return core.describe(
        {
            title: each[0] if len(each) else np.zeros(each.shape[1:], each.dtype)
            for title, each in features.items()
            if has_features(each)
        }
    )


def _without_padding(x: Graph) -> Graph:
    """A union without its padding nodes and edges."""
    x = jax.tree.map(np.asarray, x)
    real = (x.senders < len(x.nodes)) & (x.receivers < len(x.nodes))
    return Graph(
        x.nodes[: x.sizes[:, 0].sum()],
        x.edges[real] if has_features(x.edges) else (),
        x.senders[real],
        x.receivers[real],
        x.globals,
        x.sizes,
    )


def _padded(parts: Sequence, rows: int, value: Any) -> np.ndarray:
    """The parts one after the other, filled up to `rows` rows with a value."""
    joined = np.concatenate([np.asarray(part) for part in parts])
    padding = np.full((rows - len(joined), *joined.shape[1:]), value, joined.dtype)
    return np.concatenate([joined, padding])
