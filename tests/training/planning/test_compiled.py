"""Planning: what a train step takes on accelerators that are not there."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnn as nn
from jaxnn.training.planning import compiled
from jaxnn.training.planning.chips import CHIPS
from jaxnn.training.planning.compilers import available

missing = available()
needs_tpu = pytest.mark.skipif(missing["tpu"] is not None, reason=f"needs {missing['tpu']}")
needs_cuda = pytest.mark.skipif(missing["cuda"] is not None, reason=f"needs {missing['cuda']}")
optimizer = optax.adam(1e-3)
spec = jax.ShapeDtypeStruct


def start(key):
    params = {"first": jnp.zeros((784, 256)), "last": jnp.zeros((256, 10))}
    return {"params": params, "opt_state": optimizer.init(params), "key": key, "step": 0}


def step(train, batch):
    def loss(params):
        hidden = jax.nn.relu(batch["x"] @ params["first"])
        key = jax.random.fold_in(train["key"], train["step"])
        hidden = hidden * jax.random.bernoulli(key, 0.9, hidden.shape)
        logits = hidden @ params["last"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch["y"]).mean()

    value, gradient = jax.value_and_grad(loss)(train["params"])
    updates, opt_state = optimizer.update(gradient, train["opt_state"])
    params = optax.apply_updates(train["params"], updates)
    later = {"params": params, "opt_state": opt_state, "step": train["step"] + 1}
    return train | later, {"loss": value}


def batch_of(rows):
    return {"x": spec((rows, 784), jnp.float32), "y": spec((rows,), jnp.int32)}


def compile_mlp(target, rows=64, **options):
    return compiled.compile_for(target, step, start(jax.random.key(0)), batch_of(rows), **options)


def grow(weights, x):
    """Returns all weights anew, so that they alone decide what the step takes."""
    return [weight * x.mean() for weight in weights], x.sum()


def weights_of(gibibytes):
    return [spec((gibibytes, 1024, 1024, 256), jnp.float32)]


def run(program, **environment):
    """Runs a program in a process where nothing has been set or loaded before."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "TPU_", "ALLOW_"))}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=ours | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# What needs no compiler


def test_rows_that_do_not_divide_by_the_devices_are_refused():
    with pytest.raises(ValueError, match=r"batch\['x'\].*rows.* 8"):
        compile_mlp("cpu:8", rows=9)


def test_a_leaf_of_the_batch_without_rows_is_named():
    batch = batch_of(8) | {"z": spec((0, 2), jnp.float32)}
    with pytest.raises(ValueError, match=r"batch\['z'\] is float32\[0,2\], without rows: give it"):
        compiled.compile_for("cpu:8", step, start(jax.random.key(0)), batch)


def test_a_mesh_of_another_number_of_devices_is_refused():
    with pytest.raises(ValueError, match=r"has 6 devices, and cpu:8 has 8: make the product"):
        compiled.compile_for(
            "cpu:8", step, start(jax.random.key(0)), batch_of(8), mesh={"a": 2, "b": 3}
        )


def test_more_cpu_devices_than_there_are_is_refused():
    with pytest.raises(
        ValueError, match='there are 8: set jax.config.update."jax_num_cpu_devices", 64'
    ):
        compile_mlp("cpu:64")


def test_a_step_compiles_for_the_devices_of_this_machine():
    plan = compile_mlp("cpu:8")
    params = 4 * (784 * 256 + 256 * 10)
    assert plan.devices == 8
    assert 0 <= plan.arguments - 3 * params - 4 * 785 * 64 // 8 < 2**12
    assert plan.capacity is None
    assert plan.collectives == {"all-reduce": 1}
    ((kind, times, size, sent, crosses, inside),) = plan.traffic
    assert (kind, times, crosses, inside) == ("all-reduce", 1, False, False)
    assert size == params + 4  # the gradients and the loss
    assert sent == pytest.approx(2 * 7 / 8 * size, abs=1)


