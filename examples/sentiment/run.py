"""The run of the example: train both networks, predict the test sentences, and measure."""

import numpy as np

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.sentiment import figures
from examples.sentiment.baseline import linear_models
from examples.sentiment.network import (
    RATE,
    TRANSFORMER_RATE,
    learn,
    net,
    predict,
    training_steps,
    transformer,
    word_effects,
)
from examples.sentiment.words import encode, vocabulary

THRESHOLD = 0.77  # accuracy on the 2121 test sentences
QUICK_ROWS = 512  # sentences of a quick run


def load(options: Options) -> data.Snippets:
    snippets = data.sentiment()
    rows = slice(QUICK_ROWS if options.quick else None)
    return data.Snippets(*(part[rows] for part in snippets))


def run(options: Options) -> Result:
    snippets = load(options)
    known = vocabulary(snippets.x)
    x, test_x = encode(snippets.x, known), encode(snippets.test_x, known)
    truth = snippets.test_y == 1
    end = learn(options, net, RATE, x, snippets.ratings)
    other = learn(options, transformer, TRANSFORMER_RATE, x, snippets.ratings)
    members = predict(net, end.train.params, test_x)
    attention = predict(transformer, other.train.params, test_x)[0]
    ratings, baseline = members.mean(axis=0), linear_models(snippets)
    right = {
        "recurrent network": (ratings > 0) == truth,
        "transformer": (attention > 0) == truth,
        "logistic regression": (baseline.signs == 1) == truth,
    }
    effects = word_effects(net, end.train.params, test_x, figures.SHOWN)
    return Result(
        checks=(Check("accuracy", float(right["recurrent network"].mean()), THRESHOLD),),
        baseline="logistic regression on tf-idf features",
        baseline_value=float(right["logistic regression"].mean()),
        steps=training_steps(options),
        parameters=nn.count_params(end.train.params),
        metrics=measurements(snippets, members, right)
        | {
            "accuracy_of_ridge_on_ratings": float(((baseline.ratings > 0) == truth).mean()),
            "words": float(len(known)),
        },
        history=end.history,
        figures={"ratings": figures.draw(snippets, ratings, right, effects)},
    )


def measurements(
    snippets: data.Snippets, members: np.ndarray, right: dict[str, np.ndarray]
) -> dict[str, float]:
    truth, ratings = snippets.test_y == 1, members.mean(axis=0)
    return {
        "accuracy_of_one_member": float(((members > 0) == truth[None]).mean()),
        "accuracy_of_the_transformer": float(right["transformer"].mean()),
        "correlation_with_ratings": float(np.corrcoef(ratings, snippets.test_ratings)[0, 1]),
    }
