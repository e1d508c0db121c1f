from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import core
from jaxnn.layers.noise import dropout
from jaxnn.layers.recurrent.cells import elman, gru, mgu
from jaxnn.layers.recurrent.linear import lru, min_gru, min_lstm
from jaxnn.layers.recurrent.lstm import conv_lstm, lstm
from jaxnn.sequences.masks import length_mask
from jaxnn.sequences.unroll import bidirectional, stack, unroll

X = jax.random.normal(jax.random.key(1), (4, 6, 8))
LENGTHS = jnp.array([6, 3, 1, 0])
CELLS = {
    "elman": lambda: elman(8),
    "lstm": lambda: lstm(8, peepholes=True, projection=4),
    "gru": lambda: gru(8),
    "gru with reset before": lambda: gru(8, reset_after=False),
    "mgu": lambda: mgu(8),
    "min_gru": lambda: min_gru(8),
    "min_lstm": lambda: min_lstm(8),
    "lru": lambda: lru(8),
    "conv_lstm": lambda: nn.serial(
        lambda x: jax.tree.map(lambda v: v if v.dtype == bool else v[..., None], x), conv_lstm(4, 3)
    ),
    "stack": lambda: stack(nn.dense(8), gru(8), jnp.tanh, lru(8), nn.dense(4)),
    "bidirectional": lambda: stack(bidirectional(lstm(8), elman(8)), bidirectional(gru(4))),
    "repeat": lambda: nn.repeat(nn.residual(stack(elman(8), nn.dense(8))), 2),
}


def each(*names):
    names = names or tuple(CELLS)
    return pytest.mark.parametrize("make", [CELLS[name] for name in names], ids=names)


# Padding


@each()
def test_a_padded_row_gives_what_it_gives_alone(make, key):
    """In every output, in the carry, and in the gradients, even if padding is not a number."""
    cell = make()
    net = unroll(cell, return_carry=True)
    params, _ = cell.init(key, X)
    mask = length_mask(LENGTHS, 6)
    x = jnp.where(mask[..., None], X, jnp.nan)

    def leaves(y, carry):
        return sum(jnp.sum(jnp.sin(leaf.real)) for leaf in jax.tree.leaves((y, carry)))

    def padded(params):
        y, carry = net(params, (x, LENGTHS))
        return leaves(y, carry), (y, carry)

    def alone(params):
        rows = [net(params, X[i : i + 1, :n]) for i, n in enumerate(LENGTHS.tolist()) if n]
        rows.append((None, cell.carry(params, X[3:])))  # of no steps
        return sum(leaves(*row) for row in rows), rows

    (_, (y, carry)), gradient = jax.jit(jax.value_and_grad(padded, has_aux=True))(params)
    (_, rows), expected = jax.jit(jax.value_and_grad(alone, has_aux=True))(params)
    chex.assert_trees_all_close(gradient, expected, rtol=1e-4, atol=1e-5)
    for i, n in enumerate(LENGTHS.tolist()):
        assert not y[i, n:].any()
        if n:
            np.testing.assert_allclose(y[i, :n], rows[i][0][0], rtol=1e-5, atol=1e-6)
    carries = jax.tree.map(lambda *each: jnp.concatenate(each), *[r[1] for r in rows])
    chex.assert_trees_all_close(carry, carries, rtol=1e-5, atol=1e-6)


@each("lstm", "lru", "conv_lstm", "stack", "bidirectional")
def test_masked_steps_anywhere_are_as_if_they_were_not(make, key):
    cell = make()
    params, _ = cell.init(key, X)
    mask = jnp.array([[0, 1, 1, 0, 1, 0]], bool)
    y, carry = unroll(cell, return_carry=True)(params, (X[:1], mask))
    z, end = unroll(cell, return_carry=True)(params, X[:1, jnp.array([1, 2, 4])])
    np.testing.assert_allclose(y[mask], z[0], rtol=1e-5, atol=1e-6)
    assert not y[~mask].any()
    chex.assert_trees_all_close(carry, end, rtol=1e-5, atol=1e-6)


