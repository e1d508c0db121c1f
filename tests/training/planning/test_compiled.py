"""Planning: what a train step takes on accelerators that are not there."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

from jaxnn.training import planning

missing = planning.available()
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


def compile_mlp(target, rows=64):
    return planning.compile_for(target, step, start(jax.random.key(0)), batch_of(rows))


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


def test_an_unknown_target_is_refused_with_the_nearest_and_with_all():
    with pytest.raises(ValueError, match="'h1000:8' is unknown: did you mean 'h100'") as caught:
        compile_mlp("h1000:8")
    assert all(name in str(caught.value) for name in planning.TARGETS)
    with pytest.raises(ValueError, match="'' is unknown: use one of v5e"):
        compile_mlp("")


@pytest.mark.parametrize(
    ("target", "most"),
    [
        ("v5e:1x2", "16x16"),
        ("v5e:2x3", "16x16"),
        ("v5e:32x32", "16x16"),
        ("v5e:2x2x1", "16x16"),
        ("v5e:2xx2", "16x16"),
        ("v5e:0x2", "16x16"),
        ("v5p:2x2", "16x20x28"),
        ("v5p:30x2x2", "16x20x28"),
        ("h100:0", "4096"),
        ("h100:9", "4096"),
        ("h100:two", "4096"),
        ("h100:2x2", "4096"),
    ],
)
def test_a_size_that_no_host_or_slice_has_is_refused_with_the_largest(target, most):
    with pytest.raises(ValueError, match=f"at most {most}, not '{target.partition(':')[2]}'"):
        compile_mlp(target)


@pytest.mark.parametrize(
    ("target", "devices"),
    [("v5e:2x4", 8), ("v5p:2x2x2", 8), ("tpu7x:2x2x1", 8), ("tpu7x", 2), ("h100:16", 16)],
)
def test_rows_that_do_not_divide_by_the_devices_are_refused(target, devices):
    with pytest.raises(ValueError, match=rf"batch\['x'\].* the {devices} devices of {target}: "):
        compile_mlp(target, rows=devices + 1)


@pytest.mark.parametrize("leaf", [3, spec((0, 2), jnp.float32)])
def test_a_leaf_of_the_batch_without_rows_is_named(leaf):
    batch = batch_of(8) | {"z": leaf}
    with pytest.raises(ValueError, match=r"batch\['z'\] of shape .* make its rows a multiple of 8"):
        planning.compile_for("h100:8", step, start(jax.random.key(0)), batch)


@pytest.mark.parametrize(("target", "kind"), [("v5e:2x2", "tpu"), ("h100:8", "cuda")])
def test_a_missing_compiler_is_an_error_that_says_what_installs_it(monkeypatch, target, kind):
    monkeypatch.setattr(planning, "find_spec", lambda name: None)
    monkeypatch.setattr(planning, "entry_points", lambda group: [])
    command = planning.available()[kind]
    assert command is not None
    assert command.startswith("pip install")
    assert f"=={jax.__version__}" in command
    with pytest.raises(ImportError) as caught:
        compile_mlp(target)
    assert command in str(caught.value)


def test_a_missing_assembler_is_part_of_what_cuda_needs(monkeypatch):
    monkeypatch.setattr(planning.shutil, "which", lambda name: None)
    monkeypatch.setattr(planning.glob, "glob", lambda pattern: [])
    assert "nvidia-cuda-nvcc" in (planning.available()["cuda"] or "")


def test_a_report_says_that_nothing_was_run_and_aligns_its_figures():
    counts = {"all-reduce": 2, "reduce-scatter": 1}
    plan = planning.CompiledPlan(
        "v5e:2x2", 4, 3 << 30, 2 << 20, 1536, 4 << 30, 16 << 30, counts, 1.26
    )
    assert planning.report(plan).split("\n") == [
        "v5e:2x2 (devices: 4): compiled, not run",
        "  arguments    3.0 GiB",
        "  outputs      2.0 MiB",
        "  temporaries  1.5 KiB",
        "  peak         4.0 GiB of 16.0 GiB (25.0%)",
        "  collectives  2 all-reduce, 1 reduce-scatter",
        "  compiled in  1.3 s",
    ]
    bare = planning.report(plan._replace(collectives={}, capacity=None)).split("\n")
    assert bare[4:6] == ["  peak         4.0 GiB", "  collectives  none"]


def test_the_two_halves_of_a_collective_count_once():
    program = """HloModule jit_step, is_scheduled=true
ENTRY %main (p: f32[8]) -> f32[8] {
  %gather = (f32[1]{0}, f32[8]{0}) all-gather-start(%p), dimensions={0}
  %gathered = f32[8]{0} all-gather-done(%gather)
  %all_to_all.5 = bf16[2]{0:T(8,128)(2,1)S(1)} all-to-all(%gathered), dimensions={0}
  %all-reduce.1 = (f32[8]{0:T(256)S(1)}, f32[]) all-reduce(%gathered, %b), to_apply=%add
  %sum = f32[8]{0} get-tuple-element(%all-reduce.1), index=0
  %moved = (f32[8]{0}, f32[8]{0}, u32[]) collective-permute-start(%sum)
  ROOT %done = f32[8]{0} collective-permute-done(%moved), metadata={op_name="all-gather(x)"}
}
"""
    assert planning.collectives(program) == {
        "all-gather": 1,
        "all-reduce": 1,
        "all-to-all": 1,
        "collective-permute": 1,
    }


def test_an_all_reduce_inside_a_fused_reduce_scatter_is_a_reduce_scatter():
    program = """HloModule jit_step