def test_a_sharding_decides_what_lies_where():
    whole = compile_mlp("cpu:8")
    parts = compile_mlp("cpu:8", sharding=nn.training.fully_sharded)
    params = 4 * (784 * 256 + 256 * 10)
    assert whole.arguments - parts.arguments == pytest.approx(3 * params * 7 / 8, rel=0.02)
    assert "all-gather" in parts.collectives


def test_importing_the_planner_loads_no_topologies():
    program = "import sys, jaxnn.plan; print('jax.experimental.topologies' in sys.modules)"
    output, errors = run(program).communicate()
    assert (output, errors) == ("False\n", "")


# What the compilers say


def check_mlp(plan, devices, rows=64):
    """The figures that follow from the shapes alone."""
    params = 4 * (784 * 256 + 256 * 10)
    share = 4 * (784 + 1) * rows // devices
    assert plan.devices == devices
    assert 0 <= plan.arguments - 3 * params - share < 2**18  # room for padding and two scalars
    assert 0 <= plan.outputs - 3 * params < 2**18
    # Donated: the new state lies where the old one lay.
    assert plan.arguments < plan.peak < plan.arguments + plan.temporaries + 2 * params
    assert plan.capacity == CHIPS[plan.target.partition(":")[0]].memory
    assert set(plan.collectives) == ({"all-reduce"} if devices > 1 else set())
    assert plan.seconds > 0
    assert jax.default_backend() == "cpu"
    assert jnp.arange(4).sum() == 6


@needs_tpu
@pytest.mark.parametrize(
    ("target", "devices"),
    [
        ("v5e", 1),
        ("v5e:2x2", 4),
        ("v6e:2x4", 8),
        ("v5p:2x2x2", 8),
        ("tpu7x:2x2x1", 8),
        ("v4:2x2x1", 4),
    ],
)
def test_a_step_compiles_for_a_slice_of_tpus(target, devices):
    check_mlp(compile_mlp(target), devices)


@needs_tpu
@pytest.mark.long
def test_a_fully_sharded_step_gathers_params_and_reduces_no_matrix_of_a_block_whole():
    net, tokens = nn.gpt2(256, 512, 2, 8, length=256), spec((64, 256), jnp.int32)
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    update = nn.training.step(loss, optax.sgd(1e-2))
    train = jax.eval_shape(
        lambda key: nn.training.init_train(net, optax.sgd(1e-2), key, tokens), jax.random.key(0)
    )
    plan = nn.training.compile_for(
        "v5e:2x4", update, train, (tokens, tokens), sharding=nn.training.fully_sharded
    )
    sizes = [4 * leaf.size for leaf in jax.tree.leaves(train.params)]
    moved: dict[str, int] = {"all-reduce": 0, "all-gather": 0, "all-to-all": 0}
    for each in plan.traffic:
        moved[each.kind] = moved.get(each.kind, 0) + each.bytes
    # Biases and the scales of norms are whole on every device, as are the loss and its parts. The
    # two tables of vectors are gathered by rows, of which XLA sums the gradients whole.
    small = sum(size for size in sizes if size < 4 * 2**12 * 2)
    tables = 2 * 256 * 512 * 4
    assert moved["all-reduce"] < 2 * small + tables + 2**16
    # Once for the forward pass and once for the backward pass; activations stay where they are.
    assert 0.9 * sum(sizes) < moved["all-gather"] < 2.2 * sum(sizes)
    assert moved["all-to-all"] == 0


@needs_cuda
@pytest.mark.parametrize(
    ("target", "devices"),
    [("t4", 1), ("a100", 1), ("l4", 1), ("h100:8", 8), ("h100:16", 16), ("h200:8", 8)],
)
def test_a_step_compiles_for_gpus(target, devices):
    check_mlp(compile_mlp(target), devices)


