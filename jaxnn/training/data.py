"""Batches from arrays, files and records, through Grain: shuffled, split by process, resumable.

The order of rows is one for the whole run, whatever the number of processes: batch k is the same
rows in the same order, and each process reads its own part of them. A place in the data is
therefore the number of the next batch, and a run may go on with another number of processes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from jaxnn.core import Tree, check_int, describe
from jaxnn.training.arrays import as_arrays, count_rows
from jaxnn.training.buckets import check_buckets, pad_rows, plan
from jaxnn.training.order import running_on
from jaxnn.training.records import grain_package

ENDLESS = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches for `fit`, as an iterable whose iterators keep their place.

    dataset: Grain's `IterDataset`, for more of its transformations. rows: the number of rows of an
    epoch. run: what must be the same where a run goes on, ready for JSON.
    """

    dataset: Any = field(repr=False)
    rows: int
    run: dict[str, Any]

    def __iter__(self) -> Any:
        return iter(self.dataset)  # Grain's, with get_state and set_state


def loader(
    source: Any,
    batch_size: int,
    *,
    read: Callable[[Any], Tree] | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    drop_last: bool = False,
    buckets: Sequence[int] | None = None,
    lengths: Any = None,
    pad: Any = 0,
    prefetch: int = 4,
    process: int | None = None,
    processes: int | None = None,
) -> Loader:
    """Batches of a source of rows; each row comes once an epoch, over all processes together.

    Without buckets, batches run on over the end of an epoch. With them, rows of like length share
    a batch: the rows that do not fill a batch of their bucket move up to the next, and the last
    batch of an epoch has what remains. A row [time, ...] becomes (x, mask), with x zero and the
    mask false beyond its length; of a row that is a tuple, the first becomes (x, mask); one that is
    a dict gets an entry "mask".

    Args:
      source: a pytree of arrays with rows first, which may be memory-mapped, or anything with a
        length and rows by number: a list of file names, `record_source`, a dataset of another
        library.
      batch_size: the rows of a batch, over all processes together.
      read: an item of the source -> a row, a pytree of arrays; it runs in threads.
      seed: the order of each epoch is drawn from it; None leaves rows in order.
      epochs: how many, after which the batches end; None goes on forever.
      drop_last: whether a last batch with fewer rows is left out, of each epoch with buckets.
      buckets: the lengths to which rows are padded, ascending.
      lengths: int [rows], the length of each row; by default every row is read once to see it.
      pad: what stands beyond the end of a row, a number, or one for each part of the row, where
        None says that a part has no time axis.
      prefetch: how many batches are read ahead, each in a thread of its own; 0 reads in the
        caller's.
      process: the number of this process; by default that of JAX.
      processes: how many there are; by default as many as JAX has.

    Returns:
      A `Loader`.

    Raises:
      ImportError: if Grain is not installed, with the command that installs it.
      TypeError: if the source has neither arrays nor rows by number.
      ValueError: if a batch, the last one among them, cannot be split over the processes; if the
        source has no rows; if a row is longer than every bucket.

    >>> import numpy as np, jaxnn as nn
    >>> batches = nn.training.loader(np.arange(6), 4, seed=0, epochs=1)
    >>> [len(batch) for batch in batches]
    [4, 2]
    >>> rows = [np.ones(1), np.ones(3)]
    >>> x, mask = next(iter(nn.training.loader(rows, 2, buckets=[4])))
    >>> mask.sum(axis=1).tolist()
    [1, 3]
    """
    grain = grain_package()
    batch_size = check_int(batch_size, "batch_size")
    prefetch = check_int(prefetch, "prefetch", least=0)
    processes = jax.process_count() if processes is None else check_int(processes, "processes")
    process = jax.process_index() if process is None else check_int(process, "process", least=0)
    if process >= processes:
        raise ValueError(f"process is 0 to {processes - 1} of {processes}, got {process}.")
    if epochs is not None:
        check_int(epochs, "epochs")
    if seed is not None and not 0 <= seed < 1 << 32:
        raise ValueError(f"seed must be 0 to 2^32 - 1, got {seed}.")
    if batch_size % processes:
        below = batch_size - batch_size % processes
        raise ValueError(
            f"batch_size {batch_size} cannot be split over {processes} processes: use "
            f"{below or processes} or {below + processes}."
        )
    batch_of, row_of, rows = _source(source, read)
    share = partial(_share, process=process, processes=processes)
    if buckets is None:
        if lengths is not None:
            raise ValueError("lengths are for buckets: give buckets=(32, 64, ...) as well.")
        total = None if epochs is None else rows * epochs
        batches, last = (ENDLESS, 0) if total is None else divmod(total, batch_size)

        def numbered(number: int) -> Tree:
            return batch_of(share(running_on(number, batch_size, rows, total, seed)))

        batches += bool(last and not drop_last)
    else:
        buckets = check_buckets(buckets)
        lengths = _lengths(row_of, rows) if lengths is None else np.asarray(lengths)
        if lengths.shape != (rows,):
            raise ValueError(f"lengths are int [{rows}], got {describe(lengths)}.")
        # Threads read the batches of one epoch, or of two at its end.
        epoch_of = lru_cache(maxsize=2)(
            partial(plan, lengths, buckets, batch_size, drop_last, seed)
        )
        each, last = len(epoch_of(0)), rows % batch_size

        def numbered(number: int) -> Tree:
            epoch, place = divmod(number, each)
            index, length = epoch_of(epoch)[place]
            index = share(index)
            return pad_rows([row_of(i) for i in index], index, lengths[index], length, pad)

        batches = ENDLESS if epochs is None and each else each * (epochs or 1)
    if last % processes and not drop_last:
        raise ValueError(
            f"the last batch has {last} of {batch_size} rows, which cannot be split over "
            f"{processes} processes: give drop_last=True, or epochs=None without buckets."
        )
    if not batches:
        raise ValueError(
            f"{rows} rows do not fill a batch of {batch_size}: use {rows} at most, or keep the "
            "last batch."
        )
    options = grain.ReadOptions(num_threads=prefetch, prefetch_buffer_size=prefetch)
    run = {"rows": rows, "batch_size": batch_size, "seed": seed}
    run |= {"drop_last": drop_last, "buckets": buckets and list(buckets)}
    dataset = grain.MapDataset.range(batches).map(numbered).to_iter_dataset(options)
    return Loader(dataset, rows, run)


