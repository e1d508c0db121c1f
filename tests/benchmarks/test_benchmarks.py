"""The benchmarks: what they list, refuse and count, and that a wrong step is caught."""

import doctest
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import backends, chart, mlp_variants, networks, timing
from jaxnn import training

CASE = mlp_variants.Case((4, 8, 8, 2), 8, 24)  # five steps cross an epoch


def test_all_are_listed_with_their_question(capsys):
    assert command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(command.listing())
    assert "timing" not in command.listing()
    assert lines[0].endswith("on every backend and, for an MLP, in every variant?")


def test_unknown_name_suggests_the_nearest(capsys):
    assert command.main(["bakends"]) == 2
    assert capsys.readouterr().err == "no benchmark is called 'bakends': try 'backends'.\n"


@pytest.mark.parametrize("module", [timing, mlp_variants])
def test_docstrings(module):
    tried = doctest.testmod(module)
    assert tried.attempted
    assert not tried.failed


@pytest.mark.parametrize("case", [CASE, backends.SMALL, backends.LARGE])
def test_flops_are_those_of_the_matmuls_in_the_gradient(case):
    _, train = mlp_variants.begin(case)
    x, y = (leaf[: case.batch] for leaf in mlp_variants.data(case))

    def loss(params):
        outputs = mlp_variants.network(case, jnp.float32)(params, x)
        return jnp.mean(jnp.square(outputs - y))

    jaxpr = jax.make_jaxpr(jax.value_and_grad(loss))(train.params)
    counted = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (summed, _), _ = eqn.params["dimension_numbers"]
            outer, inner = eqn.outvars[0].aval, eqn.invars[0].aval
            shared = [inner.shape[axis] for axis in summed]  # pyright: ignore
            counted += 2 * np.prod(outer.shape) * np.prod(shared)  # pyright: ignore
    assert mlp_variants.flops(case) == counted


def test_bfloat16_agrees_where_a_quick_run_leaves_it_out():
    variants = {
        "JAX without jit": mlp_variants.without_jit,
        "jitted step": mlp_variants.step_by_step,
    }
    runs = {(name, "bfloat16"): make(CASE, jnp.bfloat16) for name, make in variants.items()}
    backends.agree(CASE, runs)


def forgets_biases(params, start):
    return [{"w": now["w"], "b": before["b"]} for now, before in zip(params, start, strict=True)]


def updates_twice(params, start):
    return jax.tree.map(lambda now, before: before + 2 * (now - before), params, start)


def diverges(params, start):
    return jax.tree.map(lambda now: now * np.nan, params)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("wrong", [forgets_biases, updates_twice, diverges])
def test_a_wrong_step_is_caught(wrong, dtype):
    right, start = (
        mlp_variants.scan_by_hand(CASE, backends.DTYPES[dtype]),
        mlp_variants.begin(CASE)[1].params,
    )

    def run(steps, shuffle):
        return wrong(right(steps, shuffle), mlp_variants.dense_params(start))

    with pytest.raises(ValueError, match=r"'mine' in \w+ disagrees with NumPy in float64"):
        backends.agree(CASE, {("mine", dtype): run})


def test_one_step_more_is_caught():
    right = mlp_variants.fit(CASE, jnp.float32)
    with pytest.raises(ValueError, match="disagrees"):
        backends.agree(CASE, {("mine", "float32"): lambda steps, _: right(steps + 1, False)})


def test_rounds_are_interleaved_and_every_other_runs_backwards():
    order = []
    taken = timing.interleaved({name: lambda name=name: order.append(name) for name in "abc"}, 3)
    assert "".join(order) == "abc" + "abc" + "cba" + "abc"
    assert {name: len(each) for name, each in taken.items()} == {"a": 3, "b": 3, "c": 3}


def test_the_matmul_rate_is_that_of_the_fastest_size():
    assert timing.matmul_rates({10: [2.0, 1.0, 1.0], 20: [4.0, 8.0, 4.0]}) == [
        4000.0,
        2000.0,
        4000.0,
    ]


def test_what_is_compiled_is_never_said_to_run(monkeypatch):
    plan = training.CompiledPlan("h100", 1, 4096, 4096, 0, 4096, 1 << 30, {}, (), 0, 1.0)
    monkeypatch.setattr(training, "available", lambda: {"cuda": None, "tpu": "pip install it"})
    monkeypatch.setattr(training, "compile_for", lambda *_: plan)
    monkeypatch.setattr(backends, "begin", lambda _: ())
    absent = {name: backends.absent(name, quick=False) for name in ("gpu", "tpu")}
    report = {"jax": "", "machine": "", "matmul_gflops": {}, "rows": [], "quick": False}
    lines = backends.text({**report, "absent": absent, "checks": []})
    assert lines.count("compiled, not run") == len(backends.STEPS) + len(networks.NETWORKS)
    assert (
        "gpu: not available here; to install it: pip install -e '.[cuda]' in a checkout of jaxnn"
        in lines
    )
    assert "To compile for it without one: pip install it" in lines


def test_charts_name_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[bench\]'"):
        chart.draw(tmp_path / "chart.png", "title", "ms", [])


def test_a_quick_run_writes_report_and_chart(tmp_path, capsys):
    assert command.main(["backends", "--quick", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "backends" / "report.json").read_text())
    assert report["quick"]
    assert {row["variant"] for row in report["rows"]} == set(backends.VARIANTS)
    assert {row["dtype"] for row in report["rows"]} == set(backends.DTYPES)
    assert all(row["low_ms"] <= row["median_ms"] <= row["high_ms"] for row in report["rows"])
    assert {name for each in report["checks"] for name in each} == {
        "metric",
        "value",
        "threshold",
        "higher_is_better",
    }
    assert [each["threshold"] for each in report["checks"]] == [0.06, 1.15, 0.6, 0.15]
    assert (tmp_path / "backends" / "backends.png").read_bytes().startswith(b"\x89PNG")
    assert "GFLOP/s" in capsys.readouterr().out
