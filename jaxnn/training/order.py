"""The order of rows in an epoch, of which any part is known without the rest."""

import numpy as np

ROUNDS = 4  # of two halves each


def shuffled(places: np.ndarray, rows: int, seed: tuple[int, ...]) -> np.ndarray:
    """The rows at some places of a random order of `rows` rows, int64 like `places`.

    A Feistel network permutes the numbers below a power of 2, and is applied again to what lies
    beyond the rows: no order of all rows is ever held, and the same seeds give the same order with
    every version of NumPy. (Black and Rogaway, Ciphers with arbitrary finite domains, 2002.)

    >>> sorted(shuffled(np.arange(5), 5, (0,)).tolist())
    [0, 1, 2, 3, 4]
    """
    bits = (rows - 1).bit_length()
    width = np.uint64(bits // 2)  # of the low part
    low, high = ((np.uint64(1) << w) - np.uint64(1) for w in (width, np.uint64(bits) - width))
    keys = np.random.SeedSequence(seed).generate_state(2 * ROUNDS, np.uint64).reshape(ROUNDS, 2)

    def permuted(numbers: np.ndarray) -> np.ndarray:
        left, right = numbers >> width, numbers & low
        for one, other in keys:
            left = left ^ _mixed(right + one) & high
            right = right ^ _mixed(left + other) & low
        return left << width | right

    found = permuted(np.asarray(places, np.uint64))
    while (beyond := found >= rows).any():
        found[beyond] = permuted(found[beyond])
    return found.astype(np.int64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    # The multiplications and shifts of SplitMix64, of whose bits each depends on every bit.
    numbers = (numbers ^ numbers >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ numbers >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return numbers ^ numbers >> np.uint64(31)


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
