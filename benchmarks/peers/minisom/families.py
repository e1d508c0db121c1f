"""The case of `benchmarks/families.py` in MiniSom."""

from collections.abc import Callable

import numpy as np
from minisom import MiniSom

from benchmarks.peers import cases, data


def batch_training() -> tuple[Callable[[int], None], int]:
    x = data.som_rows().astype(np.float64)
    som = MiniSom(
        *(10, 10, 64),
        sigma=1.5,  # pyright: ignore[reportArgumentType]
        learning_rate=0.5,
        random_seed=0,
    )

    def run(steps):
        som.train_batch_offline(x, steps)

    return run, 6400


CASES: dict[str, Callable] = {cases.SOM: batch_training}
