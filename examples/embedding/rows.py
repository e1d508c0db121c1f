"""Rows of tokens in batches of similar length."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

POOL = 16  # batches that are sorted by length at once
ROWS = 64  # rows to which a function is applied at once
STEPS = 16  # lengths are rounded up to multiples of it, so that few programs are compiled


class Snippets(NamedTuple):
    """Texts, whether each is positive (1) or negative (0), and x: their tokens and lengths."""

    texts: list[str]
    y: np.ndarray
    x: tuple[np.ndarray, np.ndarray]


def rounded(lengths: np.ndarray) -> int:
    """The number of steps of a batch: the longest length, rounded up."""
    return -(-int(lengths.max()) // STEPS) * STEPS


def cut(x: Any, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some of the rows, no longer than needed."""
    tokens, lengths = x[0][some], x[1][some]
    shorter = np.zeros((len(some), rounded(lengths)), np.int32)
    width = min(shorter.shape[1], tokens.shape[1])
    shorter[:, :width] = tokens[:, :width]
    return shorter, lengths


def batches(snippets: Snippets, batch: int, seed: int) -> Iterator:
    """Endless batches of rows of similar length, in another order in every epoch."""
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(snippets.y))[: len(snippets.y) // batch * batch]
        for start in range(0, len(order), POOL * batch):
            pool = order[start : start + POOL * batch]
            pool = pool[np.argsort(snippets.x[1][pool], kind="stable")]
            for some in random.permutation(pool.reshape(-1, batch)):
                yield cut(snippets.x, some), snippets.y[some]


def applied(function: Callable, params: Any, x: Any) -> np.ndarray:
    """function(params, x) for any number of rows, computed in parts of similar length."""
    order = np.argsort(x[1], kind="stable")
    parts = [np.resize(order[i : i + ROWS], ROWS) for i in range(0, len(order), ROWS)]
    values = [np.asarray(function(params, cut(x, some))) for some in parts]
    y = np.zeros((len(order), *values[0].shape[1:]), np.float32)
    for some, value in zip(parts, values, strict=True):
        y[some] = value
    return y
