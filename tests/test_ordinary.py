"""Laws and numbers hold on optimised programs, as users have them.

Tests compile without optimisation, which is faster, and rounds otherwise. Those that are marked
`ordinary` are run a second time here; `XLA_FLAGS= pytest` runs all of them so.
"""

import os
import subprocess
import sys
from pathlib import Path


def test_what_is_marked_holds_on_optimised_programs():
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "ordinary", "tests"]
    run = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env={k: v for k, v in os.environ.items() if "PYTEST" not in k} | {"XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
