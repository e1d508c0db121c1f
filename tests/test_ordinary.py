"""Laws and numbers hold on optimised programs, as users have them.

Tests compile without optimization, which is faster, and rounds differently. One case of each test
that is marked `ordinary` is run here, and nowhere else in a whole run; `XLA_FLAGS= pytest` runs all
of them with optimization.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
FILES = [  # the longest first, so that each part has one of them
    str(each.relative_to(FOLDER))
    for each in sorted(
        FOLDER.rglob("test_*.py"), key=lambda each: each.stat().st_size, reverse=True
    )
    if each.name != Path(__file__).name and "mark.ordinary" in each.read_text(encoding="utf-8")
]
# Code of one program is not parted among threads: the same instructions, in a fifth less time.
FLAGS = "--xla_cpu_parallel_codegen_split_count=1"
PARTS = 4  # processes, which a run in parallel shares out


@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_marked_holds_on_optimised_programs(part):
    files = [str(FOLDER / each) for each in FILES[part::PARTS]]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "ordinary", *files],
        cwd=FOLDER.parent,
        env={k: v for k, v in os.environ.items() if "PYTEST" not in k} | {"XLA_FLAGS": FLAGS},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
