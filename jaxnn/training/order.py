"""The order of rows in an epoch, of which any part is known without the rest."""

import numpy as np

ROUNDS = 6


def shuffled(places: np.ndarray, rows: int, seed: tuple[int, ...]) -> np.ndarray:
    """The rows at some places of a random order of `rows` rows, int64 like `places`.

    A Feistel network permutes the numbers below a power of 4, and is applied again to what lies
    beyond the rows: no order of all rows is ever held, and the same seeds give the same order with
    every version of NumPy. (Black and Rogaway, Ciphers with arbitrary finite domains, 2002.)

    >>> sorted(shuffled(np.arange(5), 5, (0,)).tolist())
    [0, 1, 2, 3, 4]
    """
    half = np.uint64(max(1, -(-(rows - 1).bit_length() // 2)))
    low = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence(seed).generate_state(ROUNDS, np.uint64)

    def permuted(numbers: np.ndarray) -> np.ndarray:
        left, right = numbers >> half, numbers & low
        for key in keys:
            # Multiplications and shifts spread every bit, as in SplitMix64.
            mixed = (right + key) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
            left, right = right, left ^ (mixed ^ mixed >> np.uint64(31)) & low
        return left << half | right

    found = permuted(np.asarray(places, np.uint64))
    while (beyond := found >= rows).any():
        found[beyond] = permuted(found[beyond])
    return found.astype(np.int64)


def running_on(
    number: int, batch_size: int, rows: int, total: int | None, seed: int | None
) -> np.ndarray:
    """The rows of a batch by its number, where batches run on over the end of an epoch.

    Args:
      number: which batch, from 0 on.
      batch_size: its rows.
      rows: the rows of an epoch.
      total: the rows of all epochs, None for no end.
      seed: the order's, None for rows as they are.
    """
    stop = (number + 1) * batch_size
    at = np.arange(number * batch_size, stop if total is None else min(stop, total))
    epochs, places = np.divmod(at, rows)
    if seed is None:
        return places
    parts = [
        shuffled(places[epochs == epoch], rows, (seed, epoch))
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1)
    ]
    return np.concatenate(parts)
