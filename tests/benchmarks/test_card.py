import json

import numpy as np

from benchmarks import card
from benchmarks.peers import cases


def test_a_case_that_fails_is_named_and_the_next_one_goes_on(monkeypatch, capsys):
    def broken():
        raise ValueError("it does not fit")

    def sound():
        return lambda: np.array([2.5, 1.0]), lambda value: value, {"parameters": 7}

    makes = {("b", "tf32"): sound, ("a", "bfloat16"): broken, ("c", "float32"): sound}
    monkeypatch.setattr(card, "cases", lambda framework, quick: makes)
    assert card.main(["jaxnn", "--seconds", "0.01", "--dtypes", "bfloat16", "tf32"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["error"] == "ValueError: it does not fit"
    assert (second["case"], second["value"], second["parameters"]) == ("b", 2.5, 7)
    assert 0 < second["low_ms"] <= second["ms"] <= second["high_ms"]


def test_a_quick_case_is_run_and_timed(capsys):
    assert card.main(["jaxnn", "--quick", "--seconds", "0.01", "--only", cases.CARD_COPY]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["case"], row["dtype"], row["value"]) == (cases.CARD_COPY, "float32", 2.0)
