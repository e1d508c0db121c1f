"""What the pages say about installing works. The name jaxnn on PyPI belongs to another project."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import jaxnn
from jaxnn.checks import install

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FILES = [
    path
    for folder in ("jaxnn", "tests", "examples", "benchmarks", "docs", ".")
    for path in (ROOT / folder).glob("*" if folder == "." else "**/*")
    if path.suffix in (".py", ".md", ".toml")
    if path.name not in ("CHANGELOG.md", Path(__file__).name)
]


def test_the_distribution_is_not_the_project_of_another_on_pypi():
    assert PROJECT["name"] == "jaxnn-pairs"
    own = [need for needs in EXTRAS.values() for need in needs if need.startswith("jaxnn")]
    for need in own:
        name, extras = re.fullmatch(r"([\w-]+)\[([\w,-]+)\]", need).groups()  # pyright: ignore
        assert name == PROJECT["name"]
        assert set(extras.split(",")) <= set(EXTRAS)


def test_no_file_asks_for_the_package_of_that_name():
    wrong = re.compile(r"\bjaxnn\[|pip install (?:-\S+ )*['\"]?jaxnn\b(?!-)")
    for path in FILES:
        assert not wrong.findall(path.read_text(encoding="utf-8")), path


def test_every_command_names_an_extra_that_there_is():
    named = {
        extra
        for path in FILES
        for pattern in (r"-e '\.\\?\[([a-z,-]+)", r"install\(\"([a-z-]+)\"\)")
        for extras in re.findall(pattern, path.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }
    assert named <= set(EXTRAS)
    assert {"train", "nir", "examples", "peers", "cuda", "tpu", "bench", "test"} <= named
    assert install("train").startswith("pip install -e '.[train]'")


def test_the_wheel_is_named_as_the_project_and_imported_as_jaxnn(tmp_path):
    pytest.importorskip("hatchling.build", reason="pip install hatchling")
    build = (
        "import sys, hatchling.build as b; print(b.prepare_metadata_for_build_wheel(sys.argv[1]))"
    )
    command = [sys.executable, "-c", build, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    said = (tmp_path / run.stdout.strip() / "METADATA").read_text(encoding="utf-8")
    assert f"Name: {PROJECT['name']}\n" in said
    assert f"Version: {jaxnn.__version__}\n" in said
