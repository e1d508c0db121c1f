import json

import numpy as np

from benchmarks import card


def test_a_case_that_fails_is_named_and_the_next_one_goes_on(monkeypatch, capsys):
    def broken():
        raise ValueError("it does not fit")

    def sound():
        return lambda: np.array([2.5, 1.0]), lambda value: value, {"parameters": 7}

    cases = {("b", "tf32"): sound, ("a", "bfloat16"): broken, ("c", "float32"): sound}
    monkeypatch.setattr(card, "FRAMEWORKS", {"jaxnn": lambda quick: cases})
    assert card.main(["jaxnn", "--seconds", "0.01", "--dtypes", "bfloat16", "tf32"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["error"] == "ValueError: it does not fit"
    assert (second["case"], second["value"], second["parameters"]) == ("b", 2.5, 7)
    assert 0 < second["low_ms"] <= second["ms"] <= second["high_ms"]


def test_a_quick_case_is_run_and_timed(capsys):
    assert card.main(["jaxnn", "--quick", "--seconds", "0.01", "--only", card.COPY]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["case"], told["dtype"], told["value"]) == (card.COPY, "float32", 2.0)
