"""What every data set gives: rows to learn from, rows to test, and a way to its package."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnn.checks import install


class Split(NamedTuple):
    """Rows to learn from, and rows that are seen only to be measured."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def stratified(x: np.ndarray, y: np.ndarray, test: int) -> Split:
    """Rows split once and for all, `test` of them to be measured on, each class in its share."""
    split = need("sklearn.model_selection").train_test_split
    x, test_x, y, test_y = split(x, y, test_size=test, random_state=0, stratify=y)
    return Split(x, y, test_x, test_y)


def need(module: str, command: str = install("examples")) -> Any:
    """A module, imported where it is used: a reader of one data set need not have another's.

    Raises:
      ImportError: where it is absent, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this example's data need {error.name}: {command}") from error


def folder(package: str, command: str = install("examples")) -> Path:
    """The folder of an installed package, which is not imported: its files are all that is wanted.

    Raises:
      ImportError: where it is absent, with the command that installs it.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"this example's data need {package}: {command}")
    return Path(found.origin).parent
