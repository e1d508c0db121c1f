"""Parts of a graph too large to be seen at once, and edges that may be there.

`sample_neighbours` draws what a few nodes are told by few of their neighbours, and those by few of
theirs. Link prediction tells pairs of nodes between which an edge runs from others, by what a graph
network makes of both: `hold_out_links` keeps edges from it, `negative_links` draws pairs without.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.layers.segment import take
from jaxnn.nets.graph.data import Graph, held, one_graph


def sample_neighbours(
    key: jax.Array, x: Graph, seeds: jax.Array, counts: Sequence[int]
) -> tuple[Graph, jax.Array]:
    """A few neighbours of a few nodes, a few of theirs, and so on, as one graph of trees.

    A node that has no more senders than are asked for is given all of them; of more, each is drawn
    with the same probability and none twice. A node met on two ways is there twice. The shape
    depends on the counts alone, so that it runs under `jax.jit` and nothing recompiles.

    Args:
      key: `jax.random.key(...)`.
      x: one graph, whose edges are sorted by receiver, as `by_receiver` sorts them.
      seeds: integers [k], nodes of x.
      counts: senders of each seed, senders of each of those, and so on.

    Returns:
      (graph, node): the graph, with the seeds as the first k nodes; int32 [n], the node of x that
      each is, and the number of nodes of x where there is none. Nodes and edges that are not there
      come last and are left over.

    Raises:
      TypeError: for seeds that are not integers.
      ValueError: for counts that are less than 1, seeds that are no nodes, and edges that are not
        sorted by receiver; under `jax.jit`, where edges are not seen, such an edge is not drawn.

    (Hamilton, Ying and Leskovec, 2017, section 3.1; the draw is systematic sampling: Madow, On the
    theory of systematic sampling, 1949.)

    >>> import jax, jaxnn as nn
    >>> star = nn.graph.by_receiver(nn.graph.make_graph(jax.numpy.ones((5, 1)), [1, 2, 3, 4], [0,
    ...     0, 0, 0]))
    >>> some, node = nn.graph.sample_neighbours(jax.random.key(0), star, jax.numpy.array([0]), [2])
    >>> some.nodes.shape, some.receivers.tolist()
    ((3, 1), [0, 0])
    """
    one_graph(x, "sample_neighbours")
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
        begin, degree = take(starts, level), take(starts, level + 1) - take(starts, level)
        degree = jnp.where(level < n, degree, 0)
        # Evenly spaced from a random start: each sender is met with the same probability.
        spacing = jnp.maximum(degree / count, 1)[:, None]
        start = jax.random.uniform(core.fold_in(key, i), (len(level), 1)) * spacing
        place = jnp.arange(count, dtype=jnp.int32)[None]
        place = jnp.where((degree <= count)[:, None], place, (start + place * spacing).astype(int))
        edge = begin[:, None] + place
        there = (place < degree[:, None]) & (_at(x.receivers, edge) == level[:, None])
        edge = jnp.where(there, edge, len(x.senders)).reshape(-1)
        parents = jnp.arange(first, first + len(level), dtype=jnp.int32)
        parents = jnp.where(there, parents[:, None], -1).reshape(-1)
        first += len(level)
        level = x.senders.at[edge].get(mode="fill", fill_value=n)
        nodes, edges, receivers = [*nodes, level], [*edges, edge], [*receivers, parents]
    node, edge, receiver = (jnp.concatenate(each) for each in (nodes, edges, receivers))
    size = len(node)
    sender = len(seeds) + jnp.arange(len(edge), dtype=jnp.int32)
    # What is there comes first, in its order, so that the rest counts for nothing anywhere.
    by_node = jnp.argsort(node >= n, stable=True)
    by_edge = jnp.argsort(receiver < 0, stable=True)
    moved = jnp.zeros(size, jnp.int32).at[by_node].set(jnp.arange(size, dtype=jnp.int32))
    absent = receiver < 0
    sender, receiver = (
        jnp.where(absent, size, moved[jnp.clip(each, 0, size - 1)])[by_edge]
        for each in (sender, receiver)
    )
    node, edge = node[by_node], edge[by_edge]
    kept = take(x.edges, edge) if held(x.edges) else ()
    sizes = jnp.stack([(node < n).sum(), (~absent).sum()]).astype(jnp.int32)[None]
    return Graph(take(x.nodes, node), kept, sender, receiver, x.globals, sizes), node


def _at(x: jax.Array, index: jax.Array) -> jax.Array:
    """Integers by their place, -1 for a place that is none."""
    if not x.shape[0]:
        return jnp.full(index.shape, -1, x.dtype)
    return x.at[index].get(mode="fill", fill_value=-1)


def by_receiver(x: Graph) -> Graph:
    """A graph with its edges sorted by the node they go to, then by that they come from.

    >>> import numpy as np, jaxnn as nn
    >>> nn.graph.by_receiver(nn.graph.make_graph(np.ones((3, 1)), [0, 2, 1], [2, 0,
    ...     2])).senders.tolist()
    [2, 0, 1]
    """
    order = np.lexsort((np.asarray(x.senders), np.asarray(x.receivers)))
    edges = np.asarray(x.edges)[order] if held(x.edges) else ()
    senders, receivers = (np.asarray(each)[order] for each in (x.senders, x.receivers))
    return x._replace(edges=edges, senders=senders, receivers=receivers)


# Links


def hold_out_links(x: Graph, share: float, seed: int = 0) -> tuple[Graph, np.ndarray]:
    """A graph without a share of its links, and those; on the host.

    A link is a pair of different nodes, whichever way its edges run and however often they are
    given: all of them are held out together, and all other edges stay as they are.

    Args:
      x: one graph; edges without features.
      share: of the links, in (0, 1).
      seed: which.

    Returns:
      (graph, pairs): the graph that is left, and int32 [links, 2], pairs of nodes.

    Raises:
      ValueError: for a share out of range or of no link, for edges with features, and for a union
        of several graphs.

    >>> import numpy as np, jaxnn as nn
    >>> ring = nn.graph.undirected(nn.graph.make_graph(np.ones((4, 1)), [0, 1, 2, 3], [1, 2, 3, 0]))
    >>> left, pairs = nn.graph.hold_out_links(ring, 0.5)
    >>> left.senders.shape, pairs.shape
    ((4,), (2, 2))
    """
    if not 0 < share < 1:
        raise ValueError(f"hold_out_links: share must be in (0, 1), got {share!r}.")
    if held(one_graph(x, "hold_out_links").edges):
        raise ValueError("hold_out_links takes edges without features.")
    ends = np.stack([x.senders, x.receivers], axis=1)
    links, link = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    between = np.flatnonzero(links[:, 0] < links[:, 1])
    order = np.random.default_rng(seed).permutation(between)
    out = np.zeros(len(links), bool)
    if not round(share * len(between)):
        raise ValueError(
            f"hold_out_links: a share of {share} of {len(between)} links is none: give a larger "
            "one, or a graph of more."
        )
    out[order[: round(share * len(between))]] = True
    senders, receivers = ends[~out[link.reshape(-1)]].T
    sizes = np.array([[len(x.nodes), len(senders)]], np.int32)
    return x._replace(senders=senders, receivers=receivers, sizes=sizes), links[out]


def negative_links(key: jax.Array, x: Graph, n: int) -> jax.Array:
    """n random pairs of different nodes of one graph, between which hardly ever an edge runs.

    Pairs are drawn over all: on a sparse graph few are edges, and those are left in, as is usual.

    Returns:
      int32 [n, 2].

    Raises:
      ValueError: for a graph of fewer than two nodes, which has no pair, and for a union.

    >>> import jax, numpy as np, jaxnn as nn
    >>> path = nn.graph.make_graph(np.ones((3, 1)), [0, 1], [1, 2])
    >>> nn.graph.negative_links(jax.random.key(0), path, 8).shape
    (8, 2)
    """
    n = core.check_int(n, "negative_links: n", 0)
    one_graph(x, "negative_links")
    nodes = jnp.asarray(x.sizes)[:, 0].sum()  # without those that are left over
    if x.nodes.shape[0] < 2 or (not core.traced(nodes) and int(nodes) < 2):
        raise ValueError("negative_links takes a graph of two nodes at least: one has no pair.")
    first = jax.random.randint(core.fold_in(key, 0), (n,), 0, nodes)
    step = jax.random.randint(core.fold_in(key, 1), (n,), 1, nodes)
    return jnp.stack([first, (first + step) % nodes], axis=1)


def link_logits(nodes: jax.Array, pairs: jax.Array) -> jax.Array:
    """How likely edges are by what their ends are: logit = x_i . x_j for each pair (i, j).

    Args:
      nodes: [n, features], such as a graph network makes them.
      pairs: integers [..., 2]; y is [...].

    Raises:
      ValueError: for pairs of another shape, and for a node that is not there; under `jax.jit`,
        where pairs are not seen, its logit is NaN.

    (Kipf and Welling, Variational graph auto-encoders, 2016.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.graph.link_logits(jnp.array([[1.0, 2.0], [3.0, 0.5]]), jnp.array([[0, 1]])).tolist()
    [4.0]
    """
    whole = jnp.issubdtype(jnp.result_type(pairs), jnp.integer)
    if not whole or jnp.shape(pairs)[-1:] != (2,):
        raise ValueError(f"link_logits takes pairs int [..., 2], got {core.describe(pairs)}.")
    check_labels(jnp.asarray(pairs), nodes.shape[0], "link_logits: pairs")
    wide = core.at_least_float32(core.check_features(jnp.asarray(nodes), "link_logits"))
    one, other = (
        wide.at[pairs[..., i]].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        for i in (0, 1)
    )
    return (one * other).sum(-1).astype(nodes.dtype)


def link_loss(nodes: jax.Array, links: jax.Array, others: jax.Array) -> jax.Array:
    """The mean cross entropy of pairs with an edge and of pairs without, both weighing the same.

    Args:
      nodes: [n, features].
      links, others: integers [..., 2], as for `link_logits`.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.graph.link_loss(jnp.zeros((2, 3)), jnp.array([[0, 1]]), jnp.array([[1,
    ...     0]])).round(4).tolist()
    0.6930999755859375
    """
    there, absent = (
        optax.sigmoid_binary_cross_entropy(link_logits(nodes, pairs), label).mean()
        for pairs, label in ((links, jnp.ones(())), (others, jnp.zeros(())))
    )
    return (there + absent) / 2
