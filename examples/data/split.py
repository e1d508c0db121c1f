"""Parts of every data set: training and test rows, and access to the package it is in."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnn.checks import install


class Split(NamedTuple):
    """Training rows and test rows."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def stratified(x: np.ndarray, y: np.ndarray, test: int) -> Split:
    """A fixed split with `test` test rows, in which each class keeps its share."""
    split = need("sklearn.model_selection").train_test_split
    x, test_x, y, test_y = split(x, y, test_size=test, random_state=0, stratify=y)
    return Split(x, y, test_x, test_y)


def need(module: str, command: str = install("examples")) -> Any:
    """Import a module where it is used, so that a data set needs only its own packages.

    Raises:
      ImportError: if it is absent, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this example's data need {error.name}: {command}") from error


def folder(package: str, command: str = install("examples")) -> Path:
    """The folder of an installed package, which is not imported: only its files are needed.

    Raises:
      ImportError: if it is absent, with the command that installs it.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"this example's data need {package}: {command}")
    return Path(found.origin).parent
