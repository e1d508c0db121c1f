"""Every public function has a docstring in the one form."""

import inspect
import re

import pytest

import jaxnn as nn

SPACES = [
    nn, nn.training, nn.interop, nn.metrics, nn.augmentation, nn.graph, nn.spiking, nn.som, nn.rbf,
    nn.capsule, nn.detection, nn.mixture, nn.autoencoder, nn.gan, nn.ctc,
]  # fmt: skip
PUBLIC = {
    f"{space.__name__}.{name}": getattr(space, name)
    for space in SPACES
    for name in getattr(space, "__all__", dir(space))
    if inspect.isfunction(getattr(space, name)) and not name.startswith("_")
}


def section(page: str, title: str) -> str:
    """The lines below a title such as "Args:", up to the next line that is not indented."""
    found = re.search(rf"^{title}:\n((?:  .*\n|\n)*)", page + "\n", re.MULTILINE)
    return found[1] if found else ""


def entries(page: str) -> list[str]:
    """The names that stand before a colon in the Args."""
    return re.findall(r"^  ([*\w]+):", section(page, "Args"), re.MULTILINE)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_is_documented_in_the_one_form(name):
    function = PUBLIC[name]
    page = inspect.getdoc(function) or ""
    assert re.match(r"^[^\n]+[.:]$", page.split("\n\n")[0].replace("\n", " ")), "no first sentence"
    arguments = [
        each.name
        for each in inspect.signature(function).parameters.values()
        if not each.name.startswith("_")
    ]
    missing = set(arguments) - {each.lstrip("*") for each in entries(page)}
    assert not missing, f"no entry under Args names {sorted(missing)}"
    assert section(page, "Returns") or section(page, "Yields"), "no Returns"
    assert ">>> " in page, "no doctest"
