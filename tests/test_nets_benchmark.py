from benchmarks import nets, race, raced
from benchmarks.__main__ import listing
from benchmarks.peers import net_sizes


def row(framework, over, title=net_sizes.LENET):
    return {
        "case": title,
        "framework": framework,
        "median_ms": 4.0,
        "low_ms": 3.0,
        "high_ms": 5.0,
        "jaxnn_over_it": over,
        "parameters": 61706,
        "first_step_seconds": 1.0,
        "images_a_second": 16000.0,
    }


def report():
    rows = [row(race.OURS, 1.0), row("Flax NNX", 0.5), row("Equinox", 0.8), row("PyTorch", 1.2)]
    return {
        "jax": "0",
        "machine": "none",
        "quick": False,
        "rows": rows,
        "absent": [],
        "checks": raced.over_the_fastest(rows),
    }


def test_it_is_listed():
    assert listing()["nets"].startswith("How many images a second")


def test_the_bar_is_the_fastest_jax_peer():
    (check,) = raced.over_the_fastest(
        [row(race.OURS, 1.0), row("Flax NNX", 0.5), row("Equinox", 0.8)]
    )
    assert (check["value"], check["bar"], check["higher_is_better"]) == (0.8, 1.0, False)
    assert raced.over_the_fastest([row(race.OURS, 1.0), row("PyTorch", 1.2)]) == []


def test_the_report_is_said_and_drawn(tmp_path):
    said = nets.text(report())
    assert f"{'PyTorch':<24}{16000:>11}{4:>9.2f}" in said
    assert "met     time over the fastest JAX peer's, LeNet" in said
    nets.chart(report(), tmp_path / "nets.png")
    assert (tmp_path / "nets.png").read_bytes().startswith(b"\x89PNG")


def test_every_case_has_its_data():
    for title, rows in net_sizes.ROWS.items():
        assert f"batch {rows}" in title
    for title in (net_sizes.LENET, net_sizes.RESNET, net_sizes.CAPSNET):
        x, y = net_sizes.labelled(title)
        assert len(x) == len(y) == net_sizes.ROWS[title]
        assert x.shape[1:] == ((32, 32, 3) if title == net_sizes.RESNET else (28, 28, 1))
