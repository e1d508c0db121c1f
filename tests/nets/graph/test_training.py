"""The standard tasks on graphs go through `fit` and `evaluate` as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

RNG = np.random.default_rng(0)
LOSS = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels, -1)


def community():
    """A graph of two groups that keep to themselves, and the group of each node."""
    n, groups = 60, np.arange(60) % 2
    ends = RNG.integers(0, n, (2, 900))
    near = groups[ends[0]] == groups[ends[1]]
    kept = near | (RNG.random(900) < 0.1)
    x = RNG.normal(size=(n, 8)) + 0.3 * groups[:, None]
    return nn.graph.undirected(nn.graph.make_graph(x.astype(np.float32), *ends[:, kept])), groups


def test_nodes_of_one_graph_are_learned_from_some_and_told_for_all():
    x, groups = community()
    known = np.where(np.arange(60) < 10, groups, -1)
    rest = np.where(np.arange(60) < 10, -1, groups)
    net = nn.serial(
        nn.graph.gcn(16),
        jax.nn.relu,
        nn.graph.nodewise(nn.dropout(0.2)),
        nn.graph.gcn(2),
        nn.graph.node_output(),
    )

    def accuracy(logits, labels):
        return nn.accuracy(logits, labels, ignore=-1)

    optimizer = optax.adam(0.02)
    loss = nn.training.supervised(net, LOSS, {"accuracy": accuracy})
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    end = nn.training.fit(nn.training.step(loss, optimizer), train, [(x, known)], steps=100)
    found = nn.training.evaluate(loss, end.train, [(x, rest)])
    assert found["accuracy"] > 0.9
    logits = nn.training.predict(net, end.train, [x])
    share = (logits.argmax(axis=1) == groups)[10:].mean()
    assert share == pytest.approx(found["accuracy"])


def test_batches_of_graphs_are_learned():
    def one(label):
        n = RNG.integers(4, 8)
        ring = np.arange(n), (np.arange(n) + 1) % n
        ends = ring if label else (np.zeros(n - 1, int), np.arange(1, n))  # a ring, or a star
        return nn.graph.undirected(nn.graph.make_graph(np.ones((n, 1), np.float32), *ends))

    def batch(labels):
        x = nn.graph.batch_graphs([one(label) for label in labels], nodes=80, edges=160, count=12)
        return x, np.pad(labels, (0, 12 - len(labels)), constant_values=-1)

    batches = [batch(RNG.integers(0, 2, size)) for size in (10, 10, 7)]
    net = nn.serial(
        nn.graph.gin(nn.mlp(16, 16)),
        jax.nn.relu,
        nn.graph.gin(nn.mlp(16, 16)),
        nn.graph.readout("mean", "max"),
        nn.dense(2),
    )
    optimizer = optax.adam(0.02)
    loss = nn.training.supervised(net, LOSS)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), batches[0][0])
    end = nn.training.fit(nn.training.step(loss, optimizer), train, batches, steps=300)
    assert nn.training.evaluate(loss, end.train, batches)["loss"] < 0.1


def test_a_layer_of_arrays_among_graph_layers_says_how_it_acts_on_nodes():
    x, _ = community()
    net = nn.serial(nn.graph.gcn(4), nn.dense(2))
    with pytest.raises(
        TypeError, match=r"dense takes arrays, got a Graph: .* nn\.graph\.nodewise\(dense"
    ):
        net.init(jax.random.key(0), x)


def test_a_function_among_graph_layers_acts_on_the_nodes():
    x, _ = community()
    net = nn.serial(nn.graph.gcn(4), jnp.tanh, nn.graph.gcn(2))
    params, _ = net.init(jax.random.key(0), x)
    wrapped = nn.serial(nn.graph.gcn(4), nn.graph.nodewise(jnp.tanh), nn.graph.gcn(2))
    assert (net(params, x).nodes == wrapped(params, x).nodes).all()
