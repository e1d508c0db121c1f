"""The case of `benchmarks/families.py` in scikit-learn: kernel ridge regression."""

from collections.abc import Callable

from sklearn.kernel_ridge import KernelRidge

from benchmarks.peers import cases, data


def rbf() -> tuple[Callable[[int], None], int]:
    x, y = data.clusters()
    model = KernelRidge(
        alpha=cases.RBF_PENALTY,  # pyright: ignore[reportArgumentType]
        kernel="rbf",
        gamma=0.5 / cases.RBF_WIDTH**2,
    )

    def run(steps):
        for _ in range(steps):
            model.fit(x, y)

    return run, y.size


CASES: dict[str, Callable] = {cases.RBF_FIT: rbf}
