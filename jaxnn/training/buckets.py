"""Rows of like length in one batch, so that little of it is padding."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxnn.core import Tree, check_int, describe
from jaxnn.training.order import shuffled


def check_buckets(buckets: Sequence[int]) -> tuple[int, ...]:
    """The lengths of buckets; raises ValueError unless they are whole numbers that ascend."""
    lengths = tuple(check_int(each, "buckets") for each in buckets)
    if not lengths or list(lengths) != sorted(set(lengths)):
        raise ValueError(f"buckets are ascending lengths, such as (32, 64, 128), got {lengths}.")
    return lengths


def plan(
    lengths: np.ndarray,
    buckets: tuple[int, ...],
    batch_size: int,
    drop_last: bool,
    seed: int | None,
    epoch: int,
) -> list[tuple[np.ndarray, int]]:
    """The batches of an epoch, as (rows, length to pad to), in a drawn order if there is a seed.

    What does not fill a batch moves up to the next bucket. The last batch of the epoch has fewer
    rows, unless it is dropped, and the others are full.

    Raises:
      TypeError: if lengths are not integers.
      ValueError: if a row is longer than the last bucket.
    """
    if lengths.dtype.kind not in "iu":
        raise TypeError(f"lengths are int [rows], got {describe(lengths)}.")
    if lengths.max(initial=0) > buckets[-1]:
        row = int(lengths.argmax())
        raise ValueError(
            f"row {row} has length {lengths[row]}, beyond the last bucket of {buckets[-1]}: add a "
            "bucket, or cut rows in read."
        )
    order = np.arange(len(lengths))
    if seed is not None:
        order = shuffled(order, len(lengths), (seed, epoch))
    which = np.searchsorted(np.asarray(buckets), lengths[order])
    batches, left = [], order[:0]
    for number, length in enumerate(buckets):
        here = np.concatenate([left, order[which == number]])
        full = len(here) // batch_size * batch_size
        batches += [(rows, length) for rows in here[:full].reshape(-1, batch_size)]
        left = here[full:]
    if seed is not None and batches:
        places = shuffled(np.arange(len(batches)), len(batches), (seed, epoch, 1))
        batches = [batches[place] for place in places]
    if len(left) and not drop_last:
        length = buckets[int(which[np.isin(order, left)].max())]
        batches.append((left, length))
    return batches


def pad_rows(rows: list, index: np.ndarray, lengths: np.ndarray, length: int, pad: Any) -> Tree:
    """One batch of rows, each padded to `length`, with its mask.

    Raises:
      ValueError: if a part of a row has not the row's length, and `pad` does not say that it has
        no time axis.
    """
    whole = rows[0]
    values = _values(pad, whole)
    padded = []
    for row, number, steps in zip(rows, index, lengths, strict=True):
        leaves = jax.tree_util.tree_leaves_with_path(row)
        padded.append(
            [
                _padded(
                    leaf, value, f"row {number}{jax.tree_util.keystr(path)}", int(steps), length
                )
                for (path, leaf), value in zip(leaves, values, strict=True)
            ]
        )
    stacked = [np.stack(leaves) for leaves in zip(*padded, strict=True)]
    batch = jax.tree.unflatten(jax.tree.structure(whole), stacked)
    mask = np.arange(length) < lengths[:, None]
    if isinstance(batch, dict):
        if "mask" in batch:
            raise ValueError("a row has an entry 'mask' already: name it otherwise in read.")
        return batch | {"mask": mask}
    if isinstance(batch, tuple):
        return ((batch[0], mask), *batch[1:])
    return batch, mask


def _values(pad: Any, row: Tree) -> list:
    """The value beyond the end of each leaf, of one for all or of one for each part."""
    try:
        spread = jax.tree.map(
            lambda value, part: [value] * len(jax.tree.leaves(part)),
            pad,
            row,
            is_leaf=lambda value: value is None,
        )
    except ValueError as error:
        raise ValueError(
            f"pad must be a number or one for each part of a row, got {pad!r} for a row of "
            f"{jax.tree.structure(row)}."
        ) from error
    return jax.tree.leaves(spread, is_leaf=lambda value: value is None)


def _padded(leaf: Any, value: Any, place: str, steps: int, length: int) -> np.ndarray:
    leaf = np.asarray(leaf)
    if value is None or leaf.ndim == 0:
        return leaf
    if leaf.shape[0] != steps:
        raise ValueError(
            f"{place} has {leaf.shape[0]} steps and its row {steps}: make them equal in read, or "
            "say with pad=(0, None), None for the part without a time axis, that it is not padded."
        )
    if np.asarray(value).astype(leaf.dtype) != value:
        raise ValueError(f"{place} is {leaf.dtype}, which cannot hold the padding {value!r}.")
    ends = [(0, length - steps)] + [(0, 0)] * (leaf.ndim - 1)
    return np.pad(leaf, ends, constant_values=value)
