from benchmarks import raced


def row(case, framework, over=1.0, ms=4.0):
    return {
        "case": case,
        "framework": framework,
        "median_ms": ms,
        "low_ms": 0.75 * ms,
        "high_ms": 1.25 * ms,
        "jaxnn_over_it": over,
        "parameters": 100,
        "first_step_seconds": 1.0,
        "rate": 7,
    }


REPORT = {
    "rows": [row("a", "jaxnn"), row("a", "Flax NNX", 0.5, 8.0), row("b", "jaxnn")],
    "absent": ["Equinox"],
}


def test_a_case_is_a_line_for_each_framework_with_columns_of_its_own():
    above, title, head, ours, flax = raced.table(
        REPORT, "a", more={"rate": lambda r: f"{r['rate']}"}
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
    assert raced.table(REPORT, "b", "another line")[1] == "another line"


def test_cases_keep_their_order_and_their_rows():
    assert raced.titles(REPORT["rows"]) == ["a", "b"]
    assert [each["framework"] for each in raced.rows_of(REPORT["rows"], "a")] == [
        "jaxnn",
        "Flax NNX",
    ]
    assert raced.absent(REPORT) == [
        "Equinox is not installed: pip install -e '.[peers]' in a checkout of jaxnn"
    ]


def test_the_bar_is_the_fastest_of_the_peers_that_are_there():
    rows = [*REPORT["rows"], row("a", "Equinox", 0.8), row("a", "PyTorch", 1.5)]
    (check,) = raced.over_the_fastest(rows)
    assert check["metric"] == "time over the fastest JAX peer's, a"
    assert (check["value"], check["bar"], check["higher_is_better"]) == (0.8, 1.0, False)
    (mark,) = raced.over_the_fastest(rows, ("PyTorch",), "PyTorch")
    assert (mark["metric"], mark["value"]) == ("time over PyTorch's, a", 1.5)


def test_a_panel_has_the_bars_of_its_case():
    panel = raced.panel(REPORT, "a", (1.0, "a limit"))
    assert [(bar.label, bar.median) for bar in panel.bars] == [("jaxnn", 4.0), ("Flax NNX", 8.0)]
    assert panel.limit == (1.0, "a limit")
