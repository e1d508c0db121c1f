"""Unions of graphs, padded to few sizes, so that nothing is compiled again for a batch."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.layers.segment import take
from jaxnn.nets.graph.data import Graph, held, owners

LEAST = 8  # rows of the smallest padded size


def padded_size(n: int) -> int:
    """The least of 8, 16, 24, 32, 48, 64, 96, ... that is n or more: few sizes for all.

    >>> import jaxnn as nn
    >>> [nn.graph.padded_size(n) for n in (0, 9, 33, 300)]
    [8, 16, 48, 384]
    """
    n = core.check_int(n, "padded_size: n", 0)
    half = 1 << max((max(n, LEAST) - 1).bit_length() - 1, 2)  # half the next power of two
    middle = half * 3 // 2
    return middle if n <= middle and middle % LEAST == 0 else 2 * half


def batch_graphs(
    graphs: Sequence[Graph],
    *,
    nodes: int | None = None,
    edges: int | None = None,
    count: int | None = None,
) -> Graph:
    """The disjoint union of graphs, padded; on the host.

    Args:
      graphs: one at least, each with features of the same kind.
      nodes, edges, count: rows of nodes, of edges and of graphs in the union; by default the least
        `padded_size` that holds them, so that few programs are compiled for all batches.

    Raises:
      ValueError: for no graphs, graphs with features of different kinds, or rows too few.

    >>> import numpy as np, jaxnn as nn
    >>> path, point = (nn.graph.make_graph(np.ones((n, 1)), range(n - 1), range(1, n)) for n in (3,
    ...     1))
    >>> both = nn.graph.batch_graphs([path, point, path])
    >>> both.nodes.shape, both.senders.tolist(), both.sizes[:4].tolist()
    ((8, 1), [0, 1, 4, 5, 8, 8, 8, 8], [[3, 2], [1, 0], [3, 2], [0, 0]])
    """
    if not graphs:
        raise ValueError("batch_graphs takes one graph at least, got none.")
    kinds = [_kind(x) for x in graphs]
    for i, kind in enumerate(kinds):
        if kind != kinds[0]:
            raise ValueError(
                f"batch_graphs takes graphs of one kind: graph {i} has rows of {kind}, the first "
                f"of {kinds[0]}."
            )
    graphs = [_stripped(x) for x in graphs]
    rows_of = [(x.nodes, x.senders, x.sizes) for x in graphs]
    totals = [sum(map(len, rows)) for rows in zip(*rows_of, strict=True)]
    rows = [padded_size(total) for total in totals]
    for i, (title, given) in enumerate((("nodes", nodes), ("edges", edges), ("count", count))):
        if given is not None:
            rows[i] = core.check_int(given, f"batch_graphs: {title}", 0)
        if rows[i] < totals[i]:
            what = ("nodes", "edges", "graphs")[i]
            raise ValueError(f"batch_graphs: {title}={rows[i]} cannot hold {totals[i]} {what}.")
    starts = np.cumsum([0, *(len(x.nodes) for x in graphs)], dtype=np.int32)

    def ends(field):
        moved = [getattr(x, field) + start for x, start in zip(graphs, starts, strict=False)]
        return _padded(moved, rows[1], rows[0])

    def features(field, size):
        rows = [getattr(x, field) for x in graphs]
        return _padded(rows, size, 0) if held(rows[0]) else ()

    return Graph(
        features("nodes", rows[0]),
        features("edges", rows[1]),
        ends("senders"),
        ends("receivers"),
        features("globals", rows[2]),
        _padded([x.sizes for x in graphs], rows[2], 0),
    )


def take_graphs(x: Graph, index: jax.Array, *, nodes: int, edges: int) -> Graph:
    """Some graphs of a union, by their numbers, as a padded union; under `jax.jit` too.

    So a data set that lies on the device as one union is cut into shuffled batches of one shape. A
    graph that does not fit any more after those before it is left out: its sizes are zero.

    Args:
      x: a union whose graphs come one after the other, as `batch_graphs` makes it.
      index: integers [graphs], each in [0, graphs of x).
      nodes, edges: the rows of the union that is made.

    Raises:
      TypeError: for numbers that are not integers.
      ValueError: for the number of a graph that is not there; under `jax.jit`, where numbers are
        not seen, its sizes are zero.

    >>> import numpy as np, jaxnn as nn
    >>> path, point = (nn.graph.make_graph(np.ones((n, 1)), range(n - 1), range(1, n)) for n in (3,
    ...     1))
    >>> whole = nn.graph.batch_graphs([path, point, path])
    >>> some = nn.graph.take_graphs(whole, np.array([1, 0]), nodes=8, edges=4)
    >>> some.senders.tolist(), some.sizes.tolist()
    ([1, 2, 8, 8], [[1, 0], [3, 2]])
    """
    rooms = core.check_int(nodes, "take_graphs: nodes"), core.check_int(edges, "take_graphs: edges")
    x = jax.tree.map(jnp.asarray, x)
    starts = jnp.cumsum(x.sizes, axis=0, dtype=jnp.int32) - x.sizes
    check_labels(jnp.asarray(index), x.sizes.shape[0], "take_graphs: index")
    index = jnp.asarray(index)
    wanted = take(x.sizes, index)
    fits = jnp.all(
        jnp.cumsum(wanted, axis=0, dtype=jnp.int32) <= jnp.array([rooms], jnp.int32),
        axis=1,
        keepdims=True,
    )
    sizes = jnp.where(fits, wanted, 0)
    ends = jnp.cumsum(sizes, axis=0, dtype=jnp.int32)
    moves = take(starts, index) - (ends - sizes)  # from a row here to the row there

    def rows(n, which):
        place = jnp.arange(n, dtype=jnp.int32)
        each = owners(ends[:, which], n)
        there = place + take(moves[:, which], each)
        return each, jnp.where(each < len(index), there, len((x.nodes, x.senders)[which]))

    _, node = rows(nodes, 0)
    each, edge = rows(edges, 1)

    def moved(ends_there):
        here = take(ends_there, edge) - take(moves[:, 0], each)
        return jnp.where(each < len(index), here, nodes)

    return Graph(
        take(x.nodes, node),
        take(x.edges, edge) if held(x.edges) else (),
        moved(x.senders),
        moved(x.receivers),
        take(x.globals, index) if held(x.globals) else (),
        sizes,
    )


# Pieces


def _kind(x: Graph) -> str:
    rows = [each[0] if len(each) else np.zeros(each.shape[1:], each.dtype)
            for each in (x.nodes, x.edges, x.globals) if held(each)]  # fmt: skip
    titles = [title for title in ("nodes", "edges", "globals") if held(getattr(x, title))]
    return core.describe(dict(zip(titles, rows, strict=True)))


def _stripped(x: Graph) -> Graph:
    """A union without what is left over."""
    x = jax.tree.map(np.asarray, x)
    here = (x.senders < len(x.nodes)) & (x.receivers < len(x.nodes))
    return Graph(
        x.nodes[: x.sizes[:, 0].sum()],
        x.edges[here] if held(x.edges) else (),
        x.senders[here],
        x.receivers[here],
        x.globals,
        x.sizes,
    )


def _padded(parts: Sequence, rows: int, value: Any) -> np.ndarray:
    whole = np.concatenate([np.asarray(part) for part in parts])
    left = np.full((rows - len(whole), *whole.shape[1:]), value, whole.dtype)
    return np.concatenate([whole, left])
