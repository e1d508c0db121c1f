from benchmarks import race_report
from tests.benchmarks.rows import row

REPORT = {
    "rows": [
        row("a", "jaxnn", rate=7),
        row("a", "Flax NNX", 0.5, 8.0, rate=7),
        row("b", "jaxnn", rate=7),
    ],
    "absent": ["Equinox"],
}


def test_a_case_is_a_line_for_each_framework_with_columns_of_its_own():
    above, title, head, ours, flax = race_report.table(
        REPORT, "a", columns={"rate": lambda r: f"{r['rate']}"}
    )
    assert (above, title) == ("", "a")
    assert head.split() == [
        "framework",
        "rate",
        "ms",
        "[quartiles]",
        "jaxnn/it",
        "first",
        "s",
        "parameters",
    ]
    assert ours.split()[:3] == ["jaxnn", "7", "4.00"]
    assert flax.split()[-6:] == ["8.00", "[6.00,", "10.00]", "0.5", "1.0", "100"]
    assert len(head) == len(ours) == len(flax)
    assert race_report.table(REPORT, "b", "another line")[1] == "another line"


def test_cases_keep_their_order_and_their_rows():
    assert race_report.titles(REPORT["rows"]) == ["a", "b"]
    rows = race_report.rows_of(REPORT["rows"], "a")
    assert [each["framework"] for each in rows] == ["jaxnn", "Flax NNX"]
    assert race_report.absent(REPORT) == [
        "Equinox is not installed: pip install -e '.[peers]' in a checkout of jaxnn"
    ]


def test_a_case_is_compared_with_the_fastest_of_the_peers_that_ran():
    rows = [*REPORT["rows"], row("a", "Equinox", 0.8), row("a", "PyTorch", 1.5)]
    (check,) = race_report.over_the_fastest(rows)
    assert check["metric"] == "time over the fastest JAX peer's, a"
    assert (check["value"], check["threshold"], check["higher_is_better"]) == (0.8, 1.0, False)
    (other,) = race_report.over_the_fastest(rows, ("PyTorch",), "PyTorch")
    assert (other["metric"], other["value"]) == ("time over PyTorch's, a", 1.5)


def test_a_panel_has_the_bars_of_its_case():
    panel = race_report.panel(REPORT, "a", (1.0, "a limit"))
    assert [(bar.label, bar.median) for bar in panel.bars] == [("jaxnn", 4.0), ("Flax NNX", 8.0)]
    assert panel.limit == (1.0, "a limit")
    assert [each.title for each in race_report.panels(REPORT)] == ["a", "b"]
