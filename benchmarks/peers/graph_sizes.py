"""A graph of Cora's size for every framework, in NumPy, so that no file is needed."""

import numpy as np

GCN = "GCN 1433-16-7, an epoch of a graph of Cora's size, Adam"
GAT = "GAT of 8 heads of 8, an epoch of a graph of Cora's size, Adam"
NODES, LINKS, WORDS, CLASSES, LABELLED = 2708, 5278, 1433, 7, 140


def citations() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words [nodes, words] float32 of few that are not zero, ends int32 [2, edges], labels int32.

    Links are drawn so that a few nodes have many, each is there both ways, none twice.
    """
    generator = np.random.default_rng(0)
    x = (generator.random((NODES, WORDS)) < 18 / WORDS).astype(np.float32)
    x /= np.maximum(x.sum(1, keepdims=True), 1)
    liked = 1 / np.arange(1, NODES + 1) ** 0.5
    pairs = generator.choice(NODES, (4 * LINKS, 2), p=liked / liked.sum())
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
    pairs = generator.permutation(pairs)[:LINKS]
    ends = np.concatenate([pairs, pairs[:, ::-1]]).T.astype(np.int32)
    return x, ends, generator.integers(0, CLASSES, NODES, np.int32)
