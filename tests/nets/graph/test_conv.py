"""The laws of graph layers, which those of batches cannot say, and the values of each layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests import golden
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


def drawn(n: int, m: int, seed: int = 0) -> nn.graph.Graph:
    """A random graph, with loops and edges given twice."""
    rng = np.random.default_rng([n, m, seed])
    ends = rng.integers(0, n, (2, m)) if m else np.zeros((2, 0), int)
    nodes, edges = (rng.normal(size=size).astype(np.float32) for size in ((n, 4), (m, 3)))
    return nn.graph.make_graph(nodes, ends[0], ends[1], edges)


def applied(net, x):
    return jax.jit(net)(drawn_params(net, x), x)


def some() -> list[nn.graph.Graph]:
    """Graphs of several sizes, one without edges and one of one node."""
    return [drawn(5, 9), drawn(3, 0), drawn(1, 2), drawn(7, 12)]


# Laws


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
def test_a_reader_reads_each_graph_alone(name):
    net, graphs = READERS[name](), some()
    y = applied(net, spoiled(nn.graph.batch_graphs(graphs, nodes=24, edges=40, count=8)))
    for i, x in enumerate(graphs):
        close(y[i : i + 1], applied(net, x))


@pytest.mark.parametrize("name", LAYERS)
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


# Values


def dense_matrix(x: nn.graph.Graph) -> np.ndarray:
    """a[i, j], how many edges run from j to i."""
    a = np.zeros((len(x.nodes), len(x.nodes)))
    np.add.at(a, (x.receivers, x.senders), 1)
    return a


def test_gcn_is_its_matrix():
    net, x = nn.graph.gcn(6), drawn(7, 12)
    params = drawn_params(net, x)
    a = dense_matrix(x) + np.eye(7)  # loops and edges given twice count as often as they are there
    scale = 1 / np.sqrt(a.sum(1))
    wanted = scale[:, None] * a * scale[None] @ x.nodes @ params["w"] + params["b"]
    np.testing.assert_allclose(net(params, x).nodes, wanted, rtol=1e-4, atol=1e-5)


def test_gcn_with_weights_of_one_is_gcn_without():
    x = drawn(7, 12)
    params = drawn_params(nn.graph.gcn(6), x)
    weighed = x._replace(edges=np.ones((12, 1), np.float32))
    one, other = (nn.graph.gcn(6, weighted=w)(params, weighed).nodes for w in (True, False))
    np.testing.assert_allclose(one, other, rtol=1e-6)
    doubled = nn.graph.gcn(6, weighted=True)(
        params, weighed._replace(edges=2 * weighed.edges)
    ).nodes
    assert np.abs(doubled - one).max() > 1e-3
    with pytest.raises(ValueError, match=r"edges \[m, 1\] of floats"):
        nn.graph.gcn(6, weighted=True)(params, x)


def test_gin_and_sage_are_sums():
    x = drawn(7, 12)
    a = dense_matrix(x)
    net = nn.graph.gin(jnp.tanh, epsilon=0.5)
    params, _ = net.init(jax.random.key(0), x)
    wanted = np.tanh(1.5 * x.nodes + a @ x.nodes)
    np.testing.assert_allclose(net(params, x).nodes, wanted, rtol=1e-5, atol=1e-6)
    fixed = nn.graph.gin(jnp.tanh, epsilon=0.5, learned=False)
    np.testing.assert_allclose(fixed({"body": ()}, x).nodes, wanted, rtol=1e-5, atol=1e-6)
    for width in (2, 6):
        net = nn.graph.sage(width, aggregate="mean")
        params = drawn_params(net, x)
        told = a / np.maximum(a.sum(1, keepdims=True), 1) @ x.nodes @ params["told"]["w"]
        wanted = x.nodes @ params["own"]["w"] + params["own"]["b"] + told
        np.testing.assert_allclose(net(params, x).nodes, wanted, rtol=1e-4, atol=1e-5)


def test_attention_is_a_mean_by_its_weights():
    # Of equal scores it is the plain mean of the node and its senders.
    x = nn.graph.make_graph(np.arange(3, dtype=np.float32)[:, None], [0, 1], [2, 2])
    zero = jnp.zeros((1, 1))
    params = {"w": jnp.ones((1, 1)), "send": zero, "receive": zero, "b": jnp.zeros(1)}
    assert nn.graph.gat(1)(params, x).nodes[:, 0].tolist() == [0, 1, 1]
    # A large score takes all, without overflow.
    params = params | {"send": jnp.full((1, 1), 1e4)}
    assert nn.graph.gat(1)(params, x).nodes[:, 0].tolist() == [0, 1, 2]


def test_a_node_alone_attends_to_itself_whatever_its_score():
    x = nn.graph.make_graph(np.array([[-400.0]], np.float32), [], [])
    one = jnp.ones((1, 1))
    params = {"w": one, "send": one, "receive": one, "b": jnp.zeros(1)}
    assert nn.graph.gat(1)(params, x).nodes.tolist() == [[-400.0]]


def test_attention_drops_weights_in_training_alone(key):
    net, x = nn.graph.gat(3, dropout=0.5), jax.tree.map(jnp.asarray, drawn(7, 12))
    params = drawn_params(net, x)
    still, first, again = (
        net(params, x, **how).nodes
        for how in ({}, {"key": key, "train": True}, {"key": key, "train": True})
    )
    assert (first == again).all()
    assert np.abs(first - still).max() > 1e-3
    with pytest.raises(ValueError, match="draws at random"):
        net(params, x, train=True)


def test_messages_say_what_edges_are():
    x = nn.graph.make_graph(np.ones((3, 1), np.float32), [0, 1], [2, 2], np.array([[1.0], [10.0]]))
    net = nn.graph.message_passing(lambda m: m[:, 2:], lambda y: y[:, 1:])
    assert net({"message": (), "update": ()}, x).nodes[:, 0].tolist() == [0, 0, 11]


def test_edge_conditioned_is_a_matrix_an_edge():
    x = drawn(5, 9)
    net = nn.graph.edge_conditioned(6)
    params = drawn_params(net, x)
    w = np.asarray(params["matrix"]["w"])  # [features, kinds + 1, width]
    matrices = np.einsum("ek,fkw->efw", np.c_[x.edges, np.ones(9)], w)
    wanted = np.array(x.nodes @ params["own"]["w"] + params["own"]["b"])
    for edge, (sender, receiver) in enumerate(zip(x.senders, x.receivers, strict=True)):
        wanted[receiver] += x.nodes[sender] @ matrices[edge]
    np.testing.assert_allclose(net(params, x).nodes, wanted, rtol=1e-4, atol=1e-5)


def test_top_k_keeps_the_best_of_each_graph_and_edges_between_them():
    x = nn.graph.batch_graphs(
        [
            nn.graph.make_graph(np.array([[1.0], [3.0], [2.0]]), [0, 1, 2], [1, 2, 1]),
            nn.graph.make_graph(np.array([[-1.0]]), [0], [0]),
        ]
    )
    y = nn.graph.top_k_pool(0.5)({"w": jnp.array([[2.0]])}, jax.tree.map(jnp.asarray, x))
    np.testing.assert_allclose(
        y.nodes[:3, 0], np.array([3, 2, -1]) * np.tanh([3, 2, -1]), rtol=1e-6
    )
    assert y.sizes[:2].tolist() == [[2, 2], [1, 1]]
    here = np.asarray(nn.graph.edge_mask(y))
    assert y.senders[here].tolist() == [0, 1, 2]
    assert y.receivers[here].tolist() == [1, 0, 2]


@pytest.mark.parametrize("ratio", [0.0, 1.5, float("nan")])
def test_a_ratio_is_a_share(ratio):
    with pytest.raises(
        (TypeError, ValueError), match="ratio is the fraction|ratio must be a number"
    ):
        nn.graph.top_k_pool(ratio)


# Bad input


def test_what_is_no_graph_is_refused(key):
    with pytest.raises(TypeError, match="readout takes a Graph, got float32"):
        nn.graph.readout()((), jnp.ones((3, 4)))
    for net in (nn.graph.gcn(3), nn.graph.gat(3), nn.graph.set2set(), nn.graph.top_k_pool()):
        with pytest.raises(TypeError, match="takes a Graph, got float32"):
            net.init(key, jnp.ones((3, 4)))
    with pytest.raises(ValueError, match=r"gcn takes nodes \[n, features\]"):
        nn.graph.gcn(3).init(key, nn.graph.make_graph(np.ones(3, np.float32), [], []))
    with pytest.raises(TypeError, match="floating features"):
        nn.graph.gcn(3).init(key, nn.graph.make_graph(np.ones((3, 1), np.int32), [], []))


def test_bad_arguments_are_refused_as_the_layer_is_built():
    for make in (
        lambda: nn.graph.gcn(0),
        lambda: nn.graph.gat(3, heads=0),
        lambda: nn.graph.gat(3, merge="sum"),
        lambda: nn.graph.gat(3, dropout=1.0),
        lambda: nn.graph.sage(3, aggregate="median"),
        lambda: nn.graph.gin(nn.dense(3), epsilon=float("inf")),
        lambda: nn.graph.readout("median"),
        lambda: nn.graph.set2set(0),
        lambda: nn.graph.edge_conditioned(0),
    ):
        with pytest.raises(ValueError, match='must be|is one of|is "concatenate"|rate is'):
            make()


def test_params_of_another_width_are_refused():
    x, wide = (
        drawn(3, 2),
        nn.graph.make_graph(np.ones((3, 5), np.float32), [0], [1], np.ones((1, 3))),
    )
    for net in (
        nn.graph.gcn(6),
        nn.graph.gat(3),
        nn.graph.edge_conditioned(6),
        nn.graph.top_k_pool(),
    ):
        with pytest.raises(ValueError, match="has params for 4 features"):
            net(drawn_params(net, x), wide)


def test_edge_conditioned_wants_features_of_edges(key):
    with pytest.raises(ValueError, match="got a graph without edge features"):
        nn.graph.edge_conditioned(3).init(
            key, nn.graph.make_graph(np.ones((3, 4), np.float32), [0], [1])
        )


def test_globals_of_another_width_are_refused(key):
    net = nn.graph.virtual_node(nn.graph.gcn(6), nn.dense(5))
    x = nn.graph.make_graph(np.ones((3, 4), np.float32), [0], [1])
    params, _ = net.init(key, x)
    with pytest.raises(ValueError, match="globals as wide as the nodes"):
        nn.graph.virtual_node(nn.graph.gcn(6), nn.dense(5)).init(key, net(params, x))


# Peers


def ours(net, params, inputs, **kinds):
    """A layer over a peer's graph, [nodes] of it."""
    x = nn.graph.Graph(
        inputs["x"],
        inputs.get("edges", ()),
        inputs["senders"].astype(jnp.int32),
        inputs["receivers"].astype(jnp.int32),
        (),
        jnp.array(kinds.get("sizes", [[len(inputs["x"]), len(inputs["senders"])]])),
    )
    y = net(params, x)
    return y.nodes if isinstance(y, nn.graph.Graph) else y


