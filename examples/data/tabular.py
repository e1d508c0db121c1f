"""Rows of measurements."""

import numpy as np

from examples.data.split import Split, need, stratified


def diabetes() -> list[Split]:
    """442 patients in five folds: how far the disease went in a year, from ten measurements.

    x [rows, 10] and y [rows], float32 as measured: years, kg/m^2, mmHg and blood serum.

    (Efron et al., Least angle regression, 2004; from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_diabetes(return_X_y=True, scaled=False)
    x, y = x.astype(np.float32), y.astype(np.float32)
    folds = need("sklearn.model_selection").KFold(5, shuffle=True, random_state=0)
    return [Split(x[some], y[some], x[rest], y[rest]) for some, rest in folds.split(x)]


def petals() -> Split:
    """150 iris flowers, half to learn from and half to test: their petals and their species.

    x [rows, 2] float32, length and width in cm; y [rows] int32, 0 setosa, 1 versicolor and
    2 virginica.

    (Fisher, The use of multiple measurements in taxonomic problems, 1936; from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_iris(return_X_y=True)
    return stratified(x[:, 2:].astype(np.float32), y.astype(np.int32), 75)
