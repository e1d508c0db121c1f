"""Self-organizing maps of irises and digits, beside MiniSom with the same settings.

A map of 10 x 10 units begins on the plane of the two principal directions, and learns with a
radius of 1.5 that decays to a third: from one row after the other, or from all rows at once. Both
are run by MiniSom too, in the same run; orders of rows are drawn anew for each of ten seeds. Then a
hexagonal map shows all digits at once: what its units look like, where borders are, and the
clusters that k-means finds among its units, beside the digits' names, which it never saw.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import RegularPolygon
from minisom import MiniSom
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics import adjusted_rand_score

import jaxnn as nn
from examples import Check, Options, Result

WORSE, FURTHER = 1.02, 0.01  # of MiniSom's quantization error; above its topographic error
FASTER, SOONER = 20, 1  # times as fast once compiled, and with the time to compile
RATE, RADIUS, SEEDS, EPOCHS = 0.5, 1.5, 10, 10
BATCHES = 200  # passes; with 50 of irises, compiling takes longer than all that MiniSom does
PASSES = 50  # of the maps in the pictures
grid = nn.som.Grid(10, 10)
hexagons = nn.som.Grid(14, 14, hexagonal=True)


def irises() -> tuple[np.ndarray, np.ndarray]:
    """150 flowers, each measure with mean 0 and deviation 1, and their species."""
    x, y = (np.asarray(part) for part in load_iris(return_X_y=True))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797 digits of 8 x 8 pixels from 0 to 1, and their names."""
    x, y = (np.asarray(part) for part in load_digits(return_X_y=True))
    return (x / 16).astype(np.float32), y


def maps(net: nn.Layer, x: jax.Array, of: nn.som.Grid) -> Any:
    """The state of a map before it learns, on the principal plane of x."""
    _, state = net.init(jax.random.key(0), x)
    return state | {"weights": nn.som.map_of_pca(x, of)}


@jax.jit
def step(train: nn.training.TrainState, batch: jax.Array) -> tuple[nn.training.TrainState, dict]:
    """One step of batch training: the map learns in its state."""
    found, state = hexagonal.apply((), train.state, batch, train=True)
    train = train._replace(state=state, step=train.step + 1)
    return train, {"distance": found.distance.mean()}


hexagonal = nn.som.self_organizing_map(
    hexagons, PASSES, radius=5.0, radius_decay=nn.som.exponential_decay
)


def plan(options: Options):
    x = jnp.zeros((8, 64))
    _, state = hexagonal.init(jax.random.key(options.seed), x)
    key = jax.random.key(options.seed)
    return step, nn.training.TrainState((), state, (), jnp.int32(0), key), x


def begun(x: np.ndarray, seed: int) -> MiniSom:
    peer = MiniSom(*grid[:2], x.shape[1], sigma=RADIUS, learning_rate=RATE, random_seed=seed)  # pyright: ignore[reportArgumentType]
    peer.pca_weights_init(x.astype(float))
    return peer


def errors(weights: jax.Array, x: np.ndarray) -> tuple[float, float]:
    """The quantization and the topographic error."""
    rows = jnp.asarray(x)
    quantized = nn.som.quantization_error(weights, rows)
    return float(quantized), float(nn.som.topographic_error(grid, weights, rows))


def of_peer(peer: MiniSom, x: np.ndarray) -> tuple[float, float]:
    return errors(jnp.asarray(peer.get_weights().reshape(grid.units, -1), jnp.float32), x)


