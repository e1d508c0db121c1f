"""Link prediction: which pairs of nodes are joined by an edge.

`hold_out_links` removes edges to predict, `negative_links` draws pairs without an edge, and
`link_logits` and `link_loss` score pairs by the features that a graph network computes for both.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn import core
from jaxnn.checks import check_labels
from jaxnn.nets.graph.data import Graph, check_one_graph, has_features


def hold_out_links(x: Graph, share: float, seed: int = 0) -> tuple[Graph, np.ndarray]:
    """Remove a share of the links of a graph, and return both; on the host.

    A link is a pair of different nodes, regardless of the direction of its edges and of how often
    they are given: they are all removed together. All other edges stay as they are.

    Args:
      x: one graph, whose edges have no features.
      share: the fraction of the links to remove, in (0, 1).
      seed: seed of the random choice.

    Returns:
      (graph, pairs): the graph without those links, and int32 [links, 2], their nodes.

    Raises:
      ValueError: if the share is out of range or rounds to no link, if edges have features, or if x
        is a union of several graphs.

    >>> import numpy as np, jaxnn as nn
    >>> ring = nn.graph.undirected(nn.graph.make_graph(np.ones((4, 1)), [0, 1, 2, 3], [1, 2, 3, 0]))
    >>> rest, pairs = nn.graph.hold_out_links(ring, 0.5)
    >>> rest.senders.shape, pairs.shape
    ((4,), (2, 2))
    """
    if not 0 < share < 1:
        raise ValueError(f"hold_out_links: share must be in (0, 1), got {share!r}.")
    if has_features(check_one_graph(x, "hold_out_links").edges):
        raise ValueError("hold_out_links takes edges without features.")
    ends = np.stack([x.senders, x.receivers], axis=1)
    links, link = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    between = np.flatnonzero(links[:, 0] < links[:, 1])  # without self-loops
    count = round(share * len(between))
    if not count:
        raise ValueError(
            f"hold_out_links: a share of {share} of {len(between)} links rounds to none: give a "
            "larger share, or a graph with more links."
        )
    order = np.random.default_rng(seed).permutation(between)
    removed = np.zeros(len(links), bool)
    removed[order[:count]] = True
    senders, receivers = ends[~removed[link.reshape(-1)]].T
    sizes = np.array([[len(x.nodes), len(senders)]], np.int32)
    return x._replace(senders=senders, receivers=receivers, sizes=sizes), links[removed]


def negative_links(key: jax.Array, x: Graph, n: int) -> jax.Array:
    """Draw n random pairs of different nodes of a graph, as pairs without an edge.

    Pairs are drawn uniformly from all pairs. On a sparse graph few of them are edges, and those are
    left in, as is usual.

    Args:
      key: `jax.random.key(...)`.
      x: one graph.
      n: the number of pairs.

    Returns:
      int32 [n, 2].

    Raises:
      ValueError: if the graph has fewer than two nodes and therefore no pair, or if x is a union of
        several graphs.

    >>> import jax, numpy as np, jaxnn as nn
    >>> path = nn.graph.make_graph(np.ones((3, 1)), [0, 1], [1, 2])
    >>> nn.graph.negative_links(jax.random.key(0), path, 8).shape
    (8, 2)
    """
    n = core.check_int(n, "negative_links: n", 0)
    check_one_graph(x, "negative_links")
    nodes = jnp.asarray(x.sizes)[:, 0].sum()  # without padding
    if x.nodes.shape[0] < 2 or (not core.traced(nodes) and int(nodes) < 2):
        raise ValueError(
            "negative_links takes a graph of two nodes at least: one node has no pair."
        )
    first = jax.random.randint(core.fold_in(key, 0), (n,), 0, nodes)
    step = jax.random.randint(core.fold_in(key, 1), (n,), 1, nodes)
    return jnp.stack([first, (first + step) % nodes], axis=1)


def link_logits(nodes: jax.Array, pairs: jax.Array) -> jax.Array:
    """The logit that an edge joins each pair of nodes (i, j): x_i . x_j.

    Args:
      nodes: [n, features], such as the output of a graph network.
      pairs: integers [..., 2].

    Returns:
      [...] in the dtype of the nodes.

    Raises:
      TypeError: if the nodes are not floating point.
      ValueError: if the pairs are not integers [..., 2], or if a node does not exist; under
        `jax.jit`, where values are not known, the logit of such a pair is NaN.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.graph.link_logits(jnp.array([[1.0, 2.0], [3.0, 0.5]]), jnp.array([[0, 1]])).tolist()
    [4.0]

    (Kipf and Welling, Variational graph auto-encoders, 2016.)
    """
    integers = jnp.issubdtype(jnp.result_type(pairs), jnp.integer)
    if not integers or jnp.shape(pairs)[-1:] != (2,):
        raise ValueError(f"link_logits takes pairs int [..., 2], got {core.describe(pairs)}.")
    check_labels(jnp.asarray(pairs), nodes.shape[0], "link_logits: pairs")
    wide = core.at_least_float32(core.check_features(jnp.asarray(nodes), "link_logits"))
    first, second = (
        wide.at[pairs[..., i]].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        for i in (0, 1)
    )
    return (first * second).sum(-1).astype(nodes.dtype)


def link_loss(nodes: jax.Array, links: jax.Array, others: jax.Array) -> jax.Array:
    """The binary cross entropy of pairs with and without an edge, with equal weight for both.

    (mean over links of softplus(-logit) + mean over others of softplus(logit)) / 2

    Args:
      nodes: [n, features], such as the output of a graph network.
      links: integers [..., 2], pairs with an edge.
      others: integers [..., 2], pairs without an edge.

    Returns:
      A scalar in the dtype of the nodes.

    Raises:
      TypeError: if the nodes are not floating point.
      ValueError: if pairs are not integers [..., 2], or if a node does not exist.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> links, others = jnp.array([[0, 1]]), jnp.array([[1, 0]])
    >>> nn.graph.link_loss(jnp.zeros((2, 3)), links, others)
    Array(0.6931472, dtype=float32)
    """
    with_edge, without_edge = (
        optax.sigmoid_binary_cross_entropy(link_logits(nodes, pairs), label).mean()
        for pairs, label in ((links, jnp.ones(())), (others, jnp.zeros(())))
    )
    return (with_edge + without_edge) / 2
