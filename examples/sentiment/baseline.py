"""Linear models on tf-idf features."""

from typing import NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from examples import data

PENALTIES = (0.5, 1.0, 2.0, 4.0)  # inverse, of the logistic regression


class Baseline(NamedTuple):
    """Predictions of the signs, and of the ratings."""

    signs: np.ndarray
    ratings: np.ndarray


def linear_models(snippets: data.Snippets) -> Baseline:
    """The predictions of linear models on tf-idf features."""

    def vectorizer():
        return TfidfVectorizer(min_df=2, sublinear_tf=True)

    def regression(penalty):
        return make_pipeline(vectorizer(), LogisticRegression(C=penalty, max_iter=1000))

    scores = [
        cross_val_score(regression(each), snippets.x, snippets.y, cv=5).mean() for each in PENALTIES
    ]
    chosen = regression(PENALTIES[int(np.argmax(scores))]).fit(snippets.x, snippets.y)
    ridge = make_pipeline(vectorizer(), Ridge(1.0)).fit(snippets.x, snippets.ratings)
    return Baseline(chosen.predict(snippets.test_x), ridge.predict(snippets.test_x))