def test_lengths_are_a_mask_and_beyond_time_they_count_as_time(key):
    net = unroll(gru(8), return_carry=True)
    params, _ = net.init(key, X)
    by_mask = net(params, (X, length_mask(LENGTHS, 6)))
    chex.assert_trees_all_equal(by_mask, net(params, (X, LENGTHS)))
    chex.assert_trees_all_equal(by_mask, net(params, (X, LENGTHS.at[0].set(100))))
    chex.assert_trees_all_equal(by_mask, net(params, (X, LENGTHS.at[3].set(-2))))
    chex.assert_trees_all_equal(by_mask, net(params, (np.asarray(X), np.array([6, 3, 1, 0], "u1"))))
    chex.assert_trees_all_close(
        net(params, X), net(params, (X, jnp.full(4, 6))), rtol=1e-6, atol=1e-6
    )


def test_no_steps_give_zeros_and_the_fresh_carry(key):
    cell = lstm(8)
    params, _ = cell.init(key, X)
    y, carry = unroll(cell, return_carry=True)(params, (X, jnp.zeros(4, int)))
    assert not y.any()
    chex.assert_trees_all_equal(carry, cell.carry(params, X))


@each("lstm", "lru", "conv_lstm", "stack", "repeat")
def test_params_do_not_depend_on_padding(make, key):
    net = unroll(make())
    plain = net.init(key, X)
    for second in (LENGTHS, length_mask(LENGTHS, 6)):
        chex.assert_trees_all_equal(plain, net.init(key, (X, second)))
        chex.assert_trees_all_equal(plain, net.init(key, core.spec((X, second))))


@each("lstm", "lru", "conv_lstm", "stack", "bidirectional")
def test_an_empty_batch_and_an_empty_chunk_are_no_special_case(make, key):
    cell = make()
    net = unroll(cell, return_carry=True)
    params, _ = cell.init(key, X)
    y, _ = net(params, (X[:0], LENGTHS[:0]))
    assert y.shape[:2] == (0, 6)
    y, carry = net(params, X[:, :0])
    assert y.shape[:2] == (4, 0)
    chex.assert_trees_all_equal(carry, cell.carry(params, X))


# Directions


def test_backwards_is_the_reverse_of_the_reversed(key):
    net, back = unroll(gru(8)), unroll(gru(8), reverse=True)
    params, _ = net.init(key, X)
    expected = jnp.flip(net(params, jnp.flip(X, 1)), 1)
    np.testing.assert_allclose(back(params, X), expected, rtol=1e-5, atol=1e-6)
    row = back(params, (X, LENGTHS))[1]
    np.testing.assert_allclose(row[:3], back(params, X[1:2, :3])[0], rtol=1e-5, atol=1e-6)
    assert not row[3:].any()


def test_the_last_output_is_that_of_the_last_valid_step(key):
    net, last = unroll(gru(8)), unroll(gru(8), last=True)
    params, _ = net.init(key, X)
    y = net(params, (X, LENGTHS))
    expected = jnp.stack([y[0, 5], y[1, 2], y[2, 0], jnp.zeros(8)])
    np.testing.assert_array_equal(last(params, (X, LENGTHS)), expected)
    np.testing.assert_allclose(last(params, X), net(params, X)[:, -1], rtol=1e-6)
    gaps = jnp.array([[0, 1, 0, 1, 0, 0]] * 4, bool)
    np.testing.assert_array_equal(last(params, (X, gaps)), net(params, (X, gaps))[:, 3])
    back = unroll(gru(8), reverse=True, last=True)
    whole = unroll(gru(8), reverse=True)(params, (X, LENGTHS))
    np.testing.assert_array_equal(back(params, (X, LENGTHS)), whole[:, 0])


