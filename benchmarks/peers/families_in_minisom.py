"""The case of `benchmarks/families.py` in MiniSom."""

from collections.abc import Callable

import numpy as np
from minisom import MiniSom

from benchmarks.peers import family_sizes


def som() -> tuple[Callable[[int], None], int]:
    x = family_sizes.small().astype(np.float64)
    found = MiniSom(
        *(10, 10, 64),
        sigma=1.5,  # pyright: ignore[reportArgumentType]
        learning_rate=0.5,
        random_seed=0,
    )

    def run(steps):
        found.train_batch_offline(x, steps)

    return run, 6400


CASES: dict[str, Callable] = {family_sizes.SOM: som}
