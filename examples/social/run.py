"""The run of the example: the club, then the articles."""

import jax
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.social import articles, club, figures
from examples.social.articles import MODELS

GCN_THRESHOLD = 0.810  # accuracy on the test articles, mean over ten runs
GAT_THRESHOLD = 0.823
CLUB_THRESHOLD = 33  # of 34 members


def run(options: Options) -> Result:
    graph, sides = data.karate_club()
    probabilities = club.predict_sides(options, graph, sides)
    right = int(((probabilities > 0.5) == sides).sum())

    cora = data.cora()
    parts = articles.batches(cora)
    trained = {name: articles.learn(options, model, parts) for name, model in MODELS.items()}
    gcn, gat = trained["gcn"], trained["gat"]
    return Result(
        checks=(
            Check("gat_accuracy", gat.accuracies.mean(), GAT_THRESHOLD),
            Check("gcn_accuracy", gcn.accuracies.mean(), GCN_THRESHOLD),
            Check("club_right", right, CLUB_THRESHOLD),
        ),
        baseline="logistic regression on the words alone",
        baseline_value=articles.accuracy_by_words(cora),
        steps=int(gat.history[-1]["step"]),
        parameters=nn.count_params(gat.params),
        metrics={f"{name}_deviation": float(each.accuracies.std())
                 for name, each in trained.items()},
        history=gat.history,
        figures={
            "club": figures.draw_club(graph, sides, probabilities),
            "articles": draw_articles(options, cora, trained, parts["test"].graph),
        },
    )  # fmt: skip


def draw_articles(
    options: Options,
    cora: data.Citations,
    trained: dict[str, articles.Trained],
    graph: nn.graph.Graph,
):
    """Draw the hidden features of the test articles; t-SNE is too slow for a quick run."""
    projection = PCA(2) if options.quick else TSNE(init="pca", random_state=0)
    panels = []
    for name, model in MODELS.items():
        hidden = jax.device_get(model.first(trained[name].params["first"], graph).nodes)[cora.test]
        title = f"{name.upper()}: accuracy {trained[name].accuracies.mean():.3f}"
        panels.append(figures.Panel(title, projection.fit_transform(hidden)))
    return figures.draw_articles(panels, cora.y[cora.test], type(projection).__name__)