def test_bidirectional_is_one_cell_from_each_end(key):
    net = unroll(bidirectional(lstm(8), gru(8)), return_carry=True)
    params, _ = net.init(key, X)
    y, carry = net(params, (X, LENGTHS))
    forward = unroll(lstm(8), return_carry=True)(params["forward"], (X, LENGTHS))
    backward = unroll(gru(8), return_carry=True, reverse=True)(params["backward"], (X, LENGTHS))
    np.testing.assert_allclose(y, jnp.concatenate([forward[0], backward[0]], -1), rtol=1e-6)
    chex.assert_trees_all_close(carry, {"forward": forward[1], "backward": backward[1]}, rtol=1e-6)


def test_two_directions_have_params_of_their_own_and_merge_as_they_are_told(key):
    params, _ = bidirectional(gru(8)).init(key, X)
    assert jnp.abs(params["forward"]["w"] - params["backward"]["w"]).max() > 0.1
    both = unroll(bidirectional(gru(8)))(params, X)
    summed = unroll(bidirectional(gru(8), merge=nn.add))(params, X)
    np.testing.assert_allclose(summed, both[..., :8] + both[..., 8:], rtol=1e-5, atol=1e-6)


# Stacks


def test_a_stack_has_the_params_of_a_serial(key):
    layers = gru(8), nn.dense(4), lru(8)
    chex.assert_trees_all_equal(
        stack(*layers).init(key, X), nn.serial(*layers).init(key, X), stack(*layers).init(key, X)
    )
    named = stack(encoder=gru(8), head=nn.dense(4))
    assert list(named.init(key, X)[0]) == ["encoder", "head"]


def test_dropout_between_cells_works_in_training_alone(key):
    net = unroll(stack(gru(8), dropout(0.5), gru(8)))
    params, _ = net.init(key, X)
    x = X, LENGTHS
    plain = unroll(stack(gru(8), gru(8)))((params[0], params[2]), x)
    np.testing.assert_array_equal(net(params, x), plain)
    first, second = (net(params, x, key=k, train=True) for k in jax.random.split(key))
    assert jnp.abs(first - second).max() > 0.01
    assert not first[3].any()


def test_state_passes_through_a_stack_and_its_unrolling(key):
    from tests.small import counter

    net = unroll(stack(gru(8), counter()))
    params, state = net.init(key, X)
    _, state = net.apply(params, state, (X, LENGTHS))
    assert state == ((), 1)


def test_cells_compose_in_wires_and_with_dtype(key):
    cell = nn.wire(
        lambda f, x: f.b(f.a(x)), a=nn.remat(gru(8)), b=nn.with_dtype(gru(8), "bfloat16")
    )
    params, _ = cell.init(key, X)
    y = unroll(cell)(params, (X, LENGTHS))
    assert y.dtype == X.dtype
    plain = unroll(nn.serial(a=gru(8), b=gru(8)))(params, (X, LENGTHS))
    np.testing.assert_allclose(y, plain, atol=0.03)


# Along the stream


