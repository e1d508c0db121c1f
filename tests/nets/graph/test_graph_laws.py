import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests.nets.graph.test_conv import drawn
from tests.small import drawn_params

pytestmark = pytest.mark.ordinary

# Every layer from graphs to graphs, and from graphs to rows; edges have 3 features.
LAYERS = {
    "gcn": lambda: nn.graph.gcn(6),
    "gat": lambda: nn.graph.gat(3, heads=2),
    "gat of the mean": lambda: nn.graph.gat(6, heads=2, merge="mean", bias=False),
    "gatv2": lambda: nn.graph.gatv2(3, heads=2),
    "sage": lambda: nn.graph.sage(6, normalize=True),
    "sage of the maximum": lambda: nn.graph.sage(6, aggregate="max"),
    "sage, narrower": lambda: nn.graph.sage(2, aggregate="sum"),
    "gin": lambda: nn.graph.gin(nn.mlp(8, 6)),
    "message_passing": lambda: nn.graph.message_passing(nn.mlp(8, 6), nn.dense(6), keep=True),
    "message_passing of the maximum": lambda: nn.graph.message_passing(
        nn.dense(6), nn.dense(6), aggregate="max"
    ),
    "edge_conditioned": lambda: nn.graph.edge_conditioned(6, aggregate="mean"),
    "edge_conditioned with a body": lambda: nn.graph.edge_conditioned(6, nn.mlp(8, 2)),
    "virtual_node": lambda: nn.graph.virtual_node(nn.graph.gcn(6), nn.mlp(8, 6)),
    "nodewise": lambda: nn.serial(nn.graph.nodewise(nn.dense(6)), nn.graph.edgewise(nn.dense(2))),
    "several": lambda: nn.serial(
        nn.graph.gatv2(3, heads=2),
        nn.graph.nodewise(jnp.tanh),
        nn.graph.message_passing(nn.dense(6), nn.dense(6)),
    ),
}
READERS = {
    "readout": lambda: nn.graph.readout("sum", "mean", "max"),
    "set2set": lambda: nn.graph.set2set(3),
    "top_k_pool": lambda: nn.serial(
        nn.graph.top_k_pool(0.6), nn.graph.gcn(6), nn.graph.readout("sum", "max")
    ),
    "top_k_pool twice": lambda: nn.serial(
        nn.graph.top_k_pool(0.7),
        nn.graph.edge_conditioned(6),
        nn.graph.top_k_pool(0.5),
        nn.graph.readout("sum"),
    ),
    "virtual_node": lambda: nn.serial(
        nn.graph.virtual_node(nn.graph.gcn(6), nn.mlp(6, 6)),
        nn.graph.virtual_node(nn.graph.gin(nn.dense(6)), nn.dense(6)),
        nn.graph.readout("mean"),
    ),
}


def close(one, other) -> None:
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


def applied(net, x):
    return jax.jit(net)(drawn_params(net, x), x)


def some() -> list[nn.graph.Graph]:
    """Graphs of several sizes, one without edges and one of one node."""
    return [drawn(5, 9), drawn(3, 0), drawn(1, 2), drawn(7, 12)]


@pytest.mark.parametrize("name", LAYERS)
def test_the_order_of_nodes_and_edges_does_not_matter(name):
    net, x, rng = LAYERS[name](), drawn(7, 12), np.random.default_rng(1)
    order, shuffled = rng.permutation(7), rng.permutation(12)
    place = np.argsort(order).astype(np.int32)  # where each node went
    moved = nn.graph.Graph(
        x.nodes[order],
        x.edges[shuffled],
        place[x.senders][shuffled],
        place[x.receivers][shuffled],
        x.globals,
        x.sizes,
    )
    y, z = applied(net, x), applied(net, moved)
    close(y.nodes[order], z.nodes)
    close(y.edges[shuffled], z.edges)
    assert np.ptp(y.nodes, axis=0).max() > 1e-3  # nodes differ, or it would say nothing


@pytest.mark.parametrize("name", READERS)
def test_a_reader_does_not_see_the_order(name):
    net, rng = READERS[name](), np.random.default_rng(1)
    x = nn.graph.batch_graphs(some(), nodes=16, edges=23, count=4)
    parts = [(0, 5), (5, 8), (8, 9), (9, 16)]
    order = np.concatenate([start + rng.permutation(end - start) for start, end in parts])
    shuffled, place = rng.permutation(23), np.argsort(order).astype(np.int32)
    moved = x._replace(
        nodes=x.nodes[order],
        edges=x.edges[shuffled],
        senders=place[x.senders][shuffled],
        receivers=place[x.receivers][shuffled],
    )
    close(applied(net, x), applied(net, moved))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.first(6)
def test_graphs_of_a_union_are_as_alone_and_padding_changes_nothing(name):
    net, graphs = LAYERS[name](), some()
    whole = nn.graph.batch_graphs(graphs, nodes=24, edges=40, count=8)
    y = applied(net, spoiled(whole))
    node = edge = 0
    for i, x in enumerate(graphs):
        alone = applied(net, x)
        n, m = x.sizes[0]
        close(y.nodes[node : node + n], alone.nodes)
        close(y.edges[edge : edge + m], alone.edges)
        if not isinstance(y.globals, tuple):
            close(y.globals[i : i + 1], alone.globals)
        node, edge = node + n, edge + m


@pytest.mark.parametrize("name", READERS)
@pytest.mark.first(2)
def test_a_reader_reads_each_graph_alone(name):
    net, graphs = READERS[name](), some()
    y = applied(net, spoiled(nn.graph.batch_graphs(graphs, nodes=24, edges=40, count=8)))
    for i, x in enumerate(graphs):
        close(y[i : i + 1], applied(net, x))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.first(6)
def test_gradients_do_not_see_padding(name):
    net, graphs = LAYERS[name](), some()
    tight = nn.graph.batch_graphs(graphs, nodes=16, edges=23, count=4)
    loose = spoiled(nn.graph.batch_graphs(graphs, nodes=24, edges=40, count=8))
    params = drawn_params(net, tight)

    @jax.jit
    def gradient(params, x):
        def total(params):
            return jnp.sum(
                jnp.where(nn.graph.node_mask(x)[:, None], jnp.sin(net(params, x).nodes), 0)
            )

        return jax.grad(total)(params)

    for one, other in zip(
        *(jax.tree.leaves(gradient(params, x)) for x in (tight, loose)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def spoiled(x: nn.graph.Graph) -> nn.graph.Graph:
    """A union whose left over rows hold numbers that would be seen."""
    nodes, edges = x.nodes.copy(), x.edges.copy()
    nodes[~np.asarray(nn.graph.node_mask(x))] = 100.0
    edges[~np.asarray(nn.graph.edge_mask(x))] = -50.0
    return x._replace(nodes=nodes, edges=edges)


@pytest.mark.parametrize("name", [name for name in LAYERS if "conditioned" not in name])
def test_graphs_without_edges_or_nodes(name):
    net, x = LAYERS[name](), drawn(3, 0)
    y = applied(net, x)
    assert y.nodes.shape[0] == 3
    assert np.isfinite(y.nodes).all()
    empty = nn.graph.make_graph(np.zeros((0, 4), np.float32), [], [], np.zeros((0, 3), np.float32))
    assert applied(net, empty).nodes.shape[0] == 0


def test_a_graph_without_nodes_is_read_as_zeros():
    empty = nn.graph.make_graph(np.zeros((0, 4), np.float32), [], [])
    assert applied(nn.graph.readout("sum", "max"), empty).tolist() == [[0.0] * 8]
