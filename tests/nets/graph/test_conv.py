"""The laws of graph layers, which those of batches cannot say, and the values of each layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests.small import drawn_params

pytestmark = pytest.mark.ordinary


def drawn(n: int, m: int, seed: int = 0) -> nn.graph.Graph:
    """A random graph, with loops and edges given twice."""
    rng = np.random.default_rng([n, m, seed])
    ends = rng.integers(0, n, (2, m)) if m else np.zeros((2, 0), int)
    nodes, edges = (rng.normal(size=size).astype(np.float32) for size in ((n, 4), (m, 3)))
    return nn.graph.make_graph(nodes, ends[0], ends[1], edges)


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