def online(x: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """The mean errors of ours and MiniSom's over SEEDS orders of the rows, one row at a time."""
    seeds = 2 if options.quick else SEEDS
    total = (1 if options.quick else EPOCHS) * len(x)
    net = nn.som.self_organizing_map(grid, total, online=True, rate=RATE, radius=RADIUS)
    start = maps(net, jnp.asarray(x), grid)
    learn = jax.jit(lambda rows: net.apply((), start, rows, train=True)[1]["weights"])
    ours, theirs = [], []
    for seed in range(SEEDS * options.seed, SEEDS * options.seed + seeds):
        order = np.random.default_rng(seed).permutation(np.arange(total) % len(x))
        ours.append(errors(learn(x[order]), x))
        peer = begun(x, seed)
        peer.train_random(x.astype(float), total)
        theirs.append(of_peer(peer, x))
    return np.mean(ours, axis=0), np.mean(theirs, axis=0)


def batch(x: np.ndarray, options: Options) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Errors of ours and MiniSom's from all rows at once, and how much sooner ours is done.

    Compiled already, and with the time that this takes.
    """
    passes = 5 if options.quick else BATCHES
    net, rows = nn.som.self_organizing_map(grid, passes, rate=RATE, radius=RADIUS), jnp.asarray(x)
    start = maps(net, rows, grid)
    first, state = timed(lambda: jax.block_until_ready(nn.som.train_som(net, start, rows, passes)))
    again, _ = timed(lambda: jax.block_until_ready(nn.som.train_som(net, start, rows, passes)), 5)
    peer = begun(x, 0)
    seconds, _ = timed(partial(peer.train_batch_offline, x.astype(float), passes))
    ours, theirs = errors(state["weights"], x), of_peer(peer, x)
    return np.array(ours), np.array(theirs), seconds / again, seconds / first


def timed(run: Callable, times: int = 1) -> tuple[float, Any]:
    """The least seconds of some runs, and what the last gave."""
    seconds, result = [], None
    for _ in range(times):
        begin = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds), result


def compared(name: str, way: str, ours: np.ndarray, theirs: np.ndarray) -> list[Check]:
    title = f"{name}_{way}"
    return [
        Check(f"{title}_quantization_ratio", ours[0] / theirs[0], WORSE, higher_is_better=False),
        Check(f"{title}_topographic_gap", ours[1] - theirs[1], FURTHER, higher_is_better=False),
    ]


def run(options: Options) -> Result:
    checks, metrics = [], {}
    for name, (x, _) in (("iris", irises()), ("digits", digits())):
        ours, theirs, fast, soon = batch(x, options)
        one_by_one = online(x, options)
        checks += compared(name, "batch", ours, theirs)
        checks += compared(name, "online", *one_by_one)
        for way, pair in (("batch", (ours, theirs)), ("online", one_by_one)):
            for who, (quantized, topographic) in zip(("", "_of_minisom"), pair, strict=True):
                metrics[f"{name}_{way}_quantization{who}"] = float(quantized)
                metrics[f"{name}_{way}_topographic{who}"] = float(topographic)
        checks.append(Check(f"{name}_times_as_fast", fast, FASTER))
        checks.append(Check(f"{name}_times_as_fast_with_compiling", soon, SOONER))
    x, names = digits()
    state, history = organized(x, options)
    clusters = nn.rbf.kmeans(jax.random.key(options.seed), state["weights"], 10).index
    index = nn.som.best_matching_units(state["weights"], jnp.asarray(x)).index
    metrics["digits_rand_index"] = adjusted_rand_score(names, np.asarray(clusters[index]))
    flowers, species = irises()
    rows = jnp.asarray(flowers)
    small = nn.som.self_organizing_map(grid, PASSES, radius=3.0)
    iris = nn.som.train_som(small, maps(small, rows, grid), rows, PASSES)["weights"]
    return Result(
        checks=tuple(Check(c.metric, float(c.value), *c[2:]) for c in checks),
        baseline="MiniSom's quantization error over itself",
        baseline_value=1.0,
        steps=PASSES,
        parameters=state["weights"].size,
        metrics=metrics,
        history=history,
        figures={
            "iris": draw_iris(iris, flowers, species),
            "digits": draw_digits(state["weights"], np.asarray(clusters), index, names),
        },
    )


def organized(x: np.ndarray, options: Options) -> tuple[Any, list[dict[str, float]]]:
    """The hexagonal map of the digits after it learned, and its error on the way."""
    rows, history = jnp.asarray(x), []
    state = maps(hexagonal, rows, hexagons)
    for done in range(0, PASSES, 10):
        state = nn.som.train_som(hexagonal, state, rows, 10)
        error = float(nn.som.quantization_error(state["weights"], rows))
        history.append({"step": done + 10, "quantization_error": error})
    return state, history


# The pictures


def draw_iris(weights: jax.Array, x: np.ndarray, species: np.ndarray) -> Figure:
    """The borders of the map of irises with the species on it, and a plane for each measure."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    figure.suptitle("150 irises on a map of 10 x 10 units", fontsize=15)
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    axes = left.subplots()
    image = axes.imshow(nn.som.u_matrix(grid, weights), cmap="gray_r", origin="lower")
    left.colorbar(image, ax=axes, label="mean distance to neighbours (deviations)", shrink=0.8)
    place = np.divmod(
        np.asarray(nn.som.best_matching_units(weights, jnp.asarray(x)).index), grid.columns
    )
    spread = np.random.default_rng(0).uniform(-0.3, 0.3, (2, len(x)))
    for label, name in enumerate(("setosa", "versicolor", "virginica")):
        of = species == label
        axes.scatter(place[1][of] + spread[1][of], place[0][of] + spread[0][of], s=12, label=name)
    axes.set(title="U-matrix: dark is a border", xlabel="column of units", ylabel="row of units")
    axes.legend(loc="upper right")
    planes = np.asarray(nn.som.component_planes(grid, weights))
    titles = ("sepal length", "sepal width", "petal length", "petal width")
    for axes, plane, title in zip(right.subplots(2, 2).flat, planes, titles, strict=True):
        image = axes.imshow(plane, cmap="viridis", origin="lower")
        axes.set(title=title, xlabel="column of units", ylabel="row of units")
        right.colorbar(image, ax=axes, label="deviations", shrink=0.8)
    return figure


def draw_digits(
    weights: jax.Array, clusters: np.ndarray, index: jax.Array, names: np.ndarray
) -> Figure:
    """The hexagonal map of digits: its units, its borders with names, and its clusters."""
    figure = Figure(figsize=(15, 5.6), layout="constrained")
    figure.suptitle("1797 digits on a hexagonal map of 14 x 14 units", fontsize=15)
    looks, borders, found = figure.subplots(1, 3)
    place = nn.som.unit_positions(hexagons)
    for unit, (x, y) in enumerate(place):
        picture = np.asarray(weights[unit]).reshape(8, 8)
        extent = (x - 0.42, x + 0.42, y - 0.42, y + 0.42)
        looks.imshow(picture, cmap="gray_r", extent=extent, vmin=0, vmax=1)
    looks.set_title("What each unit looks like")
    labels = np.asarray(nn.som.unit_labels(hexagons, index, jnp.asarray(names), 10))
    hits = np.asarray(nn.som.hit_map(hexagons, index)).ravel()
    heights = np.asarray(nn.som.u_matrix(hexagons, weights)).ravel()
    shades = (heights - heights.min()) / (heights.max() - heights.min())
    cells(borders, place, [str(1 - 0.8 * shade) for shade in shades])
    cells(found, place, [f"C{cluster}" for cluster in clusters])
    for axes in (borders, found):
        for unit, (x, y) in enumerate(place):
            if hits[unit]:
                axes.text(x, y, str(labels[unit]), ha="center", va="center", fontsize=8)
    borders.set_title("Borders (dark), and the digit of most rows there")
    found.set_title("Clusters of units by k-means (colours)")
    for axes in (looks, borders, found):
        axes.set(xlim=(-1, 15), ylim=(-1, 12.3), aspect="equal")
        axes.set(xlabel="along the rows of units", ylabel="across them")
    return figure


def cells(axes: Axes, place: np.ndarray, colours: list[str]) -> None:
    for (x, y), colour in zip(place, colours, strict=True):
        axes.add_patch(RegularPolygon((x, y), 6, radius=0.577, facecolor=colour, edgecolor="white"))
