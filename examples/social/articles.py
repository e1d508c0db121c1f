"""The articles of Cora: their subjects, from their words and from what they cite."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

import jaxnn as nn
from examples import Options, data

SEEDS = 10  # runs of each network
QUICK_SEEDS = 1
QUICK_STEPS = 10
EVERY = 10  # steps between validations
NODES = 2712  # rows of the padded graph, of which 2708 are articles
EDGES = 10560  # rows of its edges, of which 10556 are citations, each in both directions
GRAPHS = 8  # rows of its sizes, of which one is the graph
VOCABULARY = 1433
WORDS = 49216  # distinct words of each article, summed over all articles
DECAY = 5e-4  # of the squares of the params that decay, as in both papers
IGNORED = -1  # the label of an article that is not in the part
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)  # inverse, of the logistic regression
SUBJECTS = (
    "theory",
    "reinforcement learning",
    "genetic algorithms",
    "neural networks",
    "probabilistic methods",
    "case based",
    "rule learning",
)


class Model(NamedTuple):
    """A network in two parts, and how it is trained.

    first, second: the layers up to the hidden features, and those after.
    word_dropout: the fraction of the words that are dropped in training.
    rate: the learning rate.
    decay: the paths of the params that decay.
    steps: of training.
    """

    first: Any
    second: Any
    word_dropout: float
    rate: float
    decay: str
    steps: int

    @property
    def net(self) -> nn.Layer:
        """Both parts in sequence, from a graph to the logits [nodes, subjects]."""
        return nn.serial(first=self.first, second=self.second, output=nn.graph.node_output())


GCN = Model(
    first=nn.serial(nn.graph.gcn(16), jax.nn.relu),
    second=nn.serial(nn.graph.nodewise(nn.dropout(0.5)), nn.graph.gcn(len(SUBJECTS))),
    word_dropout=0.5,
    rate=0.01,
    decay="first/*",
    steps=200,
)
GAT = Model(
    first=nn.serial(nn.graph.gat(8, heads=8, dropout=0.6), jax.nn.elu),
    second=nn.serial(nn.graph.nodewise(nn.dropout(0.6)), nn.graph.gat(len(SUBJECTS), dropout=0.6)),
    word_dropout=0.6,
    rate=0.005,
    decay="*",
    steps=400,
)
MODELS = {"gcn": GCN, "gat": GAT}


class Batch(NamedTuple):
    """All of Cora, with the labels of one part.

    graph: padded to NODES, EDGES and GRAPHS.
    words: int32 [WORDS, 2], pairs of an article and a word.
    labels: int32 [NODES], subjects, and IGNORED for all articles of other parts.
    """

    graph: nn.graph.Graph
    words: Any
    labels: Any


class Trained(NamedTuple):
    """Runs of a model: the accuracy on the test articles of each, and the last of them."""

    accuracies: np.ndarray
    params: Any
    history: list[dict[str, float]]


def batches(articles: data.Citations) -> dict[str, Batch]:
    """The batches "train", "validation" and "test", which differ in their labels only."""
    graph = nn.graph.batch_graphs([articles.graph], nodes=NODES, edges=EDGES, count=GRAPHS)
    words = np.argwhere(graph.nodes).astype(np.int32)

    def batch(part):
        labels = np.full(NODES, IGNORED, np.int32)
        labels[part] = articles.y[part]
        return Batch(graph, words, labels)

    parts = {name: batch(getattr(articles, name)) for name in ("train", "validation", "test")}
    return jax.device_put(parts)


def drop_words(
    key: jax.Array, graph: nn.graph.Graph, words: jax.Array, rate: float
) -> nn.graph.Graph:
    """The graph with words dropped at random.

    This is a dropout of the nodes, which would draw a number for each of the 1433 words that an
    article does not have as well, and take most of the time of a step.
    """
    keep = jax.random.bernoulli(key, 1 - rate, (len(words),))
    nodes = graph.nodes.at[words[:, 0], words[:, 1]].multiply(
        keep / (1 - rate), unique_indices=True, mode="promise_in_bounds"
    )
    return graph._replace(nodes=nodes)


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return nn.accuracy(logits, labels, ignore=IGNORED)


def loss_of(model: Model) -> Callable:
    """The cross entropy of the labeled articles, in training with some words dropped."""
    entropy = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels, IGNORED)
    supervised = nn.training.supervised(model.net, entropy, {"accuracy": accuracy})

    def loss(params, state, batch, *, key, train):
        graph, words, labels = batch
        if train:
            graph = drop_words(jax.random.fold_in(key, 0), graph, words, model.word_dropout)
            key = jax.random.fold_in(key, 1)
        return supervised(params, state, (graph, labels), key=key, train=train)

    return loss


def optimizer_of(model: Model) -> optax.GradientTransformation:
    """Adam, with the squares of some params in the loss, as in both papers."""
    decay = optax.add_decayed_weights(
        DECAY, mask=lambda params: nn.mask_params(params, model.decay)
    )
    return optax.chain(decay, optax.adam(model.rate))


def plan(options: Options, model: Model = GCN):
    spec = jax.ShapeDtypeStruct
    graph = nn.graph.Graph(
        nodes=spec((NODES, VOCABULARY), jnp.float32),
        edges=(),
        senders=spec((EDGES,), jnp.int32),
        receivers=spec((EDGES,), jnp.int32),
        globals=(),
        sizes=spec((GRAPHS, 2), jnp.int32),
    )
    batch = Batch(graph, spec((WORDS, 2), jnp.int32), spec((NODES,), jnp.int32))
    key = jax.random.key(options.seed)
    train = nn.training.init_train(model.net, optimizer_of(model), key, graph)
    return nn.training.step(loss_of(model), optimizer_of(model)), train, batch


def learn(options: Options, model: Model, parts: dict[str, Batch]) -> Trained:
    """Train a model once for each seed."""
    seeds = QUICK_SEEDS if options.quick else SEEDS
    step, _, _ = plan(options, model)
    loss = loss_of(model)
    accuracies, end = [], None
    for i in range(seeds):
        key = jax.random.fold_in(jax.random.key(options.seed), i)
        end = nn.training.fit(
            step,
            nn.training.init_train(model.net, optimizer_of(model), key, parts["train"].graph),
            [parts["train"]],
            steps=QUICK_STEPS if options.quick else model.steps,
            every=EVERY,
            validate=lambda train: nn.training.evaluate(loss, train, [parts["validation"]]),
        )
        measured = nn.training.evaluate(loss, end.best, [parts["test"]])
        accuracies.append(measured["accuracy"])
    assert end is not None
    return Trained(np.array(accuracies), end.best.params, end.history)


def accuracy_by_words(articles: data.Citations) -> float:
    """The accuracy of a logistic regression on words, its penalty chosen on the validation set."""
    x, y = csr_matrix(articles.graph.nodes), articles.y

    def score(regression, part):
        return float(regression.score(x[part], y[part]))

    regressions = [
        LogisticRegression(C=each, max_iter=1000).fit(x[articles.train], y[articles.train])
        for each in PENALTIES
    ]
    best = max(regressions, key=lambda regression: score(regression, articles.validation))
    return score(best, articles.test)
