# pyright: reportArgumentType=false, reportCallIssue=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

RNG = np.random.default_rng(0)


def pairs(x):
    """The edges of a graph as a sorted list of (sender, receiver)."""
    return sorted(
        zip(np.asarray(x.senders).tolist(), np.asarray(x.receivers).tolist(), strict=True)
    )


def test_a_large_graph_keeps_all_edges_and_their_order():
    n = 100_000  # whose square is beyond int32
    ends = RNG.integers(0, n, (2, 5000)).astype(np.int32)
    both = nn.graph.undirected(nn.graph.make_graph(np.zeros((n, 1), np.float32), *ends))
    wide = ends.astype(np.int64)
    keys = np.concatenate([wide[1] * n + wide[0], wide[0] * n + wide[1]])
    keys = np.unique(keys[keys // n != keys % n])
    assert (both.receivers == keys // n).all()
    assert (both.senders == keys % n).all()


def star(leaves):
    """A graph whose edges all go from 1, 2 ... to node 0."""
    nodes = -1.0 - jnp.arange(leaves + 1.0)[:, None]
    return nn.graph.by_receiver(nn.graph.make_graph(nodes, range(1, leaves + 1), [0] * leaves))


def test_padding_of_a_sample_counts_as_nothing():
    x = star(1)  # of three senders asked for there is one
    some, node = nn.graph.sample_neighbours(jax.random.key(0), x, jnp.array([0]), [3])
    assert node.tolist() == [0, 1, 2, 2]
    assert some.sizes.tolist() == [[2, 1]]
    assert (some.senders[0], some.receivers[0]) == (1, 0)
    values = {
        kind: float(nn.graph.readout(kind)((), some)[0, 0]) for kind in ("sum", "mean", "max")
    }
    assert values == {"sum": -3.0, "mean": -1.5, "max": -1.0}
    taken = nn.graph.take_graphs(nn.graph.batch_graphs([some]), jnp.array([0]), nodes=4, edges=4)
    assert float(nn.graph.readout("mean")((), taken)[0, 0]) == -1.5
    assert float(nn.graph.readout("max")((), taken)[0, 0]) == -1.0


@pytest.mark.parametrize("counts", [[2], [2, 2], [3, 1]])
@pytest.mark.first(1)
def test_a_sample_invents_no_edge_and_sees_as_the_graph_does(counts):
    x = nn.graph.by_receiver(
        nn.graph.make_graph(np.eye(9, dtype=np.float32), *RNG.integers(0, 9, (2, 20)))
    )
    edges = set(pairs(x))
    some, node = nn.graph.sample_neighbours(jax.random.key(1), x, jnp.array([4, 7]), counts)
    held = int(some.sizes[0, 1])
    found = [(int(node[s]), int(node[r])) for s, r in
             zip(some.senders[:held], some.receivers[:held], strict=True)]  # fmt: skip
    assert set(found) <= edges
    assert (node[:2] == jnp.array([4, 7])).all()
    assert (
        np.asarray(some.nodes)[: int(some.sizes[0, 0])] == np.eye(9)[node[: some.sizes[0, 0]]]
    ).all()
    assert (some.senders[held:] == len(node)).all()


def test_edges_that_are_not_sorted_are_refused_or_not_drawn():
    x = nn.graph.make_graph(np.eye(4, dtype=np.float32), [1, 2, 3], [3, 0, 2])
    with pytest.raises(ValueError, match=r"sorted by receiver: give nn\.graph\.by_receiver"):
        nn.graph.sample_neighbours(jax.random.key(0), x, jnp.array([0]), [2])
    some, node = jax.jit(
        lambda x: nn.graph.sample_neighbours(jax.random.key(0), x, jnp.array([0]), [2])
    )(x)
    held = int(some.sizes[0, 1])
    found = {(int(node[s]), int(node[r])) for s, r in
             zip(some.senders[:held], some.receivers[:held], strict=True)}  # fmt: skip
    assert found <= set(pairs(x))


@pytest.mark.parametrize("seed", [4, -1])
def test_a_seed_that_is_no_node_is_refused(seed):
    with pytest.raises(ValueError, match=f"seeds: labels are 0 to 3, got {seed}"):
        nn.graph.sample_neighbours(jax.random.key(0), star(3), jnp.array([seed]), [2])


def test_links_held_out_leave_with_all_their_edges_and_others_stay():
    # 0-1 both ways and twice, 1 -> 2 one way, 2-3 both ways, 3 -> 3, 0 -> 3 one way and twice.
    senders = [0, 1, 0, 1, 1, 2, 3, 3, 0, 0]
    receivers = [1, 0, 1, 0, 2, 3, 2, 3, 3, 3]
    x = nn.graph.make_graph(np.ones((4, 1)), senders, receivers)
    for seed in range(5):
        left, taken = nn.graph.hold_out_links(x, 0.5, seed)
        out = {tuple(pair) for pair in taken.tolist()}
        assert len(out) == len(taken) == 2
        assert all(a < b for a, b in out)
        kept = [pair for pair in pairs(x) if tuple(sorted(pair)) not in out]
        assert pairs(left) == kept
        assert left.sizes.tolist() == [[4, len(kept)]]


def test_negative_links_join_two_nodes_that_are_there():
    x = nn.graph.batch_graphs([nn.graph.make_graph(np.ones((3, 1)), [0], [1])], nodes=9, edges=4)
    drawn = np.asarray(nn.graph.negative_links(jax.random.key(0), x, 200))
    assert (drawn[:, 0] != drawn[:, 1]).all()
    assert set(drawn.ravel().tolist()) == {0, 1, 2}


@pytest.mark.parametrize("nodes", [0, 1])
def test_a_graph_without_a_pair_has_no_negative_links(nodes):
    with pytest.raises(ValueError, match="a graph of two nodes at least"):
        nn.graph.negative_links(
            jax.random.key(0), nn.graph.make_graph(np.ones((nodes, 1)), [], []), 4
        )


def test_a_union_has_no_links_between_its_graphs():
    ring = nn.graph.make_graph(np.ones((3, 1), np.float32), [0, 1, 2], [1, 2, 0])
    both = nn.graph.batch_graphs([ring, ring])
    for function in (
        lambda: nn.graph.undirected(both),
        lambda: nn.graph.hold_out_links(both, 0.5),
        lambda: nn.graph.negative_links(jax.random.key(0), both, 4),
        lambda: nn.graph.sample_neighbours(jax.random.key(0), both, jnp.array([0]), [1]),
    ):
        with pytest.raises(ValueError, match="takes one graph, got a union of 2"):
            function()


def test_to_hold_out_no_link_is_refused():
    pair = nn.graph.make_graph(np.ones((2, 1), np.float32), [0], [1])
    with pytest.raises(ValueError, match=r"share of 0\.1 of 1 links rounds to none"):
        nn.graph.hold_out_links(pair, 0.1)


def test_a_logit_of_a_node_that_is_not_there_is_refused_and_nan_under_jit():
    nodes = jnp.ones((3, 2))
    with pytest.raises(ValueError, match="link_logits: pairs: labels are 0 to 2, got 3"):
        nn.graph.link_logits(nodes, jnp.array([[0, 3]]))
    y = jax.jit(nn.graph.link_logits)(nodes, jnp.array([[0, 3], [0, -1], [0, 1]]))
    np.testing.assert_array_equal(y, [np.nan, np.nan, 2.0])


def test_a_graph_that_is_not_there_is_not_taken():
    whole = nn.graph.batch_graphs(
        [nn.graph.make_graph(np.ones((2, 1), np.float32), [0], [1])] * 2, count=2
    )
    with pytest.raises(ValueError, match="take_graphs: index: labels are 0 to 1, got -1"):
        nn.graph.take_graphs(whole, np.array([-1]), nodes=4, edges=4)
    some = jax.jit(lambda i: nn.graph.take_graphs(whole, i, nodes=4, edges=4))(np.array([-1, 1]))
    assert some.sizes.tolist() == [[0, 0], [2, 1]]
