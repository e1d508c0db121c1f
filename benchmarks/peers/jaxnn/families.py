"""The cases of `benchmarks/families.py` in jaxnn."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn import graph, mixture, spiking


def rbf() -> tuple[Callable[[int], None], int]:
    """Rows of the data as centers, and the output layer in closed form."""
    x, y = (jnp.asarray(array) for array in data.clusters())
    hidden = nn.rbf.rbf_layer(cases.RBF_CENTERS)

    @jax.jit
    def fit(key):
        centers = nn.rbf.rows_as_centres(key, x, cases.RBF_CENTERS)
        params = {"centres": centers, "log_width": jnp.log(cases.RBF_WIDTH)}
        return params, nn.rbf.ridge(hidden(params, x), y, cases.RBF_PENALTY)

    def run(steps):
        for i in range(steps):
            fitted = fit(jax.random.key(i))
        jax.block_until_ready(fitted)

    return run, nn.count_params(jax.eval_shape(fit, jax.random.key(0)))


def som() -> tuple[Callable[[int], None], int]:
    x, grid = jnp.asarray(data.som_rows()), nn.som.Grid(10, 10)
    net = nn.som.self_organizing_map(grid, 1000, rate=0.5)
    _, state = net.init(jax.random.key(0), x)

    def run(steps):
        nonlocal state
        state = jax.block_until_ready(nn.som.train_som(net, state, x, steps))

    return run, state["weights"].size


CASES: dict[str, Callable] = {cases.RBF_FIT: rbf, cases.SOM: som}
CASES |= graph.CASES | mixture.CASES | spiking.CASES
