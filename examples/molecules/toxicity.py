"""Toxicity: the twelve assays of Tox21."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

import jaxnn as nn
from examples import Options, data
from examples.data.molecules import random_split
from examples.molecules.learner import learner, training_rows

QUICK_ROWS = 256  # test rows of a quick run


class Areas(NamedTuple):
    """The mean area under the ROC curve, on the test rows and on the validation rows."""

    test: float
    validation: float


def auroc(prediction: np.ndarray, y: np.ndarray) -> float:
    """The mean over assays of the area under the ROC curve; NaN if no assay has both outcomes."""
    known = ~np.isnan(y)
    areas = [
        roc_auc_score(y[rows, i], prediction[rows, i])
        for i, rows in enumerate(known.T)
        if len(np.unique(y[rows, i])) == 2
    ]
    return float(np.mean(areas)) if areas else float("nan")


def learn(options: Options) -> Areas:
    """One run, whose params are those with the highest area on the validation rows."""
    molecules = data.tox21()
    tox21 = learner(options, "tox21", molecules)
    train, validation, test = random_split(len(molecules.smiles))
    test = test[:QUICK_ROWS] if options.quick else test
    y = molecules.y

    def area(params, index):
        return auroc(tox21.predict(params, index), y[index])

    end = nn.training.fit(
        tox21.step,
        tox21.init(options.seed),
        training_rows(train, y),
        steps=tox21.size.steps,
        batch_size=tox21.size.graphs,
        every=tox21.size.every,
        validate=lambda now: {"auroc": area(now.params, validation)},
        monitor="auroc",
        highest=True,
    )
    best = max(row["validation_auroc"] for row in end.history)
    return Areas(area(end.best.params, test), best)
