"""Solubility: the network on ESOL, and the random forest that it is compared with."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestRegressor

import jaxnn as nn
from examples import Options, data
from examples.data.molecules import descriptors, random_split, scaffold_split
from examples.molecules.learner import Learner, training_rows

SEEDS = 3  # runs on each split, of the network and of the forest
TREES = 200  # of a random forest
QUICK_TREES = 20
QUICK_ROWS = 60  # of each part of the split, for the forest of a quick run


class Run(NamedTuple):
    """A run of the network.

    error: RMSE on the test rows.
    predictions: floats [test rows], log10 of mol/L.
    atom_shares: (index) -> [atoms], how much of its prediction a molecule loses without each atom.
    end: what `fit` returned.
    """

    error: float
    predictions: np.ndarray
    atom_shares: Callable
    end: nn.training.FitResult


def runs_of(options: Options) -> int:
    return 1 if options.quick else SEEDS


def rmse(prediction: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(prediction - y))))


def splits(molecules: data.Molecules) -> dict[str, list[np.ndarray]]:
    """(training, validation, test) rows, at random and by scaffold."""
    return {
        "random": random_split(len(molecules.smiles)),
        "scaffold": scaffold_split(molecules.smiles),
    }


def learn(learner: Learner, y: np.ndarray, split: list[np.ndarray], seed: int) -> Run:
    """One run on one split."""
    train, validation, test = split
    mean, deviation = y[train].mean(), y[train].std()

    def predict(params, index):
        return learner.predict(params, index) * deviation + mean

    end = nn.training.fit(
        learner.step,
        learner.init(seed),
        training_rows(train, (y - mean) / deviation),
        steps=learner.size.steps,
        batch_size=learner.size.graphs,
        every=learner.size.every,
        validate=lambda now: {"loss": rmse(predict(now.params, validation), y[validation])},
    )
    params = end.best.params

    def atom_shares(index):
        whole = learner.predict(params, np.array([index]))
        return ((whole - learner.predict_without_atoms(params, index)) * deviation)[:, 0]

    predictions = predict(params, test)
    return Run(rmse(predictions, y[test]), predictions[:, 0], atom_shares, end)


def learn_all(
    options: Options, learner: Learner, molecules: data.Molecules, splits: dict
) -> dict[str, list[Run]]:
    """The runs on each split."""
    seeds = [SEEDS * options.seed + i for i in range(runs_of(options))]
    return {
        name: [learn(learner, molecules.y, split, seed) for seed in seeds]
        for name, split in splits.items()
    }


def forest_errors(options: Options, molecules: data.Molecules, splits: dict) -> dict[str, float]:
    """The RMSE of random forests on the descriptors of RDKit, on each split."""
    if options.quick:  # since the descriptors of a molecule take 10 milliseconds
        splits = {"random": [part[:QUICK_ROWS] for part in splits["random"]]}
    needed = np.unique(np.concatenate([part for split in splits.values() for part in split]))
    values = descriptors([molecules.smiles[i] for i in needed])
    x = np.zeros((len(molecules.smiles), values.shape[1]), np.float32)
    x[needed] = values
    y = molecules.y[:, 0]
    return {name: _forest_error(options, x, y, split) for name, split in splits.items()}


def _forest_error(options: Options, x: np.ndarray, y: np.ndarray, split: list) -> float:
    """The mean RMSE over as many forests as there are runs of the network."""
    train, validation, test = split
    fitted = np.concatenate([train, validation])
    errors = []
    for seed in range(runs_of(options)):
        trees = QUICK_TREES if options.quick else TREES
        forest = RandomForestRegressor(trees, random_state=seed).fit(x[fitted], y[fitted])
        errors.append(rmse(forest.predict(x[test]), y[test]))
    return float(np.mean(errors))
