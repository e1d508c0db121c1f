from benchmarks import nets, race, race_report
from benchmarks.__main__ import listing
from benchmarks.peers import cases, data
from tests.benchmarks.rows import row


def lenet(framework, over=1.0):
    return row(cases.LENET, framework, over, images_a_second=16000.0)


def report():
    rows = [lenet(race.OURS), lenet("Flax NNX", 0.5), lenet("Equinox", 0.8), lenet("PyTorch", 1.2)]
    return {
        "jax": "0",
        "machine": "none",
        "quick": False,
        "rows": rows,
        "absent": [],
        "checks": race_report.over_the_fastest(rows),
    }


def test_it_is_listed():
    assert listing()["nets"].startswith("How many images a second")


def test_a_case_is_compared_with_the_fastest_jax_peer():
    (check,) = race_report.over_the_fastest(
        [lenet(race.OURS), lenet("Flax NNX", 0.5), lenet("Equinox", 0.8)]
    )
    assert (check["value"], check["threshold"], check["higher_is_better"]) == (0.8, 1.0, False)
    assert race_report.over_the_fastest([lenet(race.OURS), lenet("PyTorch", 1.2)]) == []


def test_the_report_is_printed_and_drawn(tmp_path):
    printed = nets.text(report())
    assert f"{'PyTorch':<24}{16000:>11}{4:>9.2f}" in printed
    assert "met     time over the fastest JAX peer's, LeNet" in printed
    nets.chart(report(), tmp_path / "nets.png")
    assert (tmp_path / "nets.png").read_bytes().startswith(b"\x89PNG")


def test_every_case_has_its_data():
    for title, rows in cases.IMAGES.items():
        assert f"batch {rows}" in title
    for title in (cases.LENET, cases.RESNET_18, cases.CAPSNET):
        x, y = data.labeled_images(title)
        assert len(x) == len(y) == cases.IMAGES[title]
        assert x.shape[1:] == ((32, 32, 3) if title == cases.RESNET_18 else (28, 28, 1))