@needs_tpu
@pytest.mark.parametrize("name", [name for name, chip in CHIPS.items() if chip.kind == "tpu"])
def test_a_tpu_refuses_what_does_not_fit_and_the_table_has_its_limit(name):
    limit = f"{CHIPS[name].memory / 2**30:.2f}"
    rows = spec((8,), jnp.float32)
    with pytest.raises(MemoryError, match=rf"needs 100\.\d+ GiB of the {limit} GiB a device has"):
        compiled.compile_for(name, grow, weights_of(100), rows)


@needs_cuda
def test_what_a_gpu_cannot_hold_is_refused_though_its_compiler_takes_it():
    rows = spec((8,), jnp.float32)
    message = r"does not fit l4: it needs 23\.0 GiB of the 22\.0 GiB a device has; make the batch"
    with pytest.raises(MemoryError, match=message):
        compiled.compile_for("l4", grow, weights_of(23), rows)
    assert compiled.compile_for("l4", grow, weights_of(21), rows).peak >= 21 << 30


@needs_tpu
def test_a_jitted_step_and_a_mesh_in_use_change_nothing():
    # The donation of a step that donates by itself, arrays on eight devices, and their mesh.
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    train = jax.device_put(start(jax.random.key(0)), jax.NamedSharding(mesh, jax.P()))
    jitted = jax.jit(step, donate_argnums=0)
    with jax.set_mesh(mesh):
        plan = compiled.compile_for("v5e:2x2", jitted, train, batch_of(64))
    assert plan[:-1] == compile_mlp("v5e:2x2")[:-1]
    assert not train["params"]["first"].is_deleted()


@needs_tpu
def test_more_devices_leave_each_fewer_rows_and_the_same_weights():
    one, four = compile_mlp("v5e", rows=512), compile_mlp("v5e:2x2", rows=512)
    saved = 512 * 3 // 4 * 785 * 4
    assert one.arguments - four.arguments == pytest.approx(saved, rel=0.2)
    assert one.outputs == four.outputs


@needs_tpu
def test_the_new_state_is_a_copy_on_every_device_again():
    rows = spec((8, 1024), jnp.float32)
    plan = compiled.compile_for("v5e:2x2", lambda train, batch: (batch, 0.0), rows, rows)
    assert plan.collectives == {"all-gather": 1}


COMPILE = """
import jax, jax.numpy as jnp
import jaxnn as nn
from jaxnn.training.planning import compiled
from jaxnn.training.planning.chips import CHIPS
from jaxnn.training.planning.compilers import available
WARM
square = jax.ShapeDtypeStruct((8, 8), jnp.float32)
plan = compiled.compile_for("TARGET", lambda w, x: (w - x.T @ x, x.sum()), square, square)
print(plan.collectives, jax.default_backend())
"""


@needs_tpu
@needs_cuda
def test_processes_compile_at_once_and_none_prints_anything():
    programs = [COMPILE.replace("WARM", "").replace("TARGET", t) for t in ("v5e:2x2", "h100:8")]
    processes = [run(program) for program in [*programs, programs[0]]]
    results = [process.communicate() for process in processes]
    assert results == [("{'all-reduce': 1} cpu\n", "")] * 3


@needs_cuda
def test_cuda_compiles_after_jax_has_found_no_driver():
    program = COMPILE.replace("WARM", "jnp.ones(3).sum()").replace("TARGET", "h100:8")
    output, errors = run(program).communicate()
    assert output == "{'all-reduce': 1} cpu\n", errors


@needs_cuda
def test_a_cache_of_compiled_programs_does_no_harm(tmp_path):
    program = COMPILE.replace("WARM", "").replace("TARGET", "h100:8")
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
        "PYTHONWARNINGS": "error",
    }
    for _ in range(2):
        assert run(program, **settings).communicate() == ("{'all-reduce': 1} cpu\n", "")
    assert any(tmp_path.iterdir())
