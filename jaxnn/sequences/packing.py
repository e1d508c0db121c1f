"""Packed rows: several documents in one row, so that little of a batch is padding.

A packed row is a pair (x, segments), which stands wherever (x, mask) does: segments are integers
[batch, time], 0 at padding, and neighboring steps of one positive number are one document. Each
document gives what it would give in a row of its own: attention sees no other document, positions
count from its first step, and cells begin anew there. What cannot tell documents apart, such as the
mean over a row, refuses segments.

(Krell et al., Efficient sequence packing without cross-contamination, 2021.)
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.checks import check_choice


def pack_documents(
    documents: Sequence[Any], length: int, *, too_long: str = "refuse"
) -> tuple[np.ndarray, np.ndarray]:
    """Packs documents into rows, each into the first row with enough room (first fit).

    Args:
      documents: arrays or lists of tokens, int [time], in any number and of any length of at least
        one; or of vectors [time, ...], all of one shape and dtype.
      length: the steps of a row.
      too_long: what happens to a document of more than `length` steps: "refuse" raises an error,
        "split" makes several documents of it.

    Returns:
      (tokens, segments), NumPy arrays: tokens [rows, length, ...], int32 or the dtype of the
      vectors, zeros at padding; segments int32 [rows, length], which count the documents of a row
      from 1 and are 0 at padding. The same documents always give the same rows.

    Raises:
      TypeError: if documents are not of integers or of vectors of one dtype.
      ValueError: if there are none, if one is empty or longer than a row, if their vectors differ
        in shape, or if an argument is out of range.

    (Johnson, Near-optimal bin packing algorithms, 1973.)

    >>> import jaxnn as nn
    >>> tokens, segments = nn.pack_documents([[5, 6, 7], [8, 9], [4]], length=4)
    >>> tokens.tolist(), segments.tolist()
    ([[5, 6, 7, 4], [8, 9, 0, 0]], [[1, 1, 1, 2], [1, 1, 0, 0]])
    """
    title = "pack_documents"
    length = core.check_int(length, f"{title}: length")
    check_choice(too_long, f"{title}: too_long", ("refuse", "split"))
    pieces = []
    for number, document in enumerate(documents):
        held = _checked(document, number, pieces[0] if pieces else None)
        if len(held) > length and too_long == "refuse":
            raise ValueError(
                f"{title}: document {number} has {len(held)} steps, a row {length}: take longer "
                'rows, or too_long="split" to make several documents of it.'
            )
        pieces += [held[start : start + length] for start in range(0, len(held), length)]
    if not pieces:
        raise ValueError(f"{title} takes at least one document, got none.")
    places = _first_fit([len(piece) for piece in pieces], length)
    rows = 1 + max(row for row, _ in places)
    x = np.zeros((rows, length, *pieces[0].shape[1:]), pieces[0].dtype)
    segments = np.zeros((rows, length), np.int32)
    for piece, (row, start) in zip(pieces, places, strict=True):
        x[row, start : start + len(piece)] = piece
        segments[row, start : start + len(piece)] = 1 + segments[row, start - 1] * (start > 0)
    return x, segments


def next_tokens(tokens: Any, segments: Any, *, ignore: int = -100) -> jax.Array:
    """The labels of a language model on packed rows: the next token of the same document.

    label_t = token_{t+1} where segment_{t+1} = segment_t, and `ignore` elsewhere: at padding, and
    at the last step of each document, from which nothing is to be predicted.

    Args:
      tokens: integers [batch, time].
      segments: integers [batch, time], as `pack_documents` returns them.
      ignore: the label of steps without a next token, for `ignore_label` and `accuracy`.

    Returns:
      int32 [batch, time].

    Raises:
      TypeError: if tokens or segments are not integers.
      ValueError: if they are not both [batch, time], of one shape.

    >>> import jaxnn as nn
    >>> tokens, segments = nn.pack_documents([[5, 6, 7], [8, 9]], length=6)
    >>> nn.next_tokens(tokens, segments, ignore=-1).tolist()
    [[6, 7, -1, 9, -1, -1]]
    """
    for each in (tokens, segments):
        if not hasattr(each, "dtype") or not jnp.issubdtype(each.dtype, jnp.integer):
            raise TypeError(
                f"next_tokens takes tokens and segments, integers [batch, time], got "
                f"{core.describe(each)}."
            )
    if tokens.ndim != 2 or tokens.shape != segments.shape:
        raise ValueError(
            "next_tokens takes tokens and segments [batch, time] of one shape, got "
            f"{core.describe(tokens)} and {core.describe(segments)}."
        )
    tokens, segments = jnp.asarray(tokens, jnp.int32), jnp.asarray(segments, jnp.int32)
    goes_on = (segments[:, 1:] == segments[:, :-1]) & (segments[:, :-1] > 0)
    labels = jnp.where(goes_on, tokens[:, 1:], ignore)
    return jnp.pad(labels, ((0, 0), (0, 1)), constant_values=ignore)


def _checked(document: Any, number: int, first: np.ndarray | None) -> np.ndarray:
    """A document as an array, which must be like the first one."""
    title, held = f"pack_documents: document {number}", np.asarray(document)
    if held.ndim == 0 or not len(held):
        raise ValueError(
            f"{title} must have at least one step, got {core.describe(held)}: leave out what is "
            "empty."
        )
    if np.issubdtype(held.dtype, np.integer) and held.ndim == 1:
        if held.min() < 0 or held.max() > np.iinfo(np.int32).max:
            raise ValueError(
                f"{title} holds {held.min()} to {held.max()}: tokens are from 0 to 2^31 - 1."
            )
        held = held.astype(np.int32)
    elif held.ndim == 1 or held.dtype == object:
        raise TypeError(
            f"{title} must be tokens, int [time], or vectors [time, ...], got "
            f"{core.describe(held)}."
        )
    if first is not None and (held.dtype, held.shape[1:]) != (first.dtype, first.shape[1:]):
        raise ValueError(
            f"{title} is {core.describe(held)}, the first one {core.describe(first)}: give all of "
            "them one dtype, and vectors of one shape."
        )
    return held


def _first_fit(lengths: list[int], room: int) -> list[tuple[int, int]]:
    """(row, start) of each length, in the first row that has room for it.

    A tree of maxima over the room that is left in each row finds the row in logarithmic time.
    """
    size = 1 << max(len(lengths) - 1, 0).bit_length()
    left, places = [room] * (2 * size), []
    for length in lengths:
        node = 1
        while node < size:
            node *= 2
            node += left[node] < length
        places.append((node - size, room - left[node]))
        left[node] -= length
        while node > 1:
            node //= 2
            left[node] = max(left[2 * node], left[2 * node + 1])
    return places
