"""Self-organizing maps of jaxnn and of MiniSom, side by side at the same settings."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from minisom import MiniSom

import jaxnn as nn
from examples import Options

RATE = 0.5  # the learning rate at the start
RADIUS = 1.5  # of the neighborhood at the start, in units
ORDERS = 10  # random orders of the rows, one row after the other
QUICK_ORDERS = 2
EPOCHS = 10  # passes over the rows, one row after the other
# All rows at once. With 50 passes over the irises, compiling takes longer than all of MiniSom's
# training.
BATCHES = 200
QUICK_BATCHES = 5


class Comparison(NamedTuple):
    """The (quantization, topographic) errors of our map and of MiniSom's."""

    ours: np.ndarray
    theirs: np.ndarray


class Times(NamedTuple):
    """How many times as fast as MiniSom our map is trained, without and with compiling."""

    compiled: float
    with_compiling: float


def started(net: nn.Layer, x: jax.Array, grid: nn.som.Grid) -> Any:
    """The state of a map before training, on the principal plane of x."""
    _, state = net.init(jax.random.key(0), x)
    return state | {"weights": nn.som.map_of_pca(x, grid)}


def their_map(grid: nn.som.Grid, x: np.ndarray, seed: int) -> MiniSom:
    """MiniSom's map before training, on the principal plane of x."""
    columns, inputs = grid.columns, x.shape[1]
    peer = MiniSom(grid.rows, columns, inputs, sigma=RADIUS, learning_rate=RATE, random_seed=seed)  # pyright: ignore[reportArgumentType]
    peer.pca_weights_init(x.astype(float))
    return peer


def errors(grid: nn.som.Grid, weights: jax.Array, x: np.ndarray) -> tuple[float, float]:
    """The quantization and the topographic error."""
    rows = jnp.asarray(x)
    quantization = nn.som.quantization_error(weights, rows)
    return float(quantization), float(nn.som.topographic_error(grid, weights, rows))


def their_errors(grid: nn.som.Grid, peer: MiniSom, x: np.ndarray) -> tuple[float, float]:
    weights = jnp.asarray(peer.get_weights().reshape(grid.units, -1), jnp.float32)
    return errors(grid, weights, x)


def online(grid: nn.som.Grid, x: np.ndarray, options: Options) -> Comparison:
    """The mean errors over random orders of the rows, after training on one row at a time."""
    orders = QUICK_ORDERS if options.quick else ORDERS
    total = (1 if options.quick else EPOCHS) * len(x)
    net = nn.som.self_organizing_map(grid, total, online=True, rate=RATE, radius=RADIUS)
    start = started(net, jnp.asarray(x), grid)
    learn = jax.jit(lambda rows: net.apply((), start, rows, train=True)[1]["weights"])
    ours, theirs = [], []
    for seed in range(ORDERS * options.seed, ORDERS * options.seed + orders):
        order = np.random.default_rng(seed).permutation(np.arange(total) % len(x))
        ours.append(errors(grid, learn(x[order]), x))
        peer = their_map(grid, x, seed)
        peer.train_random(x.astype(float), total)
        theirs.append(their_errors(grid, peer, x))
    return Comparison(np.mean(ours, axis=0), np.mean(theirs, axis=0))


def batch(grid: nn.som.Grid, x: np.ndarray, options: Options) -> tuple[Comparison, Times]:
    """The errors after training on all rows at once, and the times that this takes."""
    passes = QUICK_BATCHES if options.quick else BATCHES
    net, rows = nn.som.self_organizing_map(grid, passes, rate=RATE, radius=RADIUS), jnp.asarray(x)
    start = started(net, rows, grid)

    def learn():
        return jax.block_until_ready(nn.som.train_som(net, start, rows, passes))

    first, state = timed(learn)
    again, _ = timed(learn, 5)
    peer = their_map(grid, x, 0)
    seconds, _ = timed(partial(peer.train_batch_offline, x.astype(float), passes))
    ours, theirs = errors(grid, state["weights"], x), their_errors(grid, peer, x)
    times = Times(compiled=seconds / again, with_compiling=seconds / first)
    return Comparison(np.array(ours), np.array(theirs)), times


def timed(run: Callable, times: int = 1) -> tuple[float, Any]:
    """(the seconds of the fastest of several runs, the result of the last one)."""
    seconds, result = [], None
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result
