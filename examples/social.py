"""Who belongs to whom: a club that split in two, and articles told by what they cite.

The karate club's members know nothing but their friends, and two of them are labelled, the teacher
and the president; a hundred small graph convolutions, each with its own start, say together on
whose side each of the others is.

The articles of Cora have words, and 140 of 2708 have a subject to learn from. A graph convolutional
network and a graph attention network learn it ten times each, with the settings of their papers;
those params are kept whose loss on the 500 validation articles is lowest. The 1000 test articles
chose nothing. A logistic regression on the words alone stands beside them.

(Kipf and Welling, Semi-supervised classification with graph convolutional networks, 2017;
Velickovic et al., Graph attention networks, 2018.)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data.split import need

BAR_GCN, BAR_GAT = 0.810, 0.823  # accuracy on the test articles, mean of SEEDS
BAR_CLUB = 33  # of 34 members
SEEDS, EVERY = 10, 10  # runs of each network; steps between validations
CLUB_NETS, CLUB_STEPS, CLUB_LEADERS = 100, 100, (0, 33)
NODES, EDGES = 2712, 10560  # rows of Cora's graph, of which 2708 and 10556 hold something
WORDS = 49216  # words in all articles
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)  # of the logistic regression, of which one is chosen
SUBJECTS = (
    *("theory", "reinforcement learning", "genetic algorithms", "neural networks"),
    *("probabilistic methods", "case based", "rule learning"),
)


class Model(NamedTuple):
    """A network in two parts, what it learns with, and for how long.

    drop: the fraction of the words that are dropped in training.
    decay: the paths of the params that decay.
    """

    first: Any
    second: Any
    drop: float
    rate: float
    decay: str
    steps: int

    @property
    def net(self) -> nn.Layer:
        """Both parts in a row."""
        return nn.serial(first=self.first, second=self.second)


def dropped(rate: float) -> nn.Layer:
    return nn.graph.nodewise(nn.dropout(rate))


GCN = Model(
    nn.serial(nn.graph.gcn(16), nn.graph.nodewise(jax.nn.relu)),
    nn.serial(dropped(0.5), nn.graph.gcn(7)),
    *(0.5, 0.01, "first/*", 200),
)
GAT = Model(
    nn.serial(nn.graph.gat(8, heads=8, dropout=0.6), nn.graph.nodewise(jax.nn.elu)),
    nn.serial(dropped(0.6), nn.graph.gat(7, dropout=0.6)),
    *(0.6, 0.005, "*", 400),
)


class Batch(NamedTuple):
    """All of Cora.

    words: int32 [words, 2], article and word.
    y, weight: [nodes], subjects, and what each article weighs in the loss.
    """

    graph: nn.graph.Graph
    words: Any
    y: Any
    weight: Any


# Learning


def fewer_words(key: jax.Array, batch: Batch, rate: float) -> nn.graph.Graph:
    """The graph with words dropped at random.

    It is a dropout of the nodes; that would draw a number for each of 1433 words that an article
    has not, and take most of the time of a step.
    """
    keep = jax.random.bernoulli(key, 1 - rate, (len(batch.words),))
    nodes = batch.graph.nodes.at[batch.words[:, 0], batch.words[:, 1]].multiply(
        keep / (1 - rate), unique_indices=True, mode="promise_in_bounds"
    )
    return batch.graph._replace(nodes=nodes)


def loss_of(model: Model) -> Callable:
    net = model.net

    def loss(params, state, batch, *, key, train):
        graph = fewer_words(jax.random.fold_in(key, 0), batch, model.drop) if train else batch.graph
        key = jax.random.fold_in(key, 1) if train else None
        y, state = net.apply(params, state, graph, key=key, train=train)
        entropy = optax.softmax_cross_entropy_with_integer_labels(y.nodes, batch.y)
        right = (y.nodes.argmax(-1) == batch.y).astype(jnp.float32)
        return (batch.weight * entropy).sum(), (state, {"accuracy": (batch.weight * right).sum()})

    return loss


def descent(model: Model) -> optax.GradientTransformation:
    """Adam, with the squares of some params in the loss, as both papers have it."""
    decay = optax.add_decayed_weights(5e-4, mask=lambda params: nn.mask_params(params, model.decay))
    return optax.chain(decay, optax.adam(model.rate))


def plan(options: Options, model: Model = GCN):
    shape = jax.ShapeDtypeStruct
    ends = shape((EDGES,), jnp.int32)
    nodes = shape((NODES, 1433), jnp.float32)
    graph = nn.graph.Graph(nodes, (), ends, ends, (), shape((8, 2), jnp.int32))
    y, weight = shape((NODES,), jnp.int32), shape((NODES,), jnp.float32)
    train = nn.training.init_train(model.net, descent(model), jax.random.key(options.seed), graph)
    step = nn.training.step(loss_of(model), descent(model))
    return step, train, Batch(graph, shape((WORDS, 2), jnp.int32), y, weight)


def batches(articles: data.Citations) -> dict[str, Batch]:
    """All articles, those of one part weighing."""
    graph = nn.graph.batch_graphs([articles.graph], nodes=NODES, edges=EDGES, count=8)
    words = np.argwhere(graph.nodes).astype(np.int32)
    y = np.zeros(NODES, np.int32)
    y[: len(articles.y)] = articles.y

    def weighed(some):
        weight = np.zeros(NODES, np.float32)
        weight[some] = 1 / len(some)
        return Batch(graph, words, y, weight)

    parts = {part: weighed(getattr(articles, part)) for part in ("train", "validation", "test")}
    return jax.device_put(parts)


def learned(options: Options, model: Model, parts: dict[str, Batch]):
    """(accuracy on the test articles of each run, the params of the last and its history)."""
    seeds, steps = (1, 10) if options.quick else (SEEDS, model.steps)
    step, _, _ = plan(options, model)
    loss = jax.jit(partial(loss_of(model), key=None, train=False))

    def measure(train, part):
        value, (_, metrics) = loss(train.params, train.state, parts[part])
        return {"loss": float(value), "accuracy": float(metrics["accuracy"])}

    def once(train, _):
        return step(train, parts["train"])

    found, end = [], None
    for i in range(seeds):
        key = jax.random.fold_in(jax.random.key(options.seed), i)
        end = nn.training.fit(
            once,
            nn.training.init_train(model.net, descent(model), key, parts["train"].graph),
            np.zeros((1,), np.float32),  # there is but one batch
            batch_size=1,
            steps=steps,
            every=EVERY,
            validate=lambda train: measure(train, "validation"),
        )
        found.append(measure(end.best, "test")["accuracy"])
    assert end is not None
    return np.array(found), end.best.params, end.history


def by_words(articles: data.Citations) -> float:
    """Accuracy of a logistic regression on words, its penalty chosen on the validation articles."""
    x, y = csr_matrix(articles.graph.nodes), articles.y

    def score(machine, some):
        return float(machine.score(x[some], y[some]))

    machines = [
        LogisticRegression(C=each, max_iter=1000).fit(x[articles.train], y[articles.train])
        for each in PENALTIES
    ]
    best = max(machines, key=lambda machine: score(machine, articles.validation))
    return score(best, articles.test)


def sides(options: Options, graph: nn.graph.Graph, y: np.ndarray) -> tuple[np.ndarray, list]:
    """How surely each member is of the president's side, by all nets, and their history."""
    net = nn.serial(
        nn.graph.gcn(16),
        nn.graph.nodewise(jnp.tanh),
        nn.graph.gcn(16),
        nn.graph.nodewise(jnp.tanh),
        nn.graph.gcn(2),
    )
    nets = nn.ensemble(net, 20 if options.quick else CLUB_NETS)
    leaders = jnp.array(CLUB_LEADERS)

    def loss(params, state, batch, *, key, train):
        logits = nets(params, batch).nodes[:, leaders]
        labels = jnp.broadcast_to(jnp.asarray(y)[leaders], logits.shape[:2])
        entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return entropy.mean(1).sum(), (state, {})  # of each net by itself

    optimizer = optax.chain(optax.add_decayed_weights(5e-4), optax.adam(0.01))
    club = jax.device_put(graph)
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(
        lambda train, _: step(train, club),
        nn.training.init_train(nets, optimizer, jax.random.key(options.seed), club),
        np.zeros((1,), np.float32),
        batch_size=1,
        steps=50 if options.quick else CLUB_STEPS,
    )
    beliefs = jax.nn.softmax(nets(end.train.params, club).nodes)[..., 1]
    return np.asarray(beliefs.mean(0)), end.history


