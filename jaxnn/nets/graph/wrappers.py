"""Layers of arrays applied to the nodes or the edges of a graph."""

from typing import Any

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.nets.graph.data import check_graph
from jaxnn.printing import factory


@factory
def nodewise(layer: Any) -> Layer:
    """Apply a layer of arrays to the nodes of a Graph, between graph layers.

    y_i = layer(x_i)

    A plain function, such as `jax.nn.relu`, acts on the nodes without it; dropout, norms and dense
    layers need it. A layer that mixes the rows of a batch, as `batch_norm` does, would also see
    padding nodes: normalize each row instead, as `layer_norm` does.

    Args:
      layer: a layer of arrays, or a function of arrays, that keeps the number of rows.

    Returns:
      A layer from a Graph with nodes [n, features] to one with nodes layer(nodes); its params and
      state are those of the given layer.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the nodes are not [n, features], or if the layer changes the number of rows.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 1)), [0, 1], [1, 2])
    >>> nn.graph.nodewise(jnp.negative)((), path).nodes.tolist()
    [[-1.0], [-1.0], [-1.0]]
    """
    return _on_field("nodewise", "nodes", layer)


@factory
def edgewise(layer: Any) -> Layer:
    """Apply a layer of arrays to the edges of a Graph.

    y_ij = layer(e_ij)

    Args:
      layer: a layer of arrays, or a function of arrays, that keeps the number of rows.

    Returns:
      A layer from a Graph with edges [m, features] to one with edges layer(edges); its params and
      state are those of the given layer.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the nodes are not [n, features], or if the layer changes the number of rows.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2], jnp.ones((2, 1)))
    >>> nn.graph.edgewise(jnp.negative)((), path).edges.tolist()
    [[-1.0], [-1.0]]
    """
    return _on_field("edgewise", "edges", layer)


@factory
def node_output() -> Layer:
    """Return the node features of a Graph as an array: the end of a net that predicts for nodes.

    Returns:
      A layer from a Graph with nodes [n, features] to those nodes.

    Raises:
      TypeError: if x is not a Graph, or its nodes are not floating point.
      ValueError: if the nodes are not [n, features].

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> path = nn.graph.make_graph(jnp.ones((3, 4)), [0, 1], [1, 2])
    >>> net = nn.serial(nn.graph.gcn(8), jax.nn.relu, nn.graph.gcn(2), nn.graph.node_output())
    >>> params, _ = net.init(jax.random.key(0), path)
    >>> net(params, path).shape
    (3, 2)
    """

    def init(key, x):
        check_graph(x, "node_output")
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_train(train)
        return check_graph(x, "node_output").nodes, ()

    return Layer(init, apply)


def _on_field(title: str, field: str, layer: Any) -> Layer:
    """A layer applied to one field of a Graph."""
    child = core.lift(layer)

    def init(key, x):
        return child.init(key, getattr(check_graph(x, title), field))

    def apply(params, state, x, *, key=None, train=False):
        given = getattr(check_graph(x, title), field)
        y, state = child.apply(params, state, given, key=key, train=train)
        if y.shape[:1] != given.shape[:1]:
            raise ValueError(
                f"{title} takes a layer that keeps the number of rows, got {core.describe(y)} from "
                f"{core.describe(given)}."
            )
        return x._replace(**{field: y}), state

    return Layer(init, apply, name=title)
