import importlib.util

import pytest

from benchmarks import families, race
from benchmarks.__main__ import listing
from benchmarks.peers import families_in_jaxnn, family_sizes


def row(case, framework, over, ms=4.0):
    return {
        "case": case,
        "framework": framework,
        "median_ms": ms,
        "low_ms": 0.75 * ms,
        "high_ms": 1.25 * ms,
        "jaxnn_over_it": over,
        "parameters": 100,
        "first_step_seconds": 1.0,
    }


ROWS = [
    row(family_sizes.SOM, race.OURS, 1.0),
    row(family_sizes.SOM, "MiniSom", 0.04),
    row(families.DENSE, race.OURS, 1.0, ms=2.0),
    row(families.EXPERTS[0], race.OURS, 1.0, ms=4.0),
]


def test_it_is_listed():
    assert listing()["families"].startswith("What does a step cost in the families")


def test_bars_are_times_as_fast_and_the_cost_of_a_mixture():
    fast, cost = families.bars(ROWS)
    assert fast["value"] == pytest.approx(25)
    assert fast["higher_is_better"]
    assert (cost["value"], cost["bar"], cost["higher_is_better"]) == (2.0, 1.5, False)
    assert families.bars([row(family_sizes.SOM, race.OURS, 1.0)]) == []


def test_the_report_is_said_and_drawn(tmp_path):
    report = {
        "jax": "0",
        "machine": "none",
        "quick": False,
        "rows": ROWS,
        "absent": ["snnTorch"],
        "checks": families.bars(ROWS),
    }
    said = families.text(report)
    assert "snnTorch is not installed: pip install -e '.[peers]'" in said
    assert "met     times as fast as MiniSom" in said
    assert "MISSED  step over the dense net's" in said
    families.chart(report, tmp_path / "families.png")
    assert (tmp_path / "families.png").read_bytes().startswith(b"\x89PNG")


def test_jaxnn_has_every_case():
    assert set(families.TITLES) == set(families_in_jaxnn.CASES)


@pytest.mark.parametrize(("title", "pair"), families.PEERS.items())
def test_every_peer_has_its_case(title, pair):
    module = race.FRAMEWORKS[pair[0]]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    with race.worker(f"families_in_{module}") as (titles, _):
        assert titles == [title] or set(titles) <= set(families.TITLES)
        assert title in titles


@pytest.mark.parametrize("title", [family_sizes.SOM, family_sizes.RBF])
def test_a_case_runs(title):
    run, parameters = families_in_jaxnn.CASES[title]()
    run(1)
    assert parameters >= 6400
