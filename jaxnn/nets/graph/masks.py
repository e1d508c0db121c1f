"""Which graph each row of a union belongs to, and which rows are padding."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.layers.segment import segment_sum
from jaxnn.nets.graph.data import Graph


def segment_ids(ends: jax.Array, rows: int) -> jax.Array:
    """The segment of each of `rows` rows, if segment i ends before row ends[i]; int32 [rows].

    Rows after the last segment are given the number of segments.
    """
    # Counts the segments that have ended by each row. A search would need concrete sizes, and here
    # both may be symbolic.
    ended = jnp.zeros((rows,), jnp.int32).at[ends].add(1, mode="drop")
    return jnp.cumsum(ended)


def node_graphs(x: Graph) -> jax.Array:
    """The index of the graph that each node belongs to.

    Args:
      x: a graph or a union.

    Returns:
      int32 [n]; for padding nodes, the number of graphs.

    >>> import numpy as np, jaxnn as nn
    >>> point = nn.graph.make_graph(np.ones((1, 1)), [], [])
    >>> union = nn.graph.batch_graphs([point, point], nodes=3, edges=0, count=2)
    >>> nn.graph.node_graphs(union).tolist()
    [0, 1, 2]
    """
    return segment_ids(jnp.cumsum(jnp.asarray(x.sizes)[:, 0], dtype=jnp.int32), x.nodes.shape[0])


def node_mask(x: Graph) -> jax.Array:
    """Which nodes belong to a graph; the others are padding.

    Args:
      x: a graph or a union.

    Returns:
      bool [n].

    >>> import numpy as np, jaxnn as nn
    >>> pair = nn.graph.make_graph(np.ones((2, 1)), [0], [1])
    >>> padded = nn.graph.batch_graphs([pair], nodes=4, edges=3, count=1)
    >>> nn.graph.node_mask(padded).tolist()
    [True, True, False, False]
    """
    count = jnp.sum(jnp.asarray(x.sizes)[:, 0], dtype=jnp.int32)
    return jnp.arange(x.nodes.shape[0], dtype=jnp.int32) < count


def edge_mask(x: Graph) -> jax.Array:
    """Which edges belong to a graph; the others are padding.

    Args:
      x: a graph or a union.

    Returns:
      bool [m].

    >>> import numpy as np, jaxnn as nn
    >>> pair = nn.graph.make_graph(np.ones((2, 1)), [0], [1])
    >>> padded = nn.graph.batch_graphs([pair], nodes=4, edges=3, count=1)
    >>> nn.graph.edge_mask(padded).tolist()
    [True, False, False]
    """
    return (jnp.asarray(x.receivers) < x.nodes.shape[0]) & (
        jnp.asarray(x.senders) < x.nodes.shape[0]
    )


def graph_mask(x: Graph) -> jax.Array:
    """Which graphs have nodes; the others are padding.

    Args:
      x: a graph or a union.

    Returns:
      bool [graphs].

    >>> import numpy as np, jaxnn as nn
    >>> pair = nn.graph.make_graph(np.ones((2, 1)), [0], [1])
    >>> padded = nn.graph.batch_graphs([pair], nodes=4, edges=3, count=2)
    >>> nn.graph.graph_mask(padded).tolist()
    [True, False]
    """
    return jnp.asarray(x.sizes)[:, 0] > 0


def degrees(x: Graph, dtype: Any = jnp.float32) -> jax.Array:
    """The in-degree of each node: the number of edges that go to it.

    Args:
      x: a graph or a union.
      dtype: the dtype of the result.

    Returns:
      [n] in dtype.

    >>> import numpy as np, jaxnn as nn
    >>> nn.graph.degrees(nn.graph.make_graph(np.ones((3, 1)), [0, 1, 1], [1, 2, 2])).tolist()
    [0.0, 1.0, 2.0]
    """
    return segment_sum(edge_mask(x).astype(dtype), x.receivers, x.nodes.shape[0])
