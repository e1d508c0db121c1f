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

from examples import CATALOG, Entry, Options

FOLDER = Path(__file__).parent
EXTRAS = {"gpu": "cuda", "tpu": "tpu"}
UNLISTED = Entry("Not in the catalog", float("nan"))
FOOTER = """\
Minutes are of a full run on 2 cores; every example also runs with --quick, in less than one.
All examples need: pip install -e '.[examples]'. Data that no package contains are downloaded once,
into the folder that JAXNN_DATA names."""


def find() -> dict[str, str]:
    """The first line of the docstring of every example, by name; no example is imported.

    An example is a module or a package of this folder with the names `run` and `plan`.
    """
    lines = {}
    for path in [*FOLDER.glob("*.py"), *FOLDER.glob("*/__init__.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if {"run", "plan"} <= _top_level_names(tree):
            name = path.stem if path.parent == FOLDER else path.parent.name
            lines[name] = (ast.get_docstring(tree) or "").split("\n")[0]
    return dict(sorted(lines.items()))


def _top_level_names(tree: ast.Module) -> set[str]:
    """The names that a module defines, assigns or imports from another one."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def listing() -> str:
    """The examples by family, each with its duration and what it needs."""
    examples = find()
    entries = CATALOG | {name: UNLISTED for name in examples if name not in CATALOG}
    families: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if name in examples:
            lines = families.setdefault(entry.family, [entry.family])
            lines.append(f"  {name:16}{entry.minutes:>4g} min  {examples[name]}")
            if entry.needs:
                lines.append(f"{'':28}needs {entry.needs}")
    return "\n\n".join(["\n".join(lines) for lines in families.values()] + [FOOTER])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 1 if a threshold was missed, or 2 if nothing could run."""
    parser = _parser()
    common, _ = parser.parse_known_args(arguments)
    # The help is added only now because it includes the flags of the example that is named.
    parser.add_argument("-h", "--help", action="help", help="with a name, its own flags as well")
    if common.name is None:
        parser.parse_args(arguments)
        print(listing())
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
    parser.add_argument("name", nargs="?", help="the example; without a name, all are listed")
    parser.add_argument("--quick", action="store_true", help="few steps, no threshold is judged")
    parser.add_argument("--device", choices=("cpu", "gpu", "tpu"), help="where to compute")
    parser.add_argument("--seed", type=int, default=0, help="0 by default")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="runs by default")
    parser.add_argument(
        "--compile-for",
        metavar="TARGET",
        help="compile its train step for an absent accelerator (v5e:2x2, h100), without running it",
    )
    return parser


def _load(name: str) -> Any:
    names = find()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        known = f"the nearest is {' or '.join(near)}" if near else f"there are {', '.join(names)}"
        raise ValueError(f"there is no example {name!r}: {known}.")
    return importlib.import_module(f"examples.{name}")


def _device(kind: str | None) -> Any:
    import jax

    from jaxnn.checks import install

    try:
        return jax.devices(kind)[0]
    except RuntimeError as error:
        available = ", ".join(sorted({device.platform for device in jax.devices()} | {"cpu"}))
        mend = f" On a machine that has one: {install(EXTRAS[kind])}." if kind in EXTRAS else ""
        raise ValueError(f"there is no {kind} here, only: {available}.{mend}") from error


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

    from jaxnn import training

    # Nothing runs, so no device is needed; plugins that find none print long warnings.
    jax.config.update("jax_platforms", "cpu")
    step, train, batch = example.plan(options)
    try:
        plan = training.compile_for(target, step, train, batch)
    except (ValueError, MemoryError) as error:
        return _refuse(error)
    print(training.report(plan))
    return 0


def _refuse(error: BaseException) -> int:
    from jaxnn.checks import install

    absent = isinstance(error, ModuleNotFoundError) and "pip install" not in str(error)
    print(f"examples: {error}" + (f": {install('examples')}" if absent else ""), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
