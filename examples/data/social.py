"""Graphs of who knows whom, and of what cites what."""

import collections
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

import jaxnn as nn
from examples.data.fetched import fetched
from examples.data.split import need
from jaxnn.checks import install

INSTALL = install("examples-graph")
CORA = tuple(f"planetoid/ind.cora.{part}" for part in
             ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index"))  # fmt: skip
# All that these pickles name, old names beside new.
ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("scipy.sparse.csr", "csr_matrix"): scipy.sparse.csr_matrix,
    ("collections", "defaultdict"): collections.defaultdict,
    ("builtins", "list"): list,
    ("__builtin__", "list"): list,
}


class Citations(NamedTuple):
    """A graph of articles: a row of words in each node; y int32, their subjects; and three parts.

    train, validation, test: the numbers of the articles in each.
    """

    graph: nn.graph.Graph
    y: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def karate_club() -> tuple[nn.graph.Graph, np.ndarray]:
    """34 members of a club, an edge where two were friends, and the side each took as it split.

    The nodes are one-hot [34, 34]: they know nothing but who they are. y int32 [34], 0 for the
    side of the teacher, member 0, and 1 for that of the president, member 33.

    Raises:
      ImportError: where networkx is absent, with the command that installs it.

    (Zachary, An information flow model for conflict and fission in small groups, 1977; from
    networkx.)
    """
    club = need("networkx", INSTALL).karate_club_graph()
    senders, receivers = np.array(list(club.edges)).T
    y = np.array([club.nodes[i]["club"] != "Mr. Hi" for i in range(34)], np.int32)
    friends = nn.graph.make_graph(np.eye(34, dtype=np.float32), senders, receivers)
    return nn.graph.undirected(friends), y


def cora() -> Citations:
    """2708 articles on machine learning that cite each other, of seven subjects, as is usual.

    20 articles of each subject are to learn from, 500 to choose by and 1000 to test. A node has the
    words of the article, 1433 of them, scaled to a sum of one; citations go both ways.

    Raises:
      ImportError, OSError: as `fetched` does.
      ValueError: where a file holds what these files do not.

    (Sen et al., Collective classification in network data, 2008; the split: Yang, Cohen and
    Salakhutdinov, Revisiting semi-supervised learning with graph embeddings, 2016.)
    """
    paths = {name.rsplit(".", 1)[-1]: fetched(name) for name in CORA}
    order = np.loadtxt(paths.pop("index"), dtype=int)
    held = {name: plain_pickle(path) for name, path in paths.items()}
    rows = np.arange(len(held["graph"]))
    # The articles to test lie in a shuffled order of their own.
    rows[np.sort(order)] = order
    x = np.zeros((len(rows), held["allx"].shape[1]), np.float32)
    y = np.zeros(len(rows), np.int32)
    x[rows] = np.concatenate([held["allx"].toarray(), held["tx"].toarray()])
    y[rows] = np.concatenate([held["ally"], held["ty"]]).argmax(1)
    senders, receivers = np.array(
        [(one, other) for one, others in held["graph"].items() for other in others]
    ).T
    x = x / np.maximum(x.sum(1, keepdims=True), 1)
    train = len(held["y"])
    return Citations(
        nn.graph.undirected(nn.graph.make_graph(x, senders, receivers)),
        y,
        np.arange(train),
        np.arange(train, train + 500),
        np.sort(order),
    )


def plain_pickle(path: Path) -> Any:
    """What a pickle of arrays, sparse matrices, dicts and lists holds.

    A pickle can call any function that it names; here it may name those of ADMITTED alone.

    Raises:
      ValueError: where it names another.
    """
    with open(path, "rb") as file:
        try:
            return _Plain(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, ValueError, IndexError) as error:
            raise ValueError(f"{path} is not what it should be: {error}") from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no file of arrays needs: delete it, so that "
                "it is fetched again."
            )
        return ADMITTED[module, name]
