"""The whole tree is formatted, linted and typed, and its imports point one way."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.mark.parametrize(
    "command",
    [
        "ruff format --check .",
        "ruff check .",
        f"pyright --pythonpath {sys.executable}",
        "lint-imports",
    ],
    ids=["format", "lint", "types", "imports"],
)
def test_the_tree_passes(command):
    program, *arguments = command.split()
    done = subprocess.run(
        [SCRIPTS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_long():
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ("jaxnn", "benchmarks", "examples", "tests")
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 350
    }
    assert not long
