import chex
import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn
from tests.small import counter, decay

X = jnp.ones((8, 4))


def test_taps_are_the_outputs_of_the_children(key):
    net = nn.serial(encoder=nn.mlp(8, 4), head=nn.dense(2))
    params, state = net.init(key, X)
    found = nn.taps(net, params, state, X)
    assert list(found) == ["encoder/0", "encoder/1", "encoder/2", "encoder", "head"]
    chex.assert_trees_all_close(found["head"], net(params, X), rtol=1e-6)
    chex.assert_trees_all_close(found["encoder/1"], jax.nn.relu(found["encoder/0"]))


def test_taps_of_params_of_another_net_are_refused(key):
    params, state = nn.mlp(8, 2).init(key, X)
    with pytest.raises(ValueError, match="taps takes the params of the net"):
        nn.taps(nn.mlp(16, 2), params, state, X)


def test_taps_of_repeat_are_stacked_over_depth(key):
    net = nn.repeat(nn.serial(nn.dense(4), jnp.tanh), 3)
    params, state = net.init(key, X)
    found = nn.taps(net, params, state, X)
    assert found["1"].shape == (3, 8, 4)
    chex.assert_trees_all_close(found["1"][-1], net(params, X), rtol=1e-6)


def test_taps_of_ensemble_are_stacked_over_members(key):
    net = nn.ensemble(nn.mlp(8, 2), 5)
    params, state = net.init(key, X)
    assert nn.taps(net, params, state, X)["2"].shape == (5, 8, 2)


def test_taps_reach_through_remat_dtype_and_jit(key):
    inner = nn.mlp(8, 2)
    net = nn.serial(a=nn.remat(inner), b=nn.with_dtype(nn.serial(nn.dense(3)), jnp.bfloat16))
    params, state = net.init(key, X)
    found = jax.jit(lambda params: nn.taps(net, params, state, X))(params)
    assert set(found) == {"a/0", "a/1", "a/2", "a", "b/0", "b"}
    assert found["b/0"].dtype == jnp.bfloat16


def test_a_second_call_and_a_tuple_have_paths_of_their_own(key):
    net = nn.wire(lambda f, x: f.pair(f.a(f.a(x)))[0], a=nn.dense(4), pair=lambda x: (x, -x))
    params, state = net.init(key, X)
    found = nn.taps(net, params, state, X)
    assert set(found) == {"a", "a:1", "pair[0]", "pair[1]"}
    chex.assert_trees_all_equal(found["pair[1]"], -found["a:1"])


def test_taps_of_a_cell_start_from_a_fresh_carry_and_state_is_read(key):
    net = nn.serial(decay(), counter())
    x = jnp.ones((8, 3, 4))
    params, state = net.init(key, x)
    assert nn.taps(net, params, state, x)["0"].shape == (8, 3, 4)


def test_taps_can_be_differentiated(key):
    net = nn.mlp(8, 2)
    params, state = net.init(key, X)
    gradient = jax.grad(lambda params: nn.taps(net, params, state, X)["0"].sum())(params)
    assert (gradient[0]["w"] != 0).any()
    assert (gradient[2]["w"] == 0).all()


def cost(net, x):
    return {row.path: row.macs for row in nn.summary_rows(net, x)}


def test_multiply_adds_are_those_of_the_closed_form():
    x = jax.ShapeDtypeStruct((8, 5, 4), jnp.float32)
    assert cost(nn.mlp(16, 2), x) == {"0": 40 * 64, "1": 0, "2": 40 * 32, "": 40 * 96}


def test_multiply_adds_count_the_trips_of_scans_and_the_members_of_ensembles():
    x = jax.ShapeDtypeStruct((8, 4), jnp.float32)
    assert cost(nn.repeat(nn.serial(nn.dense(4)), 7), x) == {"0": 7 * 128, "": 7 * 128}
    assert cost(nn.ensemble(nn.dense(4), 7), x) == {"": 7 * 128}
    twice = nn.wire(lambda f, x: f.a(f.a(x)), a=nn.dense(4))
    assert cost(twice, x) == {"a": 128, "a:1": 128, "": 256}


def test_multiply_adds_of_a_convolution_are_outputs_times_kernel():
    def conv(x, lhs_dilation):
        kernel = jnp.ones((3, 3, 2, 6))
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            [(1, 1), (1, 1)],
            lhs_dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=2,
        )

    x = jax.ShapeDtypeStruct((5, 8, 8, 4), jnp.float32)
    assert cost(nn.lift(lambda x: conv(x, (1, 1))), x)[""] == 5 * 64 * 6 * 9 * 2
    wide = 5 * 15 * 15 * 6 * 9 * 2 // 4
    assert cost(nn.lift(lambda x: conv(x, (2, 2))), x)[""] == wide


def test_of_branches_the_dearest_counts():
    def either(x):
        return jax.lax.cond(x.sum() > 0, lambda: x @ x, lambda: x @ x @ x)

    assert cost(nn.lift(either), jnp.ones((4, 4)))[""] == 2 * 64


def test_a_summary_lists_every_child_with_its_params_and_state():
    net = nn.serial(a=nn.repeat(nn.serial(nn.dense(4), counter()), 3), b=nn.dense(2))
    lines = nn.summary(net, X).splitlines()
    assert lines[0].split() == ["path", "layer", "output", "params", "state", "multiply-adds"]
    table = {line.split()[0]: line.split() for line in lines[1:]}
    assert list(table) == ["a/0", "a/1", "a", "b", "total"]
    assert table["a/0"][1:] == ["dense", "float32[8,4]", "x", "3", "60", "0", "384"]
    assert table["a"][1:] == ["repeat", "float32[8,4]", "60", "3", "384"]
    assert table["total"][-3:] == ["70", "3", "448"]


def test_what_nothing_uses_is_not_counted():
    w = jnp.ones((3, 5))

    def twice(x):
        jnp.matmul(x, w)  # for nothing
        return x @ w

    assert nn.summary_rows(nn.lift(twice), jnp.ones((2, 3)))[-1].macs == 2 * 3 * 5
