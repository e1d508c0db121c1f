# pyright: reportArgumentType=false, reportOptionalOperand=false, reportOperatorIssue=false
# pyright: reportOptionalMemberAccess=false
"""Plans of train steps, from shapes alone."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.training.planning import plans
from jaxnn.training.planning.chips import CHIPS

spec = jax.ShapeDtypeStruct
NET = nn.mlp(128, 64, 8)
OPTIMIZER = optax.adam(1e-3)
PARAMS = 32 * 128 + 128 + 128 * 64 + 64 + 64 * 8 + 8


def problem(rows=64, net=NET):
    x, y = spec((rows, 32), jnp.float32), spec((rows,), jnp.int32)
    key = jax.random.key(0)
    train = jax.eval_shape(lambda: nn.training.init_train(net, OPTIMIZER, key, x))
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    return nn.training.step(loss, OPTIMIZER), train, (x, y)


def planned(topology, rows=64, compiler: bool | None = False, **options):
    return nn.training.plan(*problem(rows), topology=topology, compiler=compiler, **options)


def test_params_moments_and_rows_of_a_device_follow_from_shapes():
    plan = planned("v5e:2x4")
    assert plan.params == PARAMS
    assert plan.memory.params == 4 * PARAMS
    assert plan.memory.moments == 2 * 4 * PARAMS + 4
    assert plan.memory.state == 4 + 8  # the step and the key
    assert plan.memory.batch == (64 // 8) * (32 + 1) * 4
    assert plan.memory.capacity == CHIPS["v5e"].memory
    assert plan.fits


def test_fully_sharded_devices_share_params_and_moments():
    whole = planned("v5e:2x4").memory
    parts = planned(
        "v5e:2x4", sharding=lambda mesh: nn.training.fully_sharded(mesh, smallest=1)
    ).memory
    assert parts.params == pytest.approx(whole.params / 8, rel=0.01)
    assert parts.moments == pytest.approx(whole.moments / 8, rel=0.01)


def test_multiply_adds_are_those_of_the_whole_batch():
    assert planned("v5e:2x4").macs == {"float32": 64 * (2 * 32 * 128 + 3 * (128 * 64 + 64 * 8))}


def test_gradients_are_summed_or_gathered_and_scattered():
    sent = 2 * 4 * PARAMS * 7 / 8
    (one,) = planned("v5e:2x4").traffic
    assert (one.kind, one.bytes, one.sent) == ("all-reduce", 4 * PARAMS, pytest.approx(sent, abs=9))
    sharding = lambda mesh: nn.training.fully_sharded(mesh, smallest=1)  # noqa: E731
    gather, scatter = planned("v5e:2x4", sharding=sharding).traffic
    assert (gather.kind, scatter.kind) == ("all-gather", "reduce-scatter")
    assert gather.bytes == 2 * scatter.bytes == 2 * 4 * PARAMS


def test_between_slices_and_hosts_the_network_is_slower():
    near, far = planned("v5e:2x4"), planned("2*v5e:2x2")
    assert not any(each.crosses for each in near.traffic)
    assert all(each.crosses for each in far.traffic)
    assert far.roofline.network > 10 * near.roofline.network
    assert all(each.crosses for each in planned("h100:16").traffic)


def test_a_mesh_of_two_axes_keeps_one_of_them_within_a_slice():
    def both(mesh):
        return nn.training.data_parallel(mesh) * nn.training.fully_sharded(
            mesh, "inner", smallest=1
        )

    traffic = planned("2*v5e:2x2", sharding=both, mesh={"data": 2, "inner": 4}).traffic
    assert {each.kind: each.crosses for each in traffic} == {
        "all-gather": False,
        "reduce-scatter": False,
        "all-reduce": True,
    }


def test_the_rate_is_a_share_of_what_bounds_the_step():
    plan = planned("v5e:2x4", share=0.5)
    line = plan.roofline
    assert line.seconds == max(line.compute, line.memory, line.network)
    assert plan.rate == pytest.approx(0.5 * 64 / line.seconds)
    peak = CHIPS["v5e"].peaks["float32"]
    assert line.compute == pytest.approx(2 * plan.macs["float32"] / 8 / peak)
    assert plan.unit == "samples"


def test_tokens_are_counted_where_the_batch_holds_tokens():
    x = spec((8, 16), jnp.int32)
    net = nn.gpt2(32, 8, 1, 2, length=16)
    key = jax.random.key(0)
    train = jax.eval_shape(lambda: nn.training.init_train(net, OPTIMIZER, key, x))
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    plan = nn.training.plan(
        nn.training.step(loss, OPTIMIZER), train, (x, x), topology="h100", compiler=False,
        cell=nn.gpt2(32, 8, 1, 2, length=16, capacity=16),
    )  # fmt: skip
    assert (plan.items, plan.unit) == (128, "tokens")
    keys_and_values = 2 * 8 * 16 * 8 * 4
    assert keys_and_values <= plan.cache < keys_and_values + 8 * 16 * 8


def test_what_does_not_fit_is_said():
    plan = planned("l4", rows=2**26)
    assert not plan.fits
    assert plan.memory.peak > plan.memory.capacity


def test_without_a_compiler_the_plan_says_what_it_does_not_know(monkeypatch):
    monkeypatch.setattr(plans, "missing", lambda place: "pip install IT")
    plan = planned("v5e:2x4", compiler=None)
    assert plan.compiled is None
    assert any("pip install IT" in each for each in plan.unknown)
    tensor = planned("v5e:2x4", sharding=nn.training.tensor_parallel, mesh={"model": 8})
    assert any("what is sent along model" in each for each in tensor.unknown)


def test_a_run_on_this_cpu_takes_what_the_plan_says():
    step, train, batch = problem(512)
    plan = nn.training.plan(step, train, batch, topology="cpu")
    estimate = nn.training.plan(step, train, batch, topology="cpu", compiler=False)
    before = {id(array) for array in jax.live_arrays()}
    x, y = np.ones((512, 32), np.float32), np.zeros(512, np.int32)
    data = jax.device_put((x, y), jax.devices("cpu")[0])
    train = nn.training.init_train(NET, OPTIMIZER, jax.random.key(0), x)
    train, _ = step(train, data)
    mine = [array for array in jax.live_arrays() if id(array) not in before]
    alive = sum(
        array.nbytes for array in mine if not jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    )
    memory = plan.memory
    assert memory.params + memory.moments + memory.batch == pytest.approx(alive, rel=0.01)
    assert plan.compiled.peak == memory.peak
    assert estimate.memory[:4] == memory[:4]


def test_a_step_of_ones_own_is_planned():
    def step(train, batch):
        return {"params": train["params"] - batch.mean(0)}, {}

    plan = nn.training.plan(
        step, {"params": jnp.ones(16)}, jnp.ones((8, 16)), topology="v5e:2x2", compiler=False
    )
    assert (plan.params, plan.memory.params, plan.macs) == (16, 64, {})
    assert plan.roofline.bound in ("memory", "network")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": "v5x:2x2"}, "unknown: did you mean 'v5p'"),
        ({"topology": "v5e:2x4", "rows": 12}, "rows"),
        ({"topology": "v5e:2x4", "mesh": {"data": 4}}, "has 4 devices, and v5e:2x4 has 8"),
        ({"topology": "v5e:2x4", "share": 1.5}, "share must be a finite number"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        planned(**options)


def test_a_cell_that_is_none_is_refused():
    with pytest.raises(TypeError, match="cell must be a cell"):
        planned("v5e", cell=NET)


def test_the_time_of_compute_falls_with_the_devices():
    one, many = planned("v5e:2x2", rows=1024), planned("v5e:4x4", rows=1024)
    assert math.isclose(one.roofline.compute, 4 * many.roofline.compute)
