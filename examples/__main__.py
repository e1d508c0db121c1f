"""The command line of the examples: `python -m examples NAME`."""

import argparse
import ast
import difflib
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from examples import Options

FOLDER = Path(__file__).parent
EXTRAS = {"gpu": "cuda", "tpu": "tpu"}


def find() -> dict[str, str]:
    """Every example by name with its line: the files here that define `run`, none imported."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").split("\n")[0]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0, 1 where a bar was missed, or 2 where nothing could run."""
    parser = _parser()
    common, _ = parser.parse_known_args(arguments)
    # Only now, for the flags of an example that is named are a part of the help.
    parser.add_argument("-h", "--help", action="help", help="with a name, its own flags as well")
    if common.name is None:
        parser.parse_args(arguments)
        for name, line in find().items():
            print(f"{name:16}{line}")
        return 0
    try:
        example = _load(common.name)
    except (ValueError, ImportError) as error:
        return _refuse(error)
    if hasattr(example, "flags"):
        example.flags(parser)
    own = vars(parser.parse_args(arguments))
    own = {flag: value for flag, value in own.items() if flag not in common}
    options = Options(
        common.quick, common.seed, common.out / common.name, argparse.Namespace(**own)
    )
    try:
        if common.compile_for:
            return _compile_for(common.compile_for, example, options)
        return _run(common.name, example, common.device, options)
    except (ImportError, OSError, FloatingPointError) as error:
        return _refuse(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m examples", add_help=False, allow_abbrev=False)
    parser.add_argument("name", nargs="?", help="the example; without it, all are listed")
    parser.add_argument("--quick", action="store_true", help="few steps, no bar is judged")
    parser.add_argument("--device", choices=("cpu", "gpu", "tpu"), help="where to compute")
    parser.add_argument("--seed", type=int, default=0, help="0 by default")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="runs by default")
    parser.add_argument(
        "--compile-for",
        metavar="TARGET",
        help="compile its train step for an absent accelerator, v5e:2x2 or h100, and run nothing",
    )
    return parser


def _load(name: str) -> Any:
    found = find()
    if name not in found:
        near = difflib.get_close_matches(name, found, n=3, cutoff=0.5)
        names = f"the nearest is {' or '.join(near)}" if near else f"there are {', '.join(found)}"
        raise ValueError(f"there is no example {name!r}: {names}.")
    return importlib.import_module(f"examples.{name}")


def _device(kind: str | None) -> Any:
    import jax

    from jaxnn.checks import install

    try:
        return jax.devices(kind)[0]
    except RuntimeError as error:
        there = ", ".join(sorted({device.platform for device in jax.devices()} | {"cpu"}))
        mend = f" On a machine that has one: {install(EXTRAS[kind])}." if kind in EXTRAS else ""
        raise ValueError(f"there is no {kind} here, only: {there}.{mend}") from error


def _run(name: str, example: Any, kind: str | None, options: Options) -> int:
    import jax

    from examples import report

    try:
        device = _device(kind)
    except ValueError as error:
        return _refuse(error)
    start = time.perf_counter()
    with jax.default_device(device):
        result = example.run(options)
    seconds = round(time.perf_counter() - start, 2)
    record = report.flat(name, result, options, device.device_kind, seconds)
    report.write(record, result, options.folder)
    print(report.text(record, result, options.folder))
    return 0 if options.quick or all(check.reached for check in result.checks) else 1


def _compile_for(target: str, example: Any, options: Options) -> int:
    import jax

    from jaxnn.training import planning

    # Nothing runs, so no device is wanted; plugins that find none say so at length.
    jax.config.update("jax_platforms", "cpu")
    step, train, batch = example.plan(options)
    try:
        plan = planning.compile_for(target, step, train, batch)
    except (ValueError, MemoryError) as error:
        return _refuse(error)
    print(planning.report(plan))
    return 0


def _refuse(error: BaseException) -> int:
    from jaxnn.checks import install

    absent = isinstance(error, ModuleNotFoundError) and "pip install" not in str(error)
    print(f"examples: {error}" + (f": {install('examples')}" if absent else ""), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
