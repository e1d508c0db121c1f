"""What law 13 does not say of packed rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.layers.recurrent.cells import gru
from jaxnn.layers.recurrent.lstm import lstm
from jaxnn.sequences.unroll import stack, unroll

X = jax.random.normal(jax.random.key(0), (4, 6, 8))
PACKED = jnp.array([[1, 1, 2, 2, 2, 0], [3, 3, 3, 3, 3, 3], [0, 1, 1, 2, 3, 3], [1, 2, 1, 1, 2, 2]])


def test_a_cell_that_cannot_restart_by_itself_runs_packed_rows_step_by_step():
    def total(params, memory, x, mask):
        y = memory[:, None] + jnp.cumsum(x, axis=1)
        return y[:, -1], y

    net = unroll(nn.chunkwise(lambda key, x: ((), ()), lambda _, x: 0 * x[:, 0], total))
    y = net((), (jnp.ones((4, 6, 1)), PACKED))
    assert y[..., 0].tolist() == [
        [1, 2, 1, 2, 3, 0],
        [1, 2, 3, 4, 5, 6],
        [0, 1, 2, 1, 1, 2],
        [1, 1, 1, 2, 1, 2],
    ]


def test_the_carry_of_packed_rows_is_that_of_the_last_document(key):
    cell = lstm(8)
    params, _ = cell.init(key, X)
    _, carry = unroll(cell, return_carry=True)(params, (X, PACKED))
    assert carry.segment.tolist() == [2, 3, 3, 2]
    _, alone = unroll(cell, return_carry=True)(params, X[3:, 4:])
    for ours, theirs in zip(carry.memory, alone, strict=True):
        np.testing.assert_allclose(ours[3:], theirs, rtol=1e-5, atol=1e-6)


def test_a_sum_of_packed_rows_keeps_their_segments(key):
    net = unroll(nn.residual(stack(gru(8))))
    params, _ = net.init(key, X)
    cell = nn.residual(stack(gru(8)))
    (_, (_, segments)), _ = cell.apply(params, (), (cell.carry(params, (X, PACKED)), (X, PACKED)))
    assert segments is PACKED or (segments == PACKED).all()
    assert net(params, (X, PACKED)).shape == X.shape


def test_the_last_step_of_a_packed_row_is_refused(key):
    net = unroll(gru(8), last=True)
    params, _ = net.init(key, X)
    with pytest.raises(ValueError, match="no one last step, but one for each document"):
        net(params, (X, PACKED))


def test_a_packed_row_does_not_go_on_from_the_carry_of_others(key):
    cell = gru(8)
    params, _ = cell.init(key, X)
    with pytest.raises(ValueError, match=r"gru takes the carry of cell\.carry\(params, x\)"):
        cell.apply(params, (), (cell.carry(params, X), (X, PACKED)))


@pytest.mark.parametrize("layer", [nn.conv(8, 3, bias=False), nn.max_pool(3, stride=1)])
def test_what_looks_along_time_is_refused_over_documents_and_padding(layer, key):
    net = unroll(stack(gru(8), nn.serial(layer, jnp.tanh)))
    params, _ = net.init(key, X)
    for mask in (PACKED, PACKED > 0):
        with pytest.raises(TypeError, match="stack: (conv|max_pool) looks along time, where pad"):
            net(params, (X, mask))
    step = unroll(stack(gru(8), nn.spiking.time_distributed(nn.dense(8))))
    params, _ = step.init(key, X)
    assert step(params, (X, PACKED)).shape == X.shape
