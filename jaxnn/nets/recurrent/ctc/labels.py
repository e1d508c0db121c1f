"""Labels of sequences: pack them, compare them, and check the input of the other functions."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.sequences.masks import length_mask


def pack_labels(
    labels: Sequence, lengths: Sequence[int], *, classes: int, most: int | None = None
) -> np.ndarray:
    """Check the labels of each row and pad them to one length; on the host, before training.

    n labels, of which r equal the one before, need at least n + r steps, since a blank must
    separate two equal labels.

    Args:
      labels: for each row, a sequence of integers in [1, classes); a row may have none.
      lengths: the number of steps of the net's output for each row.
      classes: the number of classes, with the blank.
      most: the number of labels to which the rows are padded; by default that of the longest row.

    Returns:
      int32 [rows, most], with zeros after the last label of a row.

    Raises:
      ValueError: if a label is out of range, if a row has more than `most` labels, or if its labels
        do not fit into its steps; the error names the row.

    >>> import jaxnn as nn
    >>> nn.ctc.pack_labels([[3, 3, 5], [2]], [4, 2], classes=6).tolist()
    [[3, 3, 5], [2, 0, 0]]
    """
    classes = core.check_int(classes, "ctc.pack_labels: classes", 2)
    rows = [np.asarray(row).reshape(-1) for row in labels]
    width = max([len(row) for row in rows] + [1])
    width = width if most is None else core.check_int(most, "ctc.pack_labels: most")
    packed = np.zeros((len(rows), width), np.int32)
    for i, (row, steps) in enumerate(zip(rows, lengths, strict=True)):
        integers = row.dtype.kind in "iu" or not row.size
        if not (integers and ((row > 0) & (row < classes)).all()):
            raise ValueError(
                f"row {i} has the labels {row.tolist()}: give integers in [1, {classes}), since 0 "
                "is the blank."
            )
        if len(row) > width:
            raise ValueError(f"row {i} has {len(row)} labels, more than most={width}: raise it.")
        repeats = int((row[1:] == row[:-1]).sum())
        if len(row) + repeats > steps:
            raise ValueError(
                f"row {i} has {len(row)} labels, {repeats} of them equal to the one before, and "
                f"{int(steps)} steps, where {len(row) + repeats} are needed: leave the row out, or "
                "reduce the time axis less."
            )
        packed[i, : len(row)] = row
    return packed


def edit_distance(guess: jax.Array, truth: jax.Array) -> jax.Array:
    """The least number of insertions, deletions and substitutions that turn one row into the other.

    The label error rate of many rows is the sum of their distances divided by the number of true
    labels, (truth != 0).sum().

    Args:
      guess: integer labels [batch, n], with zeros or negative numbers after the last label.
      truth: integer labels [batch, m], with zeros or negative numbers after the last label.

    Returns:
      The distances, int32 [batch].

    Raises:
      TypeError: if the labels are not integers.
      ValueError: if the labels are not [batch, n] and [batch, m], or if a label follows padding.

    (Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals, 1966.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.ctc.edit_distance(jnp.array([[1, 2, 3, 0]]), jnp.array([[2, 3, 4]])).tolist()
    [2]
    """
    check_labels(guess, guess.shape[0], "ctc.edit_distance")
    check_labels(truth, guess.shape[0], "ctc.edit_distance")
    guess, truth = (jnp.maximum(labels, 0) for labels in (guess, truth))
    positions = jnp.arange(truth.shape[1] + 1, dtype=jnp.int32)

    def row_distance(guess, truth):
        # The scan carries the distances from the guess so far to each prefix of the truth.
        def step(before, label):
            first = before[:1] + 1
            others = jnp.minimum(before[1:] + 1, before[:-1] + (label != truth).astype(jnp.int32))
            # An insertion costs 1 per position, so a running minimum covers any number of them.
            after = jax.lax.cummin(jnp.concatenate([first, others]) - positions) + positions
            return jnp.where(label != 0, after, before), None

        distances, _ = jax.lax.scan(step, positions, guess)
        return distances[jnp.count_nonzero(truth)]

    return jax.vmap(row_distance)(guess, truth)


def check_logits(logits: Any, lengths: Any, title: str) -> tuple[jax.Array, jax.Array]:
    """The logits, and the mask [batch, time] of the valid steps."""
    if core.check_features(logits, title).ndim != 3:
        raise ValueError(
            f"{title} takes logits [batch, time, classes], got {core.describe(logits)}."
        )
    batch, time, _ = logits.shape
    if lengths is None:
        return logits, jnp.ones((batch, time), bool)
    if jnp.shape(lengths) != (batch,):
        raise ValueError(
            f"{title} takes one length for each of {batch} rows, got {core.describe(lengths)}."
        )
    return logits, length_mask(lengths, time)


def check_labels(labels: Any, rows: int, title: str, classes: int | None = None) -> None:
    """Raises unless labels are integers [batch, most] in the range of classes, then padding."""
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise TypeError(f"{title} takes integer labels, got {core.describe(labels)}.")
    if jnp.ndim(labels) != 2 or labels.shape[0] != rows:
        raise ValueError(
            f"{title} takes labels [batch, most] of {rows} rows, got {core.describe(labels)}."
        )
    if core.traced(labels):
        return
    values = np.asarray(labels)
    if classes is not None and (values >= classes).any():
        raise ValueError(f"{title}: {values.max()} is not a label of {classes} classes.")
    if ((values[:, :-1] <= 0) & (values[:, 1:] > 0)).any():
        raise ValueError(
            f"{title}: a label follows padding: zeros or negative numbers must come after the last "
            "label."
        )
