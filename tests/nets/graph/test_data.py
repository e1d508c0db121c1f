import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.nets.graph.masks import segment_ids


def drawn(n: int, m: int, globals_=()) -> nn.graph.Graph:
    rng = np.random.default_rng([n, m])
    ends = rng.integers(0, n, (2, m)) if m else np.zeros((2, 0), int)
    nodes, edges = (rng.normal(size=size).astype(np.float32) for size in ((n, 4), (m, 3)))
    return nn.graph.make_graph(nodes, ends[0], ends[1], edges, globals_)


# One graph


@pytest.mark.parametrize(("sender", "receiver"), [(0, 3), (3, 0), (-1, 0), (2, 7)])
def test_an_edge_to_a_node_that_is_not_there_is_refused(sender, receiver):
    said = rf"edge 1 runs from node {sender} to node {receiver}, but there are 3 nodes, 0 to 2"
    with pytest.raises(ValueError, match=said):
        nn.graph.make_graph(np.ones((3, 2)), [0, sender], [1, receiver])


def test_edges_without_nodes_are_refused():
    with pytest.raises(
        ValueError, match="edge 0 runs from node 0 to node 0, but there are no nodes"
    ):
        nn.graph.make_graph(np.ones((0, 2)), [0], [0])


def test_graphs_without_edges_or_nodes_are_graphs():
    assert nn.graph.make_graph(np.ones((3, 2)), [], []).sizes.tolist() == [[3, 0]]
    empty = nn.graph.make_graph(np.ones((0, 2)), [], [])
    assert empty.sizes.tolist() == [[0, 0]]
    assert empty.senders.dtype == np.int32


def test_loops_and_edges_given_twice_are_kept():
    x = nn.graph.make_graph(np.ones((3, 2)), [0, 0, 1], [1, 1, 1])
    assert x.sizes.tolist() == [[3, 3]]
    assert nn.graph.degrees(x).tolist() == [0, 3, 0]
    assert nn.graph.undirected(x).senders.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((1.0, [], []), ValueError, "got a scalar"),
        ((np.ones((3, 1)), [0, 1], [1]), ValueError, "a sender and a receiver for each edge"),
        ((np.ones((3, 1)), [[0]], [[1]]), ValueError, r"senders and receivers \[m\]"),
        ((np.ones((3, 1)), [0.0], [1.0]), TypeError, "as integers, got float"),
        ((np.ones((3, 1)), [0], [1], np.ones((2, 1))), ValueError, "for each of its 1 edges"),
    ],
)
def test_what_does_not_agree_is_refused(arguments, error, said):
    with pytest.raises(error, match=said):
        nn.graph.make_graph(*arguments)


def test_features_have_the_dtypes_of_jax():
    x = nn.graph.make_graph(np.ones((2, 1)), [0], [1], np.ones((1, 1)), np.ones(3))
    assert {leaf.dtype for leaf in (x.nodes, x.edges, x.globals)} == {np.dtype(np.float32)}
    assert x.globals.shape == (1, 3)


# Several


def test_a_union_holds_its_graphs_one_after_the_other():
    graphs = [drawn(3, 4, np.ones(2)), drawn(2, 0, np.zeros(2)), drawn(5, 6, np.ones(2))]
    x = nn.graph.batch_graphs(graphs)
    assert [leaf.shape[0] for leaf in (x.nodes, x.edges, x.senders, x.globals)] == [16, 16, 16, 8]
    assert x.sizes[:4].tolist() == [[3, 4], [2, 0], [5, 6], [0, 0]]
    assert nn.graph.node_graphs(x).tolist() == [0] * 3 + [1] * 2 + [2] * 5 + [8] * 6
    assert np.asarray(nn.graph.node_mask(x)).sum() == np.asarray(nn.graph.edge_mask(x)).sum() == 10
    assert nn.graph.graph_mask(x).tolist() == [True] * 3 + [False] * 5
    assert (x.senders[4:10] == graphs[2].senders + 5).all()
    assert (x.receivers[10:] == 16).all()


