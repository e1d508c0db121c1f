"""Lists the benchmarks, or runs one: prints its report, writes it as JSON and as a chart.

A benchmark is a file of this folder with three functions: `measure(quick)` returns the report as a
dict, ready for JSON; `text(report)` says it in lines; `chart(report, path)` draws it. The first
line of its docstring is the question it answers.
"""

import argparse
import ast
import difflib
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

PARTS = {"measure", "text", "chart"}


def listing() -> dict[str, str]:
    """The first line of each benchmark's docstring, by name; read off the files, not run."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} >= PARTS:
            found[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", help="which one to run; all are listed without")
    parser.add_argument("--quick", action="store_true", help="few steps and rounds, a rough answer")
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR", help="where reports go")
    given = parser.parse_args(argv)
    known = listing()
    if given.name is None:
        width = max(map(len, known))
        print("\n".join(f"{name:<{width}}  {line}" for name, line in known.items()))
        return 0
    if given.name not in known:
        near = difflib.get_close_matches(given.name, known, n=1, cutoff=0)
        print(f"no benchmark is called {given.name!r}: try {near[0]!r}.", file=sys.stderr)
        return 2
    benchmark = importlib.import_module(f"benchmarks.{given.name}")
    report = {"benchmark": given.name, "quick": given.quick, **benchmark.measure(given.quick)}
    print(benchmark.text(report))
    folder = Path(given.out) / given.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    benchmark.chart(report, folder / f"{given.name}.png")
    print(f"\nwritten: {folder / 'report.json'}, {folder / f'{given.name}.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
