"""Training and prediction on a table of molecules that lies on the device as one graph."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from examples import Options, data
from examples.molecules.network import Size, network, optimizer_of, plan, size_of


class Learner(NamedTuple):
    """How the molecules of a table are learned and predicted, as functions that compile once.

    init: (seed) -> train.
    step: (train, (index, y, known)) -> (train, metrics).
    predict: (params, index) -> predictions [index, tasks].
    predict_without_atoms: (params, index of one molecule) -> predictions [atoms, tasks], each
      without the features of one atom.
    size: of a batch and of the run.
    """

    init: Callable
    step: Callable
    predict: Callable
    predict_without_atoms: Callable
    size: Size


def learner(options: Options, table: str, molecules: data.Molecules) -> Learner:
    """The learner of a table, "esol" or "tox21"."""
    step, _, (graph, y, _) = plan(options, table)
    size, net = size_of(options, table), network(y.shape[1])
    all_molecules = jax.device_put(molecules.graph)

    def batch_of(index):
        return nn.graph.take_graphs(all_molecules, index, nodes=size.nodes, edges=size.edges)

    @jax.jit
    def predict_batch(params, index):
        return net(params, batch_of(index))

    @jax.jit
    def predict_batch_without_atoms(params, index, first):
        # The batch is filled with copies of one molecule, each without another of its atoms.
        graph = batch_of(jnp.full(size.graphs, index))
        copy = nn.graph.node_graphs(graph)
        starts = jnp.cumsum(graph.sizes[:, 0]) - graph.sizes[:, 0]
        atom = jnp.arange(size.nodes) - jnp.take(starts, copy, mode="clip")
        kept = atom != first + copy
        return net(params, graph._replace(nodes=graph.nodes * kept[:, None]))

    def init(seed):
        return nn.training.init_train(net, optimizer_of(size.steps), jax.random.key(seed), graph)

    def step_of_rows(train, rows):
        index, y, known = rows
        return step(train, (batch_of(index), y, known))

    def predict(params, index):
        starts = range(0, len(index), size.graphs)
        # If the last batch has fewer rows, it repeats them, so that one program serves all.
        batches = [np.resize(index[i : i + size.graphs], size.graphs) for i in starts]
        predictions = [np.asarray(predict_batch(params, batch)) for batch in batches]
        return np.concatenate(predictions)[: len(index)]

    def predict_without_atoms(params, index):
        atoms = int(molecules.graph.sizes[index, 0])
        copies = min(size.graphs, size.nodes // atoms)
        predictions = [
            np.asarray(predict_batch_without_atoms(params, index, first)[:copies])
            for first in range(0, atoms, copies)
        ]
        return np.concatenate(predictions)[:atoms]

    return Learner(init, step_of_rows, predict, predict_without_atoms, size)


def training_rows(index: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(index, measured values with zeros for those that are missing, whether each was measured)."""
    return index.astype(np.int32), np.nan_to_num(y[index]), ~np.isnan(y[index])