%all-reduce-scatter.1 (input: f32[8,8]) -> f32[1,8] {
  %input = f32[8,8]{1,0} parameter(0)
  %all-reduce.9 = f32[8,8]{1,0:T(8,128)} all-reduce(%input), to_apply=%add
  ROOT %slice = f32[1,8]{1,0} dynamic-slice(%all-reduce.9, %i, %zero)
}

ENTRY %main (p: f32[8,8]) -> f32[1,8] {
  %all-reduce.2 = f32[]{:T(128)} all-reduce(%loss), to_apply=%add
  ROOT %fusion = f32[1,8]{1,0} fusion(%p), kind=kCustom, calls=%all-reduce-scatter.1
}
"""
    assert planning.collectives(program) == {"all-reduce": 1, "reduce-scatter": 1}


def test_a_collective_spread_over_a_chain_of_fusions_counts_once():
    program = """HloModule jit_step

%fused_computation.1 (p: bf16[1,8]) -> (bf16[8,8]) {
  %all-gather.1 = bf16[8,8]{1,0} all-gather(%p), channel_id=5, dimensions={0}
  ROOT %start = (bf16[8,8]) custom-call(%all-gather.1), custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.2 (p: bf16[1,8], q: f32[8]) -> (bf16[8,8]) {
  %all-gather.2 = bf16[8,8]{1,0} all-gather(%p), channel_id=5, dimensions={0}
  ROOT %tuple = (bf16[8,8]) tuple(%all-gather.2)
}

%fused_computation.3 (p: bf16[1,8]) -> bf16[8,8] {
  %all-gather.3 = bf16[8,8]{1,0} all-gather(%p), channel_id=5, dimensions={0}
  ROOT %done = bf16[8,8] custom-call(%all-gather.3), custom_call_target="AsyncCollectiveDone"
}
"""
    assert planning.collectives(program) == {"all-gather": 1}


@pytest.mark.parametrize(("devices", "counts"), [(8, {"all-reduce": 1}), (1, {})])
def test_a_mean_over_rows_is_one_all_reduce_only_among_several_devices(devices, counts):
    mesh = jax.make_mesh((devices,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.NamedSharding(mesh, jax.P("data"))
    compiled = jax.jit(lambda x: x.mean(), in_shardings=rows).lower(spec((8,), jnp.float32))
    assert planning.collectives(compiled.compile().as_text() or "") == counts


def test_importing_the_planner_loads_no_topologies():
    program = (
        "import sys, jaxnn.training.planning; print('jax.experimental.topologies' in sys.modules)"
    )
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
    assert plan.capacity == planning.TARGETS[plan.target.partition(":")[0]].memory
    assert set(plan.collectives) == ({"all-reduce"} if devices > 1 else set())
    assert plan.seconds > 0
    assert jax.default_backend() == "cpu"
    assert jnp.arange(4).sum() == 6


@needs_tpu
@pytest.mark.parametrize(
    ("target", "devices"),
    [("v5e", 1), ("v5e:2x2", 4), ("v6e:2x4", 8), ("v5p:2x2x2", 8), ("tpu7x:2x2x1", 8)],
)
def test_a_step_compiles_for_a_slice_of_tpus(target, devices):
    check_mlp(compile_mlp(target), devices)


@needs_cuda
@pytest.mark.parametrize(
    ("target", "devices"), [("t4", 1), ("a100", 1), ("l4", 1), ("h100:8", 8), ("h100:16", 16)]
)
def test_a_step_compiles_for_gpus(target, devices):
    check_mlp(compile_mlp(target), devices)


@needs_tpu
@pytest.mark.parametrize("name", [name for name, chip in planning.TARGETS.items() if not chip.card])
def test_a_tpu_refuses_what_does_not_fit_and_the_table_has_its_limit(name):
    limit = f"{planning.TARGETS[name].memory / 2**30:.2f}"
    rows = spec((8,), jnp.float32)
    with pytest.raises(MemoryError, match=rf"needs 100\.\d+ GiB of the {limit} GiB a device has"):
        planning.compile_for(name, grow, weights_of(100), rows)


@needs_cuda
def test_what_a_gpu_cannot_hold_is_refused_though_its_compiler_takes_it():
    rows = spec((8,), jnp.float32)
    message = r"does not fit l4: it needs 23\.0 GiB of the 22\.0 GiB a device has; make the batch"
    with pytest.raises(MemoryError, match=message):
        planning.compile_for("l4", grow, weights_of(23), rows)
    assert planning.compile_for("l4", grow, weights_of(21), rows).peak >= 21 << 30


@needs_tpu
def test_a_jitted_step_and_a_mesh_in_use_change_nothing():
    # The donation of a step that donates by itself, arrays on eight devices, and their mesh.
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    train = jax.device_put(start(jax.random.key(0)), jax.NamedSharding(mesh, jax.P()))
    jitted = jax.jit(step, donate_argnums=0)
    with jax.set_mesh(mesh):
        plan = planning.compile_for("v5e:2x2", jitted, train, batch_of(64))
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
    plan = planning.compile_for("v5e:2x2", lambda train, batch: (batch, 0.0), rows, rows)
    assert plan.collectives == {"all-gather": 1}


COMPILE = """
import jax, jax.numpy as jnp
from jaxnn.training import planning
WARM
square = jax.ShapeDtypeStruct((8, 8), jnp.float32)
plan = planning.compile_for("TARGET", lambda w, x: (w - x.T @ x, x.sum()), square, square)
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