def _source(source: Any, read: Callable | None) -> tuple[Callable, Callable, int]:
    """(indices -> a batch, index -> a row, the number of rows) of a source."""
    if isinstance(source, str | bytes):
        raise TypeError("a source is arrays or rows by number, got a string: give a list of files.")
    if isinstance(source, Iterator):
        raise TypeError(
            f"a source has rows by number, got a {type(source).__name__}: make a list of it, or "
            "give fit the iterator of batches itself."
        )
    if _by_number(source):
        rows, item = len(source), source.__getitem__
        if not rows:
            raise ValueError("the source has no rows: there is nothing to learn from.")
    else:
        # What is in NumPy's memory, or a map of a file, is looked at as its batches are drawn.
        arrays = jax.tree.map(
            lambda leaf: (
                leaf if isinstance(leaf, np.ndarray) else np.asarray(as_arrays(leaf, "the source"))
            ),
            source,
        )
        rows = count_rows(arrays, "the source")

        def item(index: Any) -> Tree:
            return jax.tree.map(lambda leaf: leaf[index], arrays)

        if read is None:
            return item, item, rows

    def one(index: Any) -> Tree:
        row = item(int(index))
        row = row if read is None else read(row)
        for leaf in jax.tree.leaves(row, is_leaf=lambda node: isinstance(node, list)):
            if not hasattr(leaf, "shape") and not isinstance(leaf, int | float):
                raise TypeError(
                    f"row {index} holds a {type(leaf).__name__}, not an array: make one of it in "
                    "read, such as read=np.asarray."
                )
        return row

    return lambda indices: _stacked([one(index) for index in indices], indices), one, rows


def _by_number(source: Any) -> bool:
    if isinstance(source, tuple):
        return not any(hasattr(each, "shape") for each in jax.tree.leaves(source))
    numbered = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return numbered and not isinstance(source, dict) and not hasattr(source, "shape")


def _share(index: np.ndarray, process: int, processes: int) -> np.ndarray:
    each = len(index) // processes
    return index[process * each : (process + 1) * each]


def _stacked(rows: list, indices: Any) -> Tree:
    shapes = [jax.tree.map(np.shape, row) for row in rows]
    for shape, index in zip(shapes, indices, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"row {int(index)} is of {shape} and row {int(indices[0])} of {shapes[0]}: make "
                "them equal in read, or give buckets=(32, 64, ...) for rows of unequal lengths."
            )
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


def _lengths(one: Callable, rows: int) -> np.ndarray:
    # The first part of a row is what its length is the length of.
    firsts = (jax.tree.leaves(one(index))[0] for index in range(rows))
    return np.array([np.shape(first)[0] for first in firsts])
