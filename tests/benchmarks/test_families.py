import pytest

from benchmarks import families, race
from benchmarks.__main__ import listing
from benchmarks.peers import cases
from benchmarks.peers.jaxnn import families as families_in_jaxnn
from tests.benchmarks.rows import row

ROWS = [
    row(cases.SOM, race.OURS, 1.0),
    row(cases.SOM, "MiniSom", 0.04),
    row(cases.DENSE, race.OURS, 1.0, ms=2.0),
    row(families.EXPERTS[0], race.OURS, 1.0, ms=4.0),
]


def test_it_is_listed():
    assert listing()["families"].startswith("What does a step cost in the families")


def test_checks_are_times_as_fast_and_the_cost_of_a_mixture():
    fast, cost = families.checks_of(ROWS)
    assert fast["value"] == pytest.approx(25)
    assert fast["higher_is_better"]
    assert (cost["value"], cost["threshold"], cost["higher_is_better"]) == (2.0, 1.5, False)
    assert families.checks_of([row(cases.SOM, race.OURS, 1.0)]) == []


def test_the_report_is_printed_and_drawn(tmp_path):
    report = {
        "jax": "0",
        "machine": "none",
        "quick": False,
        "rows": ROWS,
        "absent": ["snnTorch"],
        "checks": families.checks_of(ROWS),
    }
    printed = families.text(report)
    assert "snnTorch is not installed: pip install -e '.[peers]'" in printed
    assert "met     times as fast as MiniSom" in printed
    assert "MISSED  step over the dense net's" in printed
    families.chart(report, tmp_path / "families.png")
    assert (tmp_path / "families.png").read_bytes().startswith(b"\x89PNG")


def test_jaxnn_has_every_case():
    assert set(families.TITLES) == set(families_in_jaxnn.CASES)


@pytest.mark.parametrize(("title", "pair"), families.PEERS.items())
def test_every_peer_has_its_case(title, pair):
    framework = race.FRAMEWORKS[pair[0]]
    if not framework.installed():
        pytest.skip(f"{pair[0]} is not installed")
    with race.worker(framework.module("families")) as (titles, _):
        assert titles == [title] or set(titles) <= set(families.TITLES)
        assert title in titles


@pytest.mark.parametrize("title", [cases.SOM, cases.RBF_FIT])
def test_a_case_runs(title):
    run, parameters = families_in_jaxnn.CASES[title]()
    run(1)
    assert parameters >= 6400