def run(options: Options) -> Result:
    club, y = data.karate_club()
    beliefs, _ = sides(options, club, y)
    right = int(((beliefs > 0.5) == y).sum())

    articles = data.cora()
    parts = batches(articles)
    models = {"gcn": GCN, "gat": GAT}
    found = {title: learned(options, model, parts) for title, model in models.items()}
    accuracy = {title: each[0] for title, each in found.items()}
    return Result(
        checks=(
            Check("gat_accuracy", accuracy["gat"].mean(), BAR_GAT),
            Check("gcn_accuracy", accuracy["gcn"].mean(), BAR_GCN),
            Check("club_right", right, BAR_CLUB),
        ),
        baseline="logistic regression on the words alone",
        baseline_value=by_words(articles),
        steps=int(found["gat"][2][-1]["step"]),
        parameters=nn.count_params(found["gat"][1]),
        metrics={f"{title}_deviation": float(each.std()) for title, each in accuracy.items()},
        history=found["gat"][2],
        figures={
            "club": draw_club(club, y, beliefs),
            "articles": draw_articles(
                articles,
                {
                    title: (model, found[title][1], accuracy[title].mean())
                    for title, model in models.items()
                },
                parts["test"].graph,
                PCA(2) if options.quick else TSNE(init="pca", random_state=0),
            ),
        },
    )


