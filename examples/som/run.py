"""The run of the example: compare maps with MiniSom, and draw maps of irises and digits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics import adjusted_rand_score

import jaxnn as nn
from examples import Check, Options, Result
from examples.som.comparison import Comparison, batch, online, started
from examples.som.figures import draw_digits, draw_iris

WORSE = 1.02  # of our quantization error over MiniSom's
FURTHER = 0.01  # of our topographic error above MiniSom's
FASTER = 20  # times as fast as MiniSom once compiled
SOONER = 1  # times as fast including the time to compile
PASSES = 50  # over the rows, for the maps in the figures
EVERY = 10  # passes from one measurement of the hexagonal map to the next
CLUSTERS = 10
grid = nn.som.Grid(10, 10)
hexagons = nn.som.Grid(14, 14, hexagonal=True)
hexagonal = nn.som.self_organizing_map(
    hexagons, PASSES, radius=5.0, radius_decay=nn.som.exponential_decay
)


def irises() -> tuple[np.ndarray, np.ndarray]:
    """150 flowers, each measure with mean 0 and standard deviation 1, and their species."""
    x, y = (np.asarray(part) for part in load_iris(return_X_y=True))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 digits of 8 x 8 pixels in [0, 1], and their labels."""
    x, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    return (x / 16).astype(np.float32), y


@jax.jit
def step(train: nn.training.TrainState, batch: jax.Array) -> tuple[nn.training.TrainState, dict]:
    """One step of batch training: the map learns in its state."""
    found, state = hexagonal.apply((), train.state, batch, train=True)
    train = train._replace(state=state, step=train.step + 1)
    return train, {"distance": found.distance.mean()}


def plan(options: Options):
    x = jnp.zeros((8, 64))
    _, state = hexagonal.init(jax.random.key(options.seed), x)
    key = jax.random.key(options.seed)
    return step, nn.training.TrainState((), state, (), jnp.int32(0), key), x


def checks(name: str, kind: str, comparison: Comparison) -> list[Check]:
    """The checks of our errors against MiniSom's."""
    quantization, topographic = comparison.ours
    their_quantization, their_topographic = comparison.theirs
    ratio, gap = quantization / their_quantization, topographic - their_topographic
    return [
        Check(f"{name}_{kind}_quantization_ratio", float(ratio), WORSE, higher_is_better=False),
        Check(f"{name}_{kind}_topographic_gap", float(gap), FURTHER, higher_is_better=False),
    ]


def metrics(name: str, kind: str, comparison: Comparison) -> dict[str, float]:
    """Our errors and MiniSom's."""
    return {
        f"{name}_{kind}_quantization": float(comparison.ours[0]),
        f"{name}_{kind}_topographic": float(comparison.ours[1]),
        f"{name}_{kind}_quantization_of_minisom": float(comparison.theirs[0]),
        f"{name}_{kind}_topographic_of_minisom": float(comparison.theirs[1]),
    }


def compared(options: Options) -> tuple[list[Check], dict[str, float]]:
    """All comparisons with MiniSom."""
    all_checks, all_metrics = [], {}
    for name, (x, _) in (("iris", irises()), ("digits", digits())):
        at_once, times = batch(grid, x, options)
        one_by_one = online(grid, x, options)
        all_checks += checks(name, "batch", at_once) + checks(name, "online", one_by_one)
        all_checks += [
            Check(f"{name}_times_as_fast", times.compiled, FASTER),
            Check(f"{name}_times_as_fast_with_compiling", times.with_compiling, SOONER),
        ]
        all_metrics |= metrics(name, "batch", at_once) | metrics(name, "online", one_by_one)
    return all_checks, all_metrics


def run(options: Options) -> Result:
    all_checks, all_metrics = compared(options)
    x, labels = digits()
    state, history = organized(x)
    weights = state["weights"]
    clusters = nn.rbf.kmeans(jax.random.key(options.seed), weights, CLUSTERS).index
    index = nn.som.best_matching_units(weights, jnp.asarray(x)).index
    rand_index = adjusted_rand_score(labels, np.asarray(clusters[index]))
    flowers, species = irises()
    return Result(
        checks=tuple(all_checks),
        baseline="MiniSom's quantization error over itself",
        baseline_value=1.0,
        steps=PASSES,
        parameters=weights.size,
        metrics=all_metrics | {"digits_rand_index": float(rand_index)},
        history=history,
        figures={
            "iris": draw_iris(grid, iris_map(flowers), flowers, species),
            "digits": draw_digits(hexagons, weights, np.asarray(clusters), index, labels),
        },
    )


def iris_map(x: np.ndarray) -> jax.Array:
    """The weights of a map of the irises after training."""
    net, rows = nn.som.self_organizing_map(grid, PASSES, radius=3.0), jnp.asarray(x)
    return nn.som.train_som(net, started(net, rows, grid), rows, PASSES)["weights"]


def organized(x: np.ndarray) -> tuple[Any, list[dict[str, float]]]:
    """The state of the hexagonal map of the digits after training, and its error on the way."""
    rows, history = jnp.asarray(x), []
    state = started(hexagonal, rows, hexagons)
    for passes in range(EVERY, PASSES + 1, EVERY):
        state = nn.som.train_som(hexagonal, state, rows, EVERY)
        error = float(nn.som.quantization_error(state["weights"], rows))
        history.append({"step": passes, "quantization_error": error})
    return state, history
