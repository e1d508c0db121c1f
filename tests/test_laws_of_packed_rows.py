"""Law 13: a packed row equals its documents apart."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from tests.laws import (
    advance,
    forward,
    is_cell,
    is_sequence,
    law,
    made,
    rounding,
    run,
)
from tests.registry import ENTRIES, HALF

# Documents in rows of 6 steps: with padding before, within and after them, one that fills its row,
# neighbors of one number with others between, and a row without any.
SEGMENTS = np.array(
    [[1, 1, 1, 2, 2, 0], [3, 3, 3, 3, 3, 3], [1, 2, 2, 3, 3, 3], [2, 2, 0, 2, 1, 1],
     [0, 1, 1, 1, 2, 3], [5, 5, 4, 4, 5, 5], [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]], np.int32
)  # fmt: skip


def documents():
    """(row, its steps) of each document in SEGMENTS."""
    found = []
    for row, segments in enumerate(SEGMENTS):
        before = 0
        for step in np.flatnonzero(segments):
            if segments[step] != before:
                found.append((row, []))
            found[-1][1].append(step)
            before = segments[step]
    return found


def apart(leaf):
    """Packed rows as one row for each document, [documents, 6, ...]; of others, the rows."""
    leaf = np.asarray(leaf)
    rows = leaf[[row for row, _ in documents()]]
    if leaf.shape[1:2] != (6,):
        return rows
    rows = np.zeros_like(rows)
    for i, (row, steps) in enumerate(documents()):
        rows[i, : len(steps)] = leaf[row, steps]
    return rows


def steps_of(y):
    """What a net gives for each step."""
    return [leaf for leaf in jax.tree.leaves(y) if core.floating(leaf) and leaf.shape[1:2] == (6,)]


def packed(name):
    """The input of an entry as packed rows; None if it takes no mask, or if it refuses them."""
    net, params, state, x = made(name)
    if not is_sequence(x):
        return None
    pack, look = ENTRIES[name].pack, lambda x: forward(net, params, state, x)
    try:
        jax.eval_shape(look, pack(x, SEGMENTS > 0))
    except Exception:
        return None
    x = pack(x, jnp.asarray(SEGMENTS))
    try:
        jax.eval_shape(look, x)
    except (TypeError, ValueError) as error:
        if "document" not in str(error):
            raise
        return None
    return x


@law(13, long=True)
def test_a_packed_row_equals_its_documents_apart(name):
    _, params, state, x = made(name)
    together = packed(name)
    if together is None:
        return
    lengths = np.array([len(steps) for _, steps in documents()])
    mask = np.arange(6) < lengths[:, None]
    alone = ENTRIES[name].pack(jax.tree.map(apart, x), mask)
    y, z = (steps_of(run(name, params, state, each)[0]) for each in (together, alone))
    assert y
    for ours, theirs in zip(y, z, strict=True):
        wide = mask.reshape(*mask.shape, *(1,) * (ours.ndim - 2))
        assert_close(name, apart(ours), np.where(wide, theirs, 0))


@law(13, is_cell, long=True)
def test_any_split_of_packed_rows_gives_the_same(name):
    net, params, state, _ = made(name)
    x = packed(name)
    if x is None or 8 in ENTRIES[name].exempt:
        return
    whole, _ = advance(net, params, state, net.carry(params, x), x)
    carry, parts = net.carry(params, x), []
    for start, end in ((0, 2), (2, 3), (3, 6)):
        chunk = jax.tree.map(lambda leaf, a=start, b=end: leaf[:, a:b], x)
        y, carry = advance(net, params, state, carry, chunk)
        parts.append(y)
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *parts)
    for ours, theirs in zip(steps_of(whole), steps_of(joined), strict=True):
        assert_close(name, ours, theirs)


def assert_close(name, ours, theirs):
    half = ENTRIES[name].exempt is HALF
    chex.assert_trees_all_close(
        ours, theirs, **(rounding(name) if half else {"rtol": 1e-5, "atol": 1e-5})
    )
