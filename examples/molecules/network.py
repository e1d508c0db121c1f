"""The message passing network, its loss, and its training step."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from examples import Options
from examples.data.molecules import ATOM_WIDTH, BOND_WIDTH

WIDTH = 64
DEPTH = 4  # rounds of messages
DROPOUT = 0.1
RATE = 2e-3  # the peak learning rate
WEIGHT_DECAY = 1e-2
MAX_NORM = 1.0  # to which gradients are clipped


class Size(NamedTuple):
    """The size of a batch, and of a training run.

    graphs, nodes, edges: rows of a batch, including padding.
    steps: of training.
    every: steps between validations.
    """

    graphs: int
    nodes: int
    edges: int
    steps: int
    every: int


# Nodes and edges are six standard deviations above the mean, so that every batch fits.
SIZES = {
    "esol": Size(graphs=64, nodes=1184, edges=2512, steps=900, every=50),
    "tox21": Size(graphs=128, nodes=3216, edges=6656, steps=800, every=80),
}
QUICK_SIZES = {
    "esol": Size(graphs=64, nodes=1184, edges=2512, steps=40, every=20),
    "tox21": Size(graphs=64, nodes=1760, edges=3664, steps=4, every=4),
}
TASKS = {"esol": 1, "tox21": 12}


def size_of(options: Options, table: str) -> Size:
    return (QUICK_SIZES if options.quick else SIZES)[table]


def block() -> nn.Layer:
    """A round of messages with a residual connection."""
    message = nn.serial(nn.dense(WIDTH), jax.nn.relu)
    update = nn.serial(nn.dense(WIDTH), nn.layer_norm(), jax.nn.relu, nn.dropout(DROPOUT))
    body = nn.graph.message_passing(message, update)
    return nn.wire(lambda f, x: x._replace(nodes=x.nodes + f.body(x).nodes), body=body)


def network(tasks: int) -> nn.Layer:
    """A net from molecules to one number for each task."""
    return nn.serial(
        nn.graph.nodewise(nn.dense(WIDTH)),
        *(block() for _ in range(DEPTH)),
        nn.graph.readout("sum", "mean", "max"),
        nn.layer_norm(),
        nn.dense(WIDTH),
        jax.nn.relu,
        nn.dropout(DROPOUT),
        nn.dense(tasks),
    )


def squared_error(prediction: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.square(prediction - y)


def loss_of(net: nn.Layer, distance: Callable) -> Callable:
    """The mean of distance(prediction, y) over the values that were measured."""

    def loss(params, state, batch, *, key, train):
        graph, y, known = batch
        prediction, state = net.apply(params, state, graph, key=key, train=train)
        known = known & nn.graph.graph_mask(graph)[:, None]
        distances = jnp.where(known, distance(prediction, y), 0)
        return distances.sum() / jnp.maximum(known.sum(), 1), (state, {})

    return loss


def optimizer_of(steps: int) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 10, steps)
    adam = optax.adamw(rate, weight_decay=WEIGHT_DECAY, mask=nn.decayed)
    return optax.chain(optax.clip_by_global_norm(MAX_NORM), adam)


def plan(options: Options, table: str = "esol"):
    tasks, size = TASKS[table], size_of(options, table)
    distance = squared_error if table == "esol" else optax.sigmoid_binary_cross_entropy
    net, spec = network(tasks), jax.ShapeDtypeStruct
    graph = nn.graph.Graph(
        nodes=spec((size.nodes, ATOM_WIDTH), jnp.float32),
        edges=spec((size.edges, BOND_WIDTH), jnp.float32),
        senders=spec((size.edges,), jnp.int32),
        receivers=spec((size.edges,), jnp.int32),
        globals=(),
        sizes=spec((size.graphs, 2), jnp.int32),
    )
    train = nn.training.init_train(
        net, optimizer_of(size.steps), jax.random.key(options.seed), graph
    )
    step = nn.training.step(loss_of(net, distance), optimizer_of(size.steps))
    shape = (size.graphs, tasks)
    return step, train, (graph, spec(shape, jnp.float32), spec(shape, bool))
