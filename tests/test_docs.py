"""The pages name what exists: links, images, files, commands, and the names of jaxnn."""

import doctest
import functools
import inspect
import re
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnn as nn
from benchmarks.__main__ import listing
from examples.__main__ import find

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in (".", "docs", "benchmarks", "examples", "jaxnn", "tests")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
}
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
pages = pytest.mark.parametrize("page", PAGES)


def spans(text: str) -> list[str]:
    """The lines of code blocks, and the code spans of the prose."""
    blocks = [line for block in FENCE.findall(text) for line in block.splitlines()[1:-1]]
    inline = re.findall(r"`([^`]+)`", FENCE.sub("", text))
    return blocks + [re.sub(r"\s+", " ", span) for span in inline]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pages
def test_every_link_leads_somewhere(page):
    for link in LINK.findall(FENCE.sub("", PAGES[page])):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@functools.cache
def known() -> dict[str, set[str]]:
    """The names that the command lines take."""
    return {"examples": set(find()), "benchmarks": set(listing())}


@pages
def test_every_command_names_a_module_an_example_or_a_benchmark(page):
    for span in spans(PAGES[page]):
        for module, rest in re.findall(r"python3? -m ([\w.]+)((?: [\w=./-]+)*)", span):
            assert find_spec(module), span
            name, *flags = rest.split() or [""]
            if module in known() and name and name != "NAME":
                assert name in known()[module], span
                text = source(module, name)
                assert [flag for flag in flags if flag[:2] == "--" and flag not in text] == [], span


@functools.cache
def source(module: str, name: str) -> str:
    """The text of an example or benchmark and of its command line."""
    folder = ROOT / module
    files = [folder / "__main__.py", *folder.glob(f"{name}.py"), *folder.glob(f"{name}/*.py")]
    return "".join(path.read_text(encoding="utf-8") for path in files)


@pages
def test_every_file_that_is_named_exists(page):
    file = re.compile(r"(?<![\w/.])(?:jaxnn|tests|examples|benchmarks|docs)/[\w./]*")
    for span in spans(PAGES[page]):
        for path in file.findall(span):
            file_or_folder = path.endswith("/") or Path(path).suffix
            if file_or_folder and "ROOM" not in path and "prelu" not in path:  # placeholders
                assert (ROOT / path).exists(), span


def named(path: str):
    """What is public as nn.PATH; raises AttributeError where nothing is."""
    return functools.reduce(getattr, path.split("."), nn)


@pages
def test_every_public_name_exists(page):
    if page in ("CHANGELOG.md", "docs/names.md"):  # which have old names too
        return
    for span in spans(PAGES[page]):
        for path in re.findall(r"(?<![\w.])nn\.(\w+(?:\.\w+)*)", span):
            if path.split(".")[-1] not in ("NAME", "prelu"):
                named(path)


def test_the_code_of_the_page_of_training_runs():
    page = doctest.DocTestParser().get_doctest(
        PAGES["docs/training.md"], {}, "training", "docs/training.md", 0
    )
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(page)
    assert result.attempted > 40
    assert result.failed == 0


def test_the_table_of_recipes_names_arguments_that_exist():
    rows = re.findall(r"^\|.*\| ([^|]+) \|$", PAGES["docs/training.md"], re.MULTILINE)
    spans = [span for row in rows[1:] for span in re.findall(r"`([^`]+)`", row)]
    assert len(spans) >= 20
    for span in spans:
        for path in re.findall(r"optax\.[\w.]+", span):
            assert functools.reduce(getattr, path.split(".")[1:], optax), span
        name = re.match(r"(?:nn\.)?([\w.]+)\(", span)
        if name and not name[1].startswith(("optax", "jax")):
            function: Any = named("training.fit" if name[1] == "fit" else name[1])
            given = set(re.findall(r"(\w+)=", span))
            assert given <= inspect.signature(function).parameters.keys(), span


def test_every_name_in_the_contents_exists():
    rooms = [nn, *(room for name in nn.__all__ if isinstance(room := named(name), ModuleType))]
    names = set().union(*(dir(room) for room in rooms), *known().values())
    words = {span for span in spans(PAGES["docs/contents.md"]) if re.fullmatch(r"\w+", span)}
    assert words <= names | {"jaxnn"}, words - names


def test_the_new_names_exist_and_the_old_ones_do_not():
    row = re.compile(r"^\| `nn\.([\w.]+)` \| \**`nn\.([\w.]+)`\** \|$", re.MULTILINE)
    pairs = row.findall(PAGES["docs/names.md"])
    assert len(pairs) > 150
    for old, new in pairs:
        value = named(new)
        try:
            still = named(old)
        except AttributeError:
            continue
        # A namespace has the name of the old function.
        assert isinstance(still, ModuleType), old
        assert still is not value, old


def test_the_new_modules_and_helpers_exist():
    text = PAGES["docs/names.md"]
    modules = re.findall(r"^\| `jaxnn(?:\.\w+)*` \| `(jaxnn(?:\.\w+)*)` \|$", text, re.MULTILINE)
    helpers = re.findall(r"^\| `(jaxnn(?:\.\w+)*)` \| `\w+` \| `(\w+)` \|$", text, re.MULTILINE)
    assert len(modules) > 50
    assert len(helpers) > 20
    assert [module for module in modules if not find_spec(module)] == []
    missing = [pair for pair in helpers if not hasattr(import_module(pair[0]), pair[1])]
    assert missing == []


def test_the_layers_of_imports_are_those_of_the_contract():
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        each["layers"]
        for each in contract["tool"]["importlinter"]["contracts"]
        if each["type"] == "layers"
    )
    (block,) = (b for b in FENCE.findall(PAGES["CONTRIBUTING.md"]) if "benchmarks | examples" in b)
    assert [re.split("  +", line)[0] for line in block.splitlines()[1:-1]] == layers


def test_the_layer_that_contributing_adds_is_one(monkeypatch):
    code = re.findall(r"^```python\n(.*?)^```$", PAGES["CONTRIBUTING.md"], re.M | re.S)
    room: dict = {"__name__": "prelu"}
    exec(next(block for block in code if "def prelu" in block), room)
    prelu = room["prelu"]
    monkeypatch.setattr(nn, "prelu", prelu, raising=False)
    (example,) = doctest.DocTestFinder().find(prelu, "prelu", module=False, globs={})
    assert doctest.DocTestRunner().run(example).failed == 0

    formula = next(block for block in code if "def test_a_neg" in block).split("\n\n\n")[0]
    room["jnp"] = jnp
    exec(formula, room)
    room["test_a_negative_value_is_multiplied_by_the_slope_of_its_feature"]()
    params, _ = prelu().init(jax.random.key(0), jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="prelu has params for 3 features"):
        prelu()(params, jnp.ones((2, 1)))
