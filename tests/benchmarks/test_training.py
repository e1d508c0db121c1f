"""The benchmark of the loop: every way takes the same steps, and devices divide the work."""

import jax
import pytest

from benchmarks import training


@pytest.fixture
def small(monkeypatch):
    for title, value in {"WIDTH": 8, "ROWS": 64, "BATCH": 16, "EVERY": 5}.items():
        monkeypatch.setattr(training, title, value)


def test_every_way_ends_with_the_same_params(small, tmp_path):
    training.agree(training.variants(10, tmp_path))


def test_a_way_that_ends_elsewhere_is_named(small, tmp_path):
    runs = training.variants(10, tmp_path)
    shorter = training.variants(5, tmp_path / "shorter")["fit, arrays"]
    with pytest.raises(AssertionError, match="fit, arrays"):
        training.agree({training.BARE: runs[training.BARE], "fit, arrays": shorter})


def test_the_work_of_a_device_does_not_grow_with_devices(small):
    one, two = (training.scaled(devices, 16)["flops"] for devices in (1, 2))
    assert two == pytest.approx(one, rel=0.05)
    assert training.scaled(1, 32)["flops"] > 1.8 * one


def test_the_report_holds_every_way_and_judges_three():
    row = {"low": 1.0, "median": 2.0, "high": 3.0}
    report = {
        "jax": jax.__version__,
        "machine": "m",
        "quick": False,
        "steps": 100,
        "rows": [{"title": title, "over": 1.0, **row} for title in ("bare step", "fit, arrays")],
        "devices": [{"devices": 1, "flops": 2e6, "compile_seconds": 0.5}],
        "checks": [training.checks.check("time over the bare step's", 1.0, 1.02)],
    }
    lines = training.text(report).splitlines()
    assert any("fit, arrays" in line and "1.000" in line for line in lines)
    assert any(line.split() == ["1", "2.0", "0.50"] for line in lines)
    assert any("met" in line and "1.02" in line for line in lines)