def attends(a):
    return a[0]


CASES = {
    "gcn": lambda i: ours(nn.graph.gcn(3), {"w": i["w"].T, "b": i["b"]}, i),
    "gat": lambda i: ours(
        nn.graph.gat(3, heads=2),
        {"w": i["w"].T, "send": attends(i["send"]), "receive": attends(i["receive"]), "b": i["b"]},
        i,
    ),
    "gatv2": lambda i: ours(
        nn.graph.gatv2(3, heads=2, merge="mean"),
        {"send": i["send"].T, "receive": i["receive"].T, "a": attends(i["a"]), "b": i["b"]},
        i,
    ),
    "sage": lambda i: ours(
        nn.graph.sage(3), {"told": {"w": i["told"].T}, "own": {"w": i["own"].T, "b": i["b"]}}, i
    ),
    "sage-max": lambda i: ours(
        nn.graph.sage(3, aggregate="max"),
        {"told": {"w": i["told"].T}, "own": {"w": i["own"].T, "b": i["b"]}},
        i,
    ),
    "gin": lambda i: ours(
        nn.graph.gin(nn.dense(3)),
        {"body": {"w": i["w"].T, "b": i["b"]}, "epsilon": i["epsilon"].reshape(())},
        i,
    ),
    "nnconv": lambda i: ours(
        nn.graph.edge_conditioned(3),
        {
            "matrix": {
                "w": jnp.concatenate(
                    [i["w"].reshape(4, 3, 2).transpose(0, 2, 1), i["w_0"].reshape(4, 1, 3)], 1
                )
            },
            "own": {"w": i["own"].T, "b": i["b"]},
        },
        i,
    ),
    "set2set": lambda i: ours(
        nn.graph.set2set(3),
        {"w": i["w"].T, "u": i["u"].T, "b": i["b"]},
        i,
        sizes=[[4, 0], [3, 0]],
    ),
    "top-k": lambda i: ours(nn.graph.top_k_pool(0.5), {"w": i["w"].T}, i, sizes=[[4, 0], [3, 0]])[
        :4
    ],
}


def test_every_golden_case_is_checked():
    assert sorted(CASES) == golden.names("graph")


@pytest.mark.parametrize("name", CASES)
def test_pytorch_geometric_agrees(name):
    golden.check(golden.load("graph", name), CASES[name])


def test_a_graph_built_by_hand_is_checked():
    path = nn.graph.make_graph(np.ones((3, 2), np.float32), [0, 1], [1, 2])
    for field, value in (("senders", [0, 1]), ("receivers", np.zeros(3, int)), ("sizes", [[3, 2]])):
        bad = path._replace(**{field: value})
        with pytest.raises(ValueError, match="gcn takes a Graph with senders and receivers int"):
            nn.graph.gcn(2).init(jax.random.key(0), bad)
