"""The case of `benchmarks/families.py` in scikit-learn: kernel ridge regression."""

from collections.abc import Callable

from sklearn.kernel_ridge import KernelRidge

from benchmarks.peers import family_sizes


def rbf() -> tuple[Callable[[int], None], int]:
    x, y = family_sizes.pictures()
    machine = KernelRidge(
        alpha=family_sizes.PENALTY,  # pyright: ignore[reportArgumentType]
        kernel="rbf",
        gamma=0.5 / family_sizes.WIDTH**2,
    )

    def run(steps):
        for _ in range(steps):
            machine.fit(x, y)

    return run, y.size


CASES: dict[str, Callable] = {family_sizes.RBF: rbf}
