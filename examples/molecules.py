"""What a molecule does, read off its graph: how well it dissolves, and whether it is toxic.

A message passing network sees atoms and the bonds between them, and nothing that is computed of the
whole molecule. All molecules lie on the device as one union, from which every step takes a batch
that is padded to one size: one program serves molecules of all sizes.

ESOL's solubility is learned three times on a random split and three times on a split by scaffold,
where the molecules to test are of other kinds than those to learn from. Beside it stands a random
forest on the 217 descriptors of RDKit, which know much of chemistry. Tox21 has twelve assays, of
which each molecule went through some. Those params are kept that do best on the validation rows,
which chose widths and lengths too; the test rows chose nothing.

(Gilmer et al., Neural message passing for quantum chemistry, 2017.)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import roc_auc_score

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data import molecules as chemistry
from examples.molecules_pictures import draw_atoms, draw_errors

BAR_RMSE, BAR_AUROC = 0.80, 0.78  # log10 of mol/L, mean of SEEDS; mean over twelve assays
SEEDS = 3  # runs on each split of ESOL
WIDTH, DEPTH, DROPOUT, RATE = 64, 4, 0.1, 2e-3


class Size(NamedTuple):
    """Graphs, nodes and edges of a batch, steps, and steps between validations."""

    graphs: int
    nodes: int
    edges: int
    steps: int
    every: int


# Six deviations above the mean: a batch that does not fit does not come.
SIZES = {"esol": Size(64, 1184, 2512, 900, 50), "tox21": Size(128, 3216, 6656, 800, 80)}
QUICK = {"esol": Size(64, 1184, 2512, 40, 20), "tox21": Size(64, 1760, 3664, 4, 4)}


def block() -> nn.Layer:
    """A round of messages, added to what the atoms are."""
    message = nn.serial(nn.dense(WIDTH), jax.nn.relu)
    update = nn.serial(nn.dense(WIDTH), nn.layer_norm(), jax.nn.relu, nn.dropout(DROPOUT))
    body = nn.graph.message_passing(message, update)
    return nn.wire(lambda f, x: x._replace(nodes=x.nodes + f.body(x).nodes), body=body)


def network(tasks: int) -> nn.Layer:
    """Molecules to one number a task."""
    return nn.serial(
        nn.graph.nodewise(nn.dense(WIDTH)),
        *(block() for _ in range(DEPTH)),
        nn.graph.readout("sum", "mean", "max"),
        nn.layer_norm(),
        *(nn.dense(WIDTH), jax.nn.relu, nn.dropout(DROPOUT), nn.dense(tasks)),
    )


# Learning


def squared(prediction: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.square(prediction - y)


def loss_of(net: nn.Layer, distance: Callable) -> Callable:
    """The mean of distance(prediction, y) over what is known of the molecules that are there."""

    def loss(params, state, batch, *, key, train):
        graph, y, known = batch
        prediction, state = net.apply(params, state, graph, key=key, train=train)
        known = known & nn.graph.graph_mask(graph)[:, None]
        each = jnp.where(known, distance(prediction, y), 0)
        return each.sum() / jnp.maximum(known.sum(), 1), (state, {})

    return loss


def descent(steps: int) -> optax.GradientTransformation:
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 10, steps)
    adam = optax.adamw(rate, weight_decay=1e-2, mask=nn.decayed)
    return optax.chain(optax.clip_by_global_norm(1.0), adam)


def size(options: Options, table: str) -> Size:
    return (QUICK if options.quick else SIZES)[table]


def plan(options: Options, table: str = "esol"):
    tasks, distance = (1, squared) if table == "esol" else (12, optax.sigmoid_binary_cross_entropy)
    net, mine, shape = network(tasks), size(options, table), jax.ShapeDtypeStruct
    ends = shape((mine.edges,), jnp.int32)
    graph = nn.graph.Graph(
        shape((mine.nodes, chemistry.ATOM_WIDTH), jnp.float32),
        shape((mine.edges, chemistry.BOND_WIDTH), jnp.float32),
        *(ends, ends, (), shape((mine.graphs, 2), jnp.int32)),
    )
    train = nn.training.init_train(net, descent(mine.steps), jax.random.key(options.seed), graph)
    step = nn.training.step(loss_of(net, distance), descent(mine.steps))
    rows = (mine.graphs, tasks)
    return step, train, (graph, shape(rows, jnp.float32), shape(rows, bool))


class Learner(NamedTuple):
    """How a table's molecules are learned and read: functions that are compiled once."""

    start: Callable  # (seed) -> Train
    step: Callable  # (train, (index, y, known)) -> (train, metrics)
    read: Callable  # (params, index) -> predictions [index, tasks]
    without: Callable  # (params, one index) -> predictions [atoms, tasks], an atom untold in each
    size: Size