def test_a_step_is_compiled_once_and_streams_the_batch_result(key):
    cell = stack(lstm(8), nn.dense(8), lru(8))
    params, _ = cell.init(key, X)
    traces = []

    @jax.jit
    def step(carry, x):
        traces.append(1)
        (carry, y), _ = cell.apply(params, (), (carry, x[:, None]))
        return carry, y[:, 0]

    carry, y = cell.carry(params, X[:, :1]), []
    for t in range(6):
        carry, out = step(carry, X[:, t])
        y.append(out)
    whole, end = unroll(cell, return_carry=True)(params, X)
    np.testing.assert_allclose(jnp.stack(y, 1), whole, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(carry, end, rtol=1e-5, atol=1e-6)
    assert len(traces) == 1


@pytest.mark.parametrize("stop", [False, True])
def test_gradients_cross_from_chunk_to_chunk_unless_they_are_stopped(stop, key):
    cell = lstm(8)
    params, _ = cell.init(key, X)

    def second(x, params):
        (carry, _), _ = cell.apply(params, (), (cell.carry(params, x), x[:, :3]))
        carry = jax.lax.stop_gradient(carry) if stop else carry
        (_, y), _ = cell.apply(params, (), (carry, x[:, 3:]))
        return jnp.sum(y**2), y

    (_, y), gradient = jax.value_and_grad(second, has_aux=True)(X, params)
    np.testing.assert_allclose(y, unroll(cell)(params, X)[:, 3:], rtol=1e-5, atol=1e-6)
    assert bool(gradient[:, :3].any()) is not stop
    assert gradient[:, 3:].any()


def test_a_long_sequence_compiles_as_fast_as_a_short_one(key):
    net = unroll(stack(lstm(8), lstm(8)))
    params, _ = net.init(key, X)

    def size(steps):
        x = jax.ShapeDtypeStruct((2, steps, 8), jnp.float32)
        gradient = jax.jit(jax.grad(lambda params, x: net(params, x).sum()))
        return gradient.lower(params, x).as_text().count("\n")

    assert size(1024) == size(8)


# Bad input


@pytest.mark.parametrize(
    ("second", "error", "words"),
    [
        (jnp.ones((4,), jnp.float32), TypeError, "unroll takes a mask .* or lengths int"),
        ([6, 3, 1, 0], TypeError, "unroll takes a mask .* or lengths int"),
        (jnp.ones((), jnp.int32), ValueError, "one length for each of 4 rows"),
        (jnp.ones((3,), jnp.int32), ValueError, "one length for each of 4 rows, got int32.3."),
        (jnp.ones((4, 5), jnp.int32), ValueError, "takes a mask .4,6. with .*, got int32.4,5."),
        (jnp.ones((4, 6), jnp.float32), TypeError, "a mask bool .batch, time. or .*, got float32"),
        (jnp.ones((4, 5), bool), ValueError, "takes a mask .4,6. with .*, got bool.4,5."),
        (jnp.ones((4,), bool), ValueError, "a mask .4,6. with .*, got bool.4."),
        (jnp.ones((4, 6, 8), bool), ValueError, "a mask .4,6. with .*, got bool.4,6,8."),
        (X, TypeError, "lengths int"),
    ],
)
def test_what_is_neither_lengths_nor_mask_is_refused(second, error, words, key):
    net = unroll(stack(gru(8), nn.dense(2)))
    params, _ = net.init(key, X)
    with pytest.raises(error, match=words):
        net(params, (X, second))
    with pytest.raises(error, match=words):
        net.init(key, (X, second))


def test_a_cell_by_itself_takes_masks_alone(key):
    cell = gru(8)
    params, _ = cell.init(key, X)
    with pytest.raises(TypeError, match=r"use nn\.unroll for lengths"):
        cell.carry(params, (X, LENGTHS))
    with pytest.raises(ValueError, match=r"gru takes a mask \[4,6\]"):
        cell.init(key, (X, jnp.ones((4, 6, 1), bool)))


def test_the_last_of_no_steps_is_refused(key):
    net = unroll(gru(8), last=True)
    params, _ = net.init(key, X)
    with pytest.raises(ValueError, match="no last of no steps"):
        net(params, X[:, :0])


def test_only_cells_are_unrolled_turned_round_and_stacked(key):
    layer: Any = nn.dense(8)
    with pytest.raises(TypeError, match="unroll takes a Cell"):
        unroll(layer)
    with pytest.raises(TypeError, match="bidirectional takes cells"):
        bidirectional(gru(8), layer)
    with pytest.raises(TypeError, match="unroll the stack instead"):
        stack(unroll(gru(8)), nn.dense(8))


def test_a_cell_that_loses_the_mask_is_refused(key):
    cell = nn.wire(lambda f, x: f.a(x)[0], a=gru(8))
    params, _ = cell.init(key, (X, length_mask(LENGTHS, 6)))
    with pytest.raises(ValueError, match=r"did not get \(y, mask\)"):
        unroll(cell)(params, (X, LENGTHS))
