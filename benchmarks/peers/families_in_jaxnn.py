"""The cases of `benchmarks/families.py` in jaxnn."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

import jaxnn as nn
from benchmarks.peers import family_sizes, graph_in_jaxnn, modular_in_jaxnn, spiking_in_jaxnn


def rbf() -> tuple[Callable[[int], None], int]:
    """Centres that are rows, and the output in closed form."""
    x, y = (jnp.asarray(part) for part in family_sizes.pictures())
    hidden = nn.rbf.rbf_layer(family_sizes.CENTRES)

    @jax.jit
    def fit(key):
        centres = nn.rbf.rows_as_centres(key, x, family_sizes.CENTRES)
        params = {"centres": centres, "log_width": jnp.log(family_sizes.WIDTH)}
        return params, nn.rbf.ridge(hidden(params, x), y, family_sizes.PENALTY)

    def run(steps):
        for i in range(steps):
            found = fit(jax.random.key(i))
        jax.block_until_ready(found)

    return run, nn.count_params(jax.eval_shape(fit, jax.random.key(0)))


def som() -> tuple[Callable[[int], None], int]:
    x, grid = jnp.asarray(family_sizes.small()), nn.som.Grid(10, 10)
    net = nn.som.self_organizing_map(grid, 1000, rate=0.5)
    _, state = net.init(jax.random.key(0), x)

    def run(steps):
        nonlocal state
        state = jax.block_until_ready(nn.som.train_som(net, state, x, steps))

    return run, state["weights"].size


CASES: dict[str, Callable] = {family_sizes.RBF: rbf, family_sizes.SOM: som}
CASES |= graph_in_jaxnn.CASES | modular_in_jaxnn.CASES | spiking_in_jaxnn.CASES