# Pictures


def draw_club(club: nn.graph.Graph, y: np.ndarray, beliefs: np.ndarray) -> Figure:
    """The club, its members coloured by where the nets see them, ringed where they are wrong."""
    networkx = need("networkx")
    friends = networkx.Graph(zip(club.senders.tolist(), club.receivers.tolist(), strict=True))
    places = networkx.spring_layout(friends, seed=3)
    x = np.array([places[i] for i in range(len(y))])
    wrong = (beliefs > 0.5) != y
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots()
    for one, other in friends.edges:
        axes.plot(*x[[one, other]].T, color="lightgrey", lw=0.8, zorder=1)
    for side, marker, title in ((0, "o", "went with the teacher"), (1, "s", "with the president")):
        some = y == side
        shown = axes.scatter(
            *x[some].T,
            c=beliefs[some],
            cmap="coolwarm",
            vmin=0,
            vmax=1,
            s=260,
            marker=marker,
            edgecolors="black",
            linewidths=0.6,
            zorder=2,
            label=title,
        )
    axes.scatter(
        *x[wrong].T, s=620, facecolors="none", edgecolors="tab:green", lw=2, label="seen wrong"
    )
    for i, place in enumerate(x):
        weight = "bold" if i in CLUB_LEADERS else "normal"
        axes.annotate(str(i + 1), place, ha="center", va="center", fontsize=8, weight=weight)
    axes.set(
        title=f"A karate club that split: {int((~wrong).sum())} of {len(y)} members placed right, "
        "from two labels (1 and 34)",
        xlabel="place of a spring layout (no unit)",
        ylabel="place of a spring layout (no unit)",
    )
    axes.legend(loc="lower left", labelspacing=1.2, borderpad=1)
    figure.colorbar(shown, ax=axes, label="belief in the president's side (probability)")
    return figure


def draw_articles(
    articles: data.Citations, found: dict, graph: nn.graph.Graph, plane: Any
) -> Figure:
    """The test articles by what is between the two layers of each network, in a plane."""
    method = type(plane).__name__
    figure = Figure(figsize=(15, 7), layout="constrained")
    figure.suptitle("Articles to test, by what the networks make of their words and citations")
    for axes, (title, (model, params, accuracy)) in zip(
        figure.subplots(1, 2), found.items(), strict=True
    ):
        hidden = np.asarray(model.first(params["first"], graph).nodes)[articles.test]
        flat = plane.fit_transform(hidden)
        for subject, name in enumerate(SUBJECTS):
            mine = articles.y[articles.test] == subject
            axes.scatter(*flat[mine].T, s=9, label=name)
        axes.set(
            title=f"{title.upper()}: {100 * accuracy:.1f} % told right",
            xlabel=f"{method} of the hidden layer, first (no unit)",
            ylabel="second (no unit)",
        )
    axes.legend(markerscale=2, title="subject", fontsize=9)
    return figure
