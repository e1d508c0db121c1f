"""List the benchmarks, or run one: print its report, write it as JSON, and draw a chart.

A benchmark is a file of this folder with three functions: `measure(quick)` returns the report as a
dict that JSON can hold, `text(report)` formats it, and `chart(report, path)` draws it. The first
line of its docstring is the question that it answers.
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
    """The first line of each benchmark's docstring, by name, without importing the files."""
    questions = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} >= PARTS:
            questions[path.stem] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return questions


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", help="the benchmark to run; without it all are listed")
    parser.add_argument(
        "--quick", action="store_true", help="few steps and rounds, for a rough answer"
    )
    parser.add_argument(
        "--out", default="runs/benchmarks", metavar="DIR", help="folder of the reports"
    )
    args = parser.parse_args(argv)
    questions = listing()
    if args.name is None:
        width = max(map(len, questions))
        print("\n".join(f"{name:<{width}}  {line}" for name, line in questions.items()))
        return 0
    if args.name not in questions:
        near = difflib.get_close_matches(args.name, questions, n=1, cutoff=0)
        print(f"no benchmark is called {args.name!r}: try {near[0]!r}.", file=sys.stderr)
        return 2
    benchmark = importlib.import_module(f"benchmarks.{args.name}")
    report = {"benchmark": args.name, "quick": args.quick, **benchmark.measure(args.quick)}
    print(benchmark.text(report))
    folder = Path(args.out) / args.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    benchmark.chart(report, folder / f"{args.name}.png")
    print(f"\nwritten: {folder / 'report.json'}, {folder / f'{args.name}.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
