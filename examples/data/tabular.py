"""Tables of measurements."""

from typing import NamedTuple

import numpy as np

from examples.data.split import Split, need, stratified


def diabetes() -> list[Split]:
    """442 patients in five folds: the progress of diabetes in a year, from ten measurements.

    x [rows, 10] and y [rows], float32 as measured: years, kg/m^2, mmHg and blood serum.

    (Efron et al., Least angle regression, 2004; from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_diabetes(return_X_y=True, scaled=False)
    x, y = x.astype(np.float32), y.astype(np.float32)
    folds = need("sklearn.model_selection").KFold(5, shuffle=True, random_state=0)
    return [Split(x[some], y[some], x[rest], y[rest]) for some, rest in folds.split(x)]


def breast_cancer() -> Split:
    """Measures of the cell nuclei of 569 tumors, 398 for training and 171 for test.

    x [rows, 30] float32 as measured: mean, deviation and worst of ten measures; y [rows] int32, 0
    malignant and 1 benign.

    (Street, Wolberg and Mangasarian, Nuclear feature extraction for breast tumor diagnosis, 1993;
    from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_breast_cancer(return_X_y=True)
    return stratified(x.astype(np.float32), y.astype(np.int32), 171)


def wine() -> Split:
    """178 wines of three growers in one region, 124 for training and 54 for test.

    x [rows, 13] float32 as measured, alcohol in percent first; y [rows] int32, the grower.

    (Forina et al., PARVUS, an extendible package for data exploration, 1988; from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_wine(return_X_y=True)
    return stratified(x.astype(np.float32), y.astype(np.int32), 54)


def petals() -> Split:
    """The petals and species of 150 iris flowers, half for training and half for test.

    x [rows, 2] float32, length and width in cm; y [rows] int32, 0 setosa, 1 versicolor and
    2 virginica.

    (Fisher, The use of multiple measurements in taxonomic problems, 1936; from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_iris(return_X_y=True)
    return stratified(x[:, 2:].astype(np.float32), y.astype(np.int32), 75)


class Shuttle(NamedTuple):
    """Normal rows for training, and rows of both kinds, for which y is 1 for an anomaly."""

    x: np.ndarray
    validation_x: np.ndarray
    validation_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def shuttle() -> Shuttle:
    """49097 readings of nine sensors of a space shuttle, 3511 of them anomalies.

    Half of the normal rows are for training, a tenth of all rows for validation, and the rest for
    test. x [rows, 9] float32 as measured; y [rows] int32.

    (Statlog's Shuttle, of the UCI repository, as in Liu, Ting and Zhou, Isolation forest, 2008;
    from river.)
    """
    rows = list(need("river.datasets").Shuttle())
    x = np.array([list(reading.values()) for reading, _ in rows], np.float32)
    y = np.array([anomaly for _, anomaly in rows], np.int32)
    order = np.random.default_rng(0).permutation(len(y))
    normal = order[y[order] == 0]
    train = normal[: len(normal) // 2]
    rest = np.setdiff1d(np.arange(len(y)), train)
    split = stratified(x[rest], y[rest], len(rest) - round(len(y) / 10))
    return Shuttle(x[train], split.x, split.y, split.test_x, split.test_y)


def yeast() -> Split:
    """2417 genes of yeast with 14 labels of their function: the first 1500 for training.

    x [rows, 103] float32, expression and phylogeny as measured; y [rows, 14] int32, 1 for each
    label that a gene has.

    (Elisseeff and Weston, A kernel method for multi-labelled classification, 2001; from river.)
    """
    rows = list(need("river.datasets").Yeast())
    x = np.array([list(gene.values()) for gene, _ in rows], np.float32)
    y = np.array([list(labels.values()) for _, labels in rows], np.int32)
    return Split(x[:1500], y[:1500], x[1500:], y[1500:])