def learner(options: Options, table: str, molecules: data.Molecules) -> Learner:
    step, _, (graph, y, _) = plan(options, table)
    mine, net = size(options, table), network(y.shape[1])
    whole = jax.device_put(molecules.graph)

    def batch(index):
        return nn.graph.take_graphs(whole, index, nodes=mine.nodes, edges=mine.edges)

    @jax.jit
    def some(params, index):
        return net(params, batch(index))

    def read(params, index):
        parts = [np.resize(index[i : i + mine.graphs], mine.graphs)
                 for i in range(0, len(index), mine.graphs)]  # fmt: skip
        found = [some(params, part) for part in parts]
        return np.concatenate([np.asarray(each) for each in found])[: len(index)]

    @jax.jit
    def untold(params, index, first):
        # As many copies of one molecule as go into a batch, each without another of its atoms.
        graph = batch(jnp.full(mine.graphs, index))
        belongs = nn.graph.node_graphs(graph)
        starts = jnp.cumsum(graph.sizes[:, 0]) - graph.sizes[:, 0]
        place = jnp.arange(mine.nodes) - jnp.take(starts, belongs, mode="clip")
        kept = place != first + belongs
        return net(params, graph._replace(nodes=graph.nodes * kept[:, None]))

    def without(params, index):
        atoms = int(molecules.graph.sizes[index, 0])
        room = min(mine.graphs, mine.nodes // atoms)
        found = [untold(params, index, first)[:room] for first in range(0, atoms, room)]
        return np.concatenate([np.asarray(each) for each in found])[:atoms]

    def start(seed):
        return nn.training.init_train(net, descent(mine.steps), jax.random.key(seed), graph)

    def taken(train, rows):
        index, *y_known = rows
        return step(train, (batch(index), *y_known))

    return Learner(start, taken, read, without, mine)


def rows(index: np.ndarray, y: np.ndarray) -> tuple:
    """Some molecules to learn from: their numbers, what was measured, and whether it was."""
    return index.astype(np.int32), np.nan_to_num(y[index]), ~np.isnan(y[index])


def rmse(prediction: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(prediction - y))))


def auroc(prediction: np.ndarray, y: np.ndarray) -> float:
    """The mean over tasks of the area below the curve of hits over false alarms."""
    known = ~np.isnan(y)
    areas = [
        roc_auc_score(y[some, i], prediction[some, i])
        for i, some in enumerate(known.T)
        if len(np.unique(y[some, i])) == 2
    ]
    return float(np.mean(areas)) if areas else float("nan")


class Solved(NamedTuple):
    """A run on ESOL.

    error: RMSE on the test rows.
    found: what it says of these, log10 of mol/L.
    told: (index) -> [atoms], how much of it each atom of a molecule adds.
    """

    error: float
    found: np.ndarray
    told: Callable
    end: nn.training.FitResult


