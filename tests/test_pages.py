"""The docstring of each namespace is the page of its family: it teaches, and its code runs."""

import doctest
import importlib

import pytest

import jaxnn as nn

PAGES = {
    "graph": "jaxnn.nets.graph",
    "spiking": "jaxnn.nets.spiking",
    "som": "jaxnn.nets.som",
    "rbf": "jaxnn.nets.rbf",
    "capsule": "jaxnn.nets.capsule",
    "detection": "jaxnn.nets.detection",
    "mixture": "jaxnn.nets.mixture",
    "autoencoder": "jaxnn.nets.autoencoder",
    "gan": "jaxnn.gan",
    "ctc": "jaxnn.nets.recurrent.ctc",
}


@pytest.mark.parametrize("name", PAGES)
def test_the_code_of_a_page_trains_as_it_says(name):
    module = importlib.import_module(PAGES[name])
    assert module is getattr(nn, name)
    assert "training.fit" in (module.__doc__ or "") or "train_som" in (module.__doc__ or "")
    page = doctest.DocTestFinder(recurse=False).find(module, PAGES[name])
    for test in page:
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        assert result.attempted > 0
        assert result.failed == 0


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_where_it_is_used_and_where_it_fails(name):
    page = getattr(nn, name).__doc__ or ""
    for part in ("Where it is used", "Where it fails", "python -m examples", "Papers"):
        assert part in page, part


@pytest.mark.parametrize("space", [nn, *(getattr(nn, name) for name in PAGES)])
def test_dir_shows_public_names_alone(space):
    assert dir(space) == sorted(space.__all__)
