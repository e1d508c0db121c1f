"""Plans as text."""

import pytest

from jaxnn.training.planning.compiled import CompiledPlan
from jaxnn.training.planning.report import report
from tests.training.planning.test_plans import planned


def test_a_report_says_that_nothing_was_run_and_aligns_its_figures():
    counts = {"all-reduce": 2, "reduce-scatter": 1}
    plan = CompiledPlan(
        "v5e:2x2", 4, 3 << 30, 2 << 20, 1536, 4 << 30, 16 << 30, counts, (), 0, 1.26
    )
    assert report(plan).split("\n") == [
        "v5e:2x2 (devices: 4): compiled, not run",
        "  arguments    3.0 GiB",
        "  outputs      2.0 MiB",
        "  temporaries  1.5 KiB",
        "  peak         4.0 GiB of 16.0 GiB (25.0%)",
        "  collectives  2 all-reduce, 1 reduce-scatter",
        "  compiled in  1.3 s",
    ]
    bare = report(plan._replace(collectives={}, capacity=None)).split("\n")
    assert bare[4:6] == ["  peak         4.0 GiB", "  collectives  none"]


def test_a_plan_says_what_it_estimated_and_what_it_does_not_know():
    text = report(planned("v5e:2x4"))
    assert text.startswith("v5e:2x4 (devices: 8), data_parallel(data=8): estimated, not compiled")
    assert "not known: what the compiler pads" in text
    assert "fits" in text
    assert "runs on" not in text


def test_a_plan_of_this_machine_has_no_roofline():
    text = report(planned("cpu:8", compiler=None))
    assert "compiled, not run" in text
    assert "compute      not known" in text


def test_a_refusal_is_told():
    text = report(planned("v5e:2x4")._replace(refusal="it needs 3 GiB", fits=False))
    assert "refused by the compiler, not run" in text
    assert "does not fit" in text
    assert "refused: it needs 3 GiB" in text


def test_a_report_of_something_else_is_refused():
    with pytest.raises(TypeError, match="report takes what plan or compile_for returned, got int"):
        report(3)
