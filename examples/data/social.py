"""Graphs of friendships and of citations."""

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
# All names that these pickles use, old ones included.
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
    """A graph of articles.

    graph: a node has the words of its article.
    y: int32 [articles], their subjects.
    train, validation, test: the indices of the articles of each part.
    """

    graph: nn.graph.Graph
    y: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def karate_club() -> tuple[nn.graph.Graph, np.ndarray]:
    """34 members of a club, their friendships as edges, and the side each took when it split.

    The nodes are one-hot [34, 34], so they have no features but their identity. y int32 [34], 0 for
    the side of the teacher, member 0, and 1 for that of the president, member 33.

    Raises:
      ImportError: if networkx is absent, with the command that installs it.

    (Zachary, An information flow model for conflict and fission in small groups, 1977; from
    networkx.)
    """
    club = need("networkx", INSTALL).karate_club_graph()
    senders, receivers = np.array(list(club.edges)).T
    y = np.array([club.nodes[i]["club"] != "Mr. Hi" for i in range(34)], np.int32)
    friends = nn.graph.make_graph(np.eye(34, dtype=np.float32), senders, receivers)
    return nn.graph.undirected(friends), y


def cora() -> Citations:
    """2708 articles on machine learning of seven subjects, with their citations.

    The split is the usual one: 20 articles of each subject for training, 500 for validation and
    1000 for test. A node has 1433 indicators of words, scaled to a sum of one; citations are edges
    in both directions.

    Raises:
      ImportError, OSError: as `fetched`.
      ValueError: if a file contains other objects than these files do.

    (Sen et al., Collective classification in network data, 2008; the split: Yang, Cohen and
    Salakhutdinov, Revisiting semi-supervised learning with graph embeddings, 2016.)
    """
    paths = {name.rsplit(".", 1)[-1]: fetched(name) for name in CORA}
    order = np.loadtxt(paths.pop("index"), dtype=int)
    parts = {name: plain_pickle(path) for name, path in paths.items()}
    rows = np.arange(len(parts["graph"]))
    # The test articles are stored in a shuffled order.
    rows[np.sort(order)] = order
    x = np.zeros((len(rows), parts["allx"].shape[1]), np.float32)
    y = np.zeros(len(rows), np.int32)
    x[rows] = np.concatenate([parts["allx"].toarray(), parts["tx"].toarray()])
    y[rows] = np.concatenate([parts["ally"], parts["ty"]]).argmax(1)
    senders, receivers = np.array(
        [(one, other) for one, others in parts["graph"].items() for other in others]
    ).T
    x = x / np.maximum(x.sum(1, keepdims=True), 1)
    train = len(parts["y"])
    return Citations(
        nn.graph.undirected(nn.graph.make_graph(x, senders, receivers)),
        y,
        np.arange(train),
        np.arange(train, train + 500),
        np.sort(order),
    )


def plain_pickle(path: Path) -> Any:
    """The object in a pickle of arrays, sparse matrices, dicts and lists.

    A pickle can call any function that it names; here it may only name those of ADMITTED.

    Raises:
      ValueError: if it names another one, or is damaged.
    """
    with open(path, "rb") as file:
        try:
            return _Plain(file, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, ValueError, IndexError) as error:
            raise ValueError(f"{path} is not a pickle of arrays: {error}") from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no file of arrays needs: delete it, so that "
                "it is downloaded again."
            )
        return ADMITTED[module, name]
