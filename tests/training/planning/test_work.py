# pyright: reportArgumentType=false, reportOptionalOperand=false, reportOperatorIssue=false
"""The work of a program: multiply-adds against closed forms, and the bytes it must move."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType, PartitionSpec

import jaxnn as nn
from jaxnn.training.planning.programs import traced
from jaxnn.training.planning.work import count_work, work_of

FLOATS, TOKENS = jnp.float32, jnp.int32
spec = jax.ShapeDtypeStruct


def macs(net, x, y, platform="tpu"):
    """Multiply-adds of forward and backward pass, of float32 without a precision of its own."""
    loss = nn.mse if y.dtype == FLOATS else optax.softmax_cross_entropy_with_integer_labels
    objective = nn.training.supervised(net, loss)
    params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    step = jax.grad(lambda p, s, b: objective(p, s, b, key=None, train=False)[0])
    return work_of(traced(step, platform, params, state, (x, y))).macs["float32"]


def test_dense_layers_cost_their_weights_thrice_a_row_and_the_first_twice():
    net = nn.mlp(32, 16, 10)
    count = macs(net, spec((8, 20), FLOATS), spec((8, 10), FLOATS))
    assert count == 8 * (2 * 20 * 32 + 3 * (32 * 16 + 16 * 10))


def test_a_convolution_costs_its_kernel_at_every_output_in_each_pass():
    net = nn.serial(nn.conv(4, 3), nn.conv(8, 3, stride=2))
    x = spec((2, 8, 8, 3), FLOATS)
    first, second = 2 * 8 * 8 * 9 * 3 * 4, 2 * 4 * 4 * 9 * 4 * 8
    assert macs(net, x, spec((2, 4, 4, 8), FLOATS)) == 2 * first + 3 * second


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_attention_costs_two_products_of_time_by_time_in_each_pass(kv_heads):
    net = nn.attention(4, kv_heads=kv_heads)
    batch, time, width = 2, 8, 16
    projections = batch * time * width * (width + 2 * kv_heads * 4)
    out, scores = batch * time * width**2, 2 * batch * time * time * width
    x = spec((batch, time, width), FLOATS)
    assert macs(net, x, x) == 2 * projections + 3 * (out + scores)


def test_an_lstm_costs_its_matrices_at_every_step():
    net, batch, time, width, hidden = nn.unroll(nn.lstm(8)), 2, 5, 3, 8
    given = batch * time * width * 4 * hidden
    carried = batch * time * hidden * 4 * hidden
    count = macs(net, spec((batch, time, width), FLOATS), spec((batch, time, hidden), FLOATS))
    assert count == 2 * given + 3 * carried


GPT = {"vocabulary": 64, "width": 16, "depth": 3, "heads": 2, "length": 8}


def gpt_forward(rows=4, time=8, width=16, depth=3, vocabulary=64):
    blocks = depth * (12 * width**2 + 2 * time * width)
    return rows * time * blocks, rows * time * vocabulary * width


def test_gpt_costs_three_times_its_forward_pass():
    tokens = spec((4, 8), TOKENS)
    assert macs(nn.gpt2(**GPT), tokens, tokens) == 3 * sum(gpt_forward())


def test_remat_costs_the_blocks_once_more_but_for_their_last_product():
    tokens = spec((4, 8), TOKENS)
    blocks, head = gpt_forward()
    last = 4 * 8 * 3 * 4 * 16**2
    assert macs(nn.gpt2(**GPT, remat=True), tokens, tokens) == 4 * blocks + 3 * head - last


def test_a_platform_counts_its_own_form():
    # On the CPU the weights of attention are computed once more in the backward pass.
    tokens = spec((4, 8), TOKENS)
    more = 3 * 4 * 8 * 8 * 16
    assert macs(nn.gpt2(**GPT), tokens, tokens, "cpu") == 3 * sum(gpt_forward()) + more


def test_a_bfloat16_net_counts_as_bfloat16():
    net = nn.with_dtype(nn.dense(4), jnp.bfloat16)
    params, _ = jax.eval_shape(net.init, jax.random.key(0), spec((2, 3), FLOATS))
    assert count_work(net, params, spec((2, 3), FLOATS)).macs == {"bfloat16": 24}


def test_a_product_of_higher_precision_is_of_its_own_kind():
    square = spec((4, 4), FLOATS)
    work = count_work(lambda x: jnp.matmul(x, x, precision="highest") + x @ x, square)
    assert work.macs == {"float32": 64, "float32 highest": 64}


def test_of_branches_the_most_expensive_counts():
    square = spec((4, 4), FLOATS)
    branches = (lambda x: x, lambda x: x @ x @ x, lambda x: x @ x)
    work = count_work(lambda i, x: jax.lax.switch(i, branches, x), spec((), TOKENS), square)
    assert work.macs == {"float32": 128}
    assert work.unknown == ()


def test_a_while_loop_counts_once_and_is_said_to_be_unknown():
    square = spec((4, 4), FLOATS)
    work = count_work(
        lambda x: jax.lax.while_loop(lambda y: y[0, 0] < 9, lambda y: y @ x, x), square
    )
    assert work.macs == {"float32": 64}
    assert work.unknown == ("the length of a while loop, which counts once",)


def test_a_callback_is_said_to_be_unknown():
    vector = spec((4,), FLOATS)
    work = count_work(lambda x: jax.pure_callback(lambda x: x, vector, x), vector)
    assert len(work.unknown) == 1
    assert "callback" in work.unknown[0]


def test_the_inside_of_a_shard_map_counts_for_every_device():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("data")
    inside = jax.shard_map(
        lambda x, w: x @ w, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows
    )
    assert count_work(inside, spec((16, 4), FLOATS), spec((4, 5), FLOATS)).macs == {"float32": 320}


def test_rows_of_experts_each_cost_one_expert():
    rows, weights = spec((16, 4), FLOATS), spec((3, 4, 5), FLOATS)
    step = jax.grad(lambda x, w, n: jax.lax.ragged_dot(x, w, n).sum(), argnums=(0, 1))
    work = count_work(step, rows, weights, spec((3,), TOKENS))
    assert work.macs == {"float32": 2 * 16 * 4 * 5}


def test_what_is_moved_is_read_and_written_once_if_elementwise_operations_are_fused():
    square = spec((64, 64), FLOATS)
    one = 64 * 64 * 4
    # The step reads x and writes y, and its product reads two and writes one.
    assert count_work(lambda x: jnp.tanh(x @ x) + 1, square).moved == (2 + 3) * one
    assert count_work(lambda x: jnp.exp(x) * 2, square).moved == 2 * one