def test_a_union_of_unions_leaves_out_what_was_left_over():
    graphs = [drawn(3, 4), drawn(2, 1), drawn(5, 6)]
    twice = nn.graph.batch_graphs([nn.graph.batch_graphs(graphs[:2], count=2), graphs[2]])
    for one, other in zip(twice, nn.graph.batch_graphs(graphs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_graphs_that_cannot_be_one_union_are_refused():
    with pytest.raises(ValueError, match="one graph at least"):
        nn.graph.batch_graphs([])
    with pytest.raises(ValueError, match="graph 1 has rows of"):
        nn.graph.batch_graphs(
            [drawn(3, 4), nn.graph.make_graph(np.ones((3, 4), np.float32), [], [])]
        )
    with pytest.raises(ValueError, match="nodes=4 cannot hold 5 nodes"):
        nn.graph.batch_graphs([drawn(5, 2)], nodes=4)


@pytest.mark.parametrize("n", range(0, 200, 7))
def test_padded_sizes_are_few_and_near(n):
    size = nn.graph.padded_size(n)
    assert size >= n
    assert size % 8 == 0
    assert size <= max(8, 1.5 * n + 8)
    assert len({nn.graph.padded_size(m) for m in range(10_000)}) < 24


@pytest.mark.parametrize("jitted", [False, True])
def test_graphs_are_taken_from_a_union(jitted):
    graphs = [drawn(n, 2 * n, np.full(2, n, np.float32)) for n in (3, 1, 5, 2)]
    whole = nn.graph.batch_graphs(graphs)
    take = lambda index: nn.graph.take_graphs(whole, index, nodes=16, edges=32)  # noqa: E731
    got = (jax.jit(take) if jitted else take)(jnp.array([2, 0, 2, 1]))
    wanted = nn.graph.batch_graphs([graphs[i] for i in (2, 0, 2, 1)], nodes=16, edges=32, count=4)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_graph_that_does_not_fit_is_left_out():
    whole = nn.graph.batch_graphs([drawn(3, 2), drawn(6, 2), drawn(1, 0)])
    got = nn.graph.take_graphs(whole, jnp.array([0, 1]), nodes=8, edges=8)
    assert got.sizes.tolist() == [[3, 2], [0, 0]]
    assert (np.asarray(got.nodes)[3:] == 0).all()
    assert (np.asarray(got.senders)[2:] == 8).all()


def test_segment_ids_of_empty_segments():
    assert segment_ids(jnp.array([0, 2, 2, 3]), 5).tolist() == [1, 1, 3, 4, 4]


def test_an_epoch_of_graphs_of_every_size_compiles_once():
    graphs = [drawn(n, 2 * n) for n in range(1, 41)]
    whole, y = nn.graph.batch_graphs(graphs), np.arange(40, dtype=np.float32)[:, None]
    net = nn.serial(nn.graph.gcn(8), nn.graph.readout("mean"), nn.dense(1))
    traces = []

    def loss(params, state, batch, *, key, train):
        traces.append(1)
        graph, y = batch
        return nn.mse(net(params, graph), y), (state, {})

    optimizer = optax.sgd(1e-3)
    step = nn.training.step(loss, optimizer)
    compiled = jax.jit(
        lambda train, index, y: step(
            train, (nn.graph.take_graphs(whole, index, nodes=8 * 40, edges=16 * 40), y)
        )
    )
    train = nn.training.init_train(net, optimizer, jax.random.key(0), graphs[0])
    order = np.random.default_rng(0).permutation(40).reshape(5, 8)
    for some in order:
        train, metrics = compiled(train, some, y[some])
    assert np.isfinite(metrics["loss"])
    assert len(traces) == 1
    # Unions made on the host come in few sizes.
    shapes = set()
    for some in np.random.default_rng(1).permutation(np.repeat(order, 4, axis=0)):
        union = nn.graph.batch_graphs([graphs[i] for i in some])
        shapes.add(tuple(np.shape(leaf) for leaf in jax.tree.leaves(union)))
    assert len(shapes) <= 4


# Parts of a graph, and links


def star(n: int) -> nn.graph.Graph:
    """Node 0 is told by all others, node 1 by node 2, the others by none."""
    nodes = np.arange(n, dtype=np.float32)[:, None]
    return nn.graph.by_receiver(nn.graph.make_graph(nodes, [*range(1, n), 2], [0] * (n - 1) + [1]))


def test_neighbours_are_drawn_evenly_and_none_twice():
    x = star(8)
    draw = jax.jit(lambda key: nn.graph.sample_neighbours(key, x, jnp.array([0, 1, 5]), [3])[1])
    nodes = np.stack([draw(jax.random.key(i)) for i in range(400)])
    assert (nodes[:, :3] == [0, 1, 5]).all()
    assert all(len(set(row)) == 3 for row in nodes[:, 3:6].tolist())
    shares = np.bincount(nodes[:, 3:6].ravel(), minlength=8)[1:] / 400
    np.testing.assert_allclose(shares, 3 / 7, atol=0.1)
    assert (nodes[:, 6] == 2).all()
    assert (nodes[:, 7:] == 8).all()  # no more senders, and none


def test_a_sample_of_all_neighbours_is_as_good_as_the_graph(key):
    x = nn.graph.by_receiver(nn.graph.undirected(drawn(12, 30)._replace(edges=())))
    net = nn.serial(nn.graph.sage(5), nn.graph.nodewise(jnp.tanh), nn.graph.sage(3))
    params, _ = net.init(key, x)
    seeds = jnp.array([3, 7, 0])
    most = int(nn.graph.degrees(x).max())
    some, node = nn.graph.sample_neighbours(key, x, seeds, [most, most])
    assert some.nodes.shape == (3 + 3 * most + 3 * most**2, 4)
    np.testing.assert_allclose(
        net(params, some).nodes[:3], net(params, x).nodes[seeds], rtol=1e-5, atol=1e-5
    )
    there = np.asarray(node) < 12
    np.testing.assert_array_equal(some.nodes[there], x.nodes[np.asarray(node)[there]])


def test_counts_are_whole(key):
    with pytest.raises(ValueError, match="sample_neighbours: counts"):
        nn.graph.sample_neighbours(key, star(3), jnp.array([0]), [0])


def test_held_out_links_are_in_one_part_alone():
    x = nn.graph.undirected(drawn(12, 30)._replace(edges=()))
    left, pairs = nn.graph.hold_out_links(x, 0.25)
    links = {tuple(sorted(each)) for each in zip(x.senders.tolist(), x.receivers.tolist())}  # noqa: B905
    kept = {tuple(sorted(each)) for each in zip(left.senders.tolist(), left.receivers.tolist())}  # noqa: B905
    held = {tuple(each) for each in pairs.tolist()}
    assert held | kept == links
    assert not held & kept
    assert len(held) == round(0.25 * len(links))
    assert len(left.senders) == 2 * len(kept)
    with pytest.raises(ValueError, match="share must be in"):
        nn.graph.hold_out_links(x, 1.0)
    with pytest.raises(ValueError, match="edges without features"):
        nn.graph.hold_out_links(drawn(3, 2), 0.5)


def test_links_of_two_rings_are_foreseen(key):
    ring = np.arange(20)
    ends = [(a + 20 * k, (a + b) % 20 + 20 * k) for k in (0, 1) for b in (1, 2, 3) for a in ring]
    x = nn.graph.undirected(nn.graph.make_graph(np.eye(40, dtype=np.float32), *np.array(ends).T))
    left, held = nn.graph.hold_out_links(x, 0.1)
    net = nn.serial(nn.graph.gcn(16), nn.graph.nodewise(jnp.tanh), nn.graph.gcn(8))
    links = np.stack([left.senders, left.receivers], 1)
    left = jax.tree.map(jnp.asarray, left)

    def loss(params, state, batch, *, key, train):
        others = nn.graph.negative_links(key, left, len(links))
        return nn.graph.link_loss(net(params, left).nodes, batch, others), (state, {})

    adam = optax.adam(0.02)
    end = nn.training.fit(
        nn.training.step(loss, adam),
        nn.training.init_train(net, adam, key, left),
        links,
        batch_size=len(links),
        steps=150,
    )
    nodes = net(end.train.params, left).nodes
    here = nn.graph.link_logits(nodes, jnp.asarray(held))
    others = nn.graph.link_logits(
        nodes, jnp.array([[a, b] for a in range(20) for b in range(20, 40)])
    )
    assert float((here[:, None] > others[None]).mean()) > 0.95


def test_negative_links_join_different_nodes(key):
    pairs = np.asarray(nn.graph.negative_links(key, star(5), 300))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert set(pairs.ravel()) == set(range(5))
    with pytest.raises(ValueError, match=r"pairs int \[..., 2\]"):
        nn.graph.link_logits(jnp.ones((3, 2)), jnp.array([1, 2, 0]))