def solubility(mine: Learner, y: np.ndarray, split: list, seed: int) -> Solved:
    """One run on ESOL."""
    train, validation, test = split
    middle, spread = y[train].mean(), y[train].std()

    def read(params, index):
        return mine.read(params, index) * spread + middle

    end = nn.training.fit(
        mine.step,
        mine.start(seed),
        rows(train, (y - middle) / spread),
        steps=mine.size.steps,
        batch_size=mine.size.graphs,
        every=mine.size.every,
        validate=lambda now: {"loss": rmse(read(now.params, validation), y[validation])},
    )
    params = end.best.params

    def told(index):
        whole = mine.read(params, np.array([index]))
        return ((whole - mine.without(params, index)) * spread)[:, 0]

    found = read(params, test)
    return Solved(rmse(found, y[test]), found[:, 0], told, end)


def forest(options: Options, x: np.ndarray, y: np.ndarray, split: list) -> float:
    """RMSE of a random forest, mean of as many."""
    train, validation, test = split
    both = np.concatenate([train, validation])
    found = []
    for i in range(1 if options.quick else SEEDS):
        machine = RandomForestRegressor(20 if options.quick else 200, random_state=i)
        found.append(rmse(machine.fit(x[both], y[both, 0]).predict(x[test]), y[test, 0]))
    return float(np.mean(found))


def toxicity(options: Options, seed: int) -> tuple[float, float]:
    """(AUROC on the test rows, on the validation rows) of one run on Tox21."""
    molecules = data.tox21()
    mine = learner(options, "tox21", molecules)
    train, validation, test = chemistry.random_split(len(molecules.smiles))
    y = molecules.y
    end = nn.training.fit(
        mine.step,
        mine.start(seed),
        rows(train, y),
        steps=mine.size.steps,
        batch_size=mine.size.graphs,
        every=mine.size.every,
        validate=lambda now: {"auroc": auroc(mine.read(now.params, validation), y[validation])},
        monitor="auroc",
        highest=True,
    )
    some = test[:256] if options.quick else test
    best = max(row["validation_auroc"] for row in end.history)
    return auroc(mine.read(end.best.params, some), y[some]), best


def run(options: Options) -> Result:
    molecules = data.esol()
    mine = learner(options, "esol", molecules)
    n = len(molecules.smiles)
    splits = {
        "random": chemistry.random_split(n),
        "scaffold": chemistry.scaffold_split(molecules.smiles),
    }
    seeds = [3 * options.seed + i for i in range(1 if options.quick else SEEDS)]
    ends = {
        title: [solubility(mine, molecules.y, split, seed) for seed in seeds]
        for title, split in splits.items()
    }
    errors = {title: [each.error for each in runs] for title, runs in ends.items()}
    first, tested = ends["random"][0], splits["random"][2]
    if options.quick:  # descriptors take 10 ms a molecule
        splits = {"random": [part[:60] for part in splits["random"]]}
    needed = np.unique(np.concatenate([part for split in splits.values() for part in split]))
    some = chemistry.descriptors([molecules.smiles[i] for i in needed])
    x = np.zeros((n, some.shape[1]), np.float32)
    x[needed] = some
    forests = {title: forest(options, x, molecules.y, split) for title, split in splits.items()}
    area, validation_area = toxicity(options, options.seed)
    return Result(
        checks=(
            Check("rmse", float(np.mean(errors["random"])), BAR_RMSE, False),
            Check("tox21_auroc", area, BAR_AUROC),
        ),
        baseline="random forest on 217 descriptors of RDKit",
        baseline_value=forests["random"],
        steps=mine.size.steps,
        parameters=nn.count_params(first.end.train.params),
        metrics={
            "rmse_deviation": float(np.std(errors["random"])),
            "rmse_scaffold": float(np.mean(errors["scaffold"])),
            **{f"rmse_{title}_of_forest": error for title, error in forests.items()},
            "validation_rmse": min(row["validation_loss"] for row in first.end.history),
            "tox21_validation_auroc": validation_area,
        },
        history=first.end.history,
        figures={
            "atoms": draw_atoms(molecules, tested, first.found, first.told),
            "solubility": draw_errors(
                *(molecules.y[tested, 0], first.found, first.error, first.end.history, BAR_RMSE)
            ),
        },
    )
