# pyright: reportArgumentType=false
import time
import types
from concurrent.futures import Future
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.training import pace
from tests.training.test_loop import STEP, X, Y, fit, start

TOKENS = np.arange(96, dtype=np.int32).reshape(8, 12) % 5


def window(sent, done, rows=(10, 10), tokens=0, end=2):
    future = Future()
    future.set_result(done)
    return pace.Window(end, {"loss": jnp.zeros(len(rows))}, list(rows), tokens, sent, future)


def laps(windows, roof=None, train=()):
    with pace.stopwatch(train, roof) as (_, lap):
        return [lap(each) for each in windows]


def test_a_window_lasts_from_the_end_of_the_one_before_or_from_its_first_dispatch():
    # The second is sent while the first computes; before the third a validation takes 4 seconds.
    found = laps([window(1.0, 3.0), window(1.5, 4.0), window(8.0, 8.5)])
    assert [row["rows_per_second"] for row in found] == [10.0, 20.0, 40.0]


def test_tokens_and_the_share_of_the_roof_count_all_steps_of_a_window():
    (row,) = laps([window(0.0, 2.0, tokens=300)], roof=(1e12, 5e10))
    assert row["tokens_per_second"] == 150.0
    assert row["share_of_roof"] == pytest.approx(5e10 * 2 / 2.0 / 1e12)


def test_a_batch_of_integers_with_time_is_one_of_tokens():
    assert pace.count_tokens((TOKENS, TOKENS)) == 96
    assert pace.count_tokens({"ids": jnp.asarray(TOKENS), "mask": X}) == 96
    assert pace.count_tokens((X, Y)) == 0
    assert pace.count_tokens((TOKENS[0], X)) == 0
    assert pace.count_tokens(TOKENS.astype(np.uint8)) == 0  # mostly pixels
    assert pace.tokens_of_rows((TOKENS, Y))([2, 3]) == 60
    assert pace.tokens_of_rows((X, Y))([2, 3]) == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_the_history_of_a_language_model_has_its_tokens_a_second(streamed):
    net, optimizer = nn.embedding(5, 5), optax.sgd(0.1)
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), TOKENS)
    data = (TOKENS, TOKENS)
    end = nn.training.fit(
        nn.training.step(loss, optimizer), train, [data] if streamed else data,
        batch_size=None if streamed else 8, steps=4, every=2, roof=(1e9, 1e3),
    )  # fmt: skip
    for row in end.history:
        assert row["tokens_per_second"] == pytest.approx(12 * row["rows_per_second"])
        steps_per_second = row["rows_per_second"] / 8
        assert row["share_of_roof"] == pytest.approx(steps_per_second * 1e3 / 1e9)


def test_the_rate_is_that_of_the_clock_whatever_is_slow():
    # Each batch takes 30 ms to come, or each validation as long, which is no step's time.
    def slow():
        while True:
            time.sleep(0.03)
            yield X[:16], Y[:16]

    fed = nn.training.fit(STEP, start(), slow(), steps=15, every=5).history[1:]
    assert all(200 < row["rows_per_second"] < 16 / 0.03 for row in fed)

    def validate(train):
        time.sleep(0.3)
        return {"loss": 1.0}

    watched = fit(steps=15, validate=validate).history[1:]
    assert all(row["rows_per_second"] > 5 * 16 / 0.3 for row in watched)


def test_the_memory_of_a_device_is_in_the_history_where_the_device_tells_it(monkeypatch):
    told = types.SimpleNamespace(memory_stats=lambda: {"peak_bytes_in_use": 3 << 30})
    silent = types.SimpleNamespace(memory_stats=lambda: None)
    for devices, wanted in (([told, silent], 3 << 30), ([silent], None)):
        leaf: Any = types.SimpleNamespace(
            sharding=types.SimpleNamespace(addressable_devices=devices)
        )
        monkeypatch.setattr(pace.jax, "Array", types.SimpleNamespace)
        (row,) = laps([window(0.0, 1.0)], train=[leaf])
        assert row.get("peak_memory_bytes") == wanted
        monkeypatch.undo()


@pytest.mark.parametrize("roof", [(0, 1e9), (1e12, -1.0), (float("inf"), 1e9)])
def test_a_roof_that_is_no_roof_is_refused(roof):
    with pytest.raises(ValueError, match="roof: the operations of .* must be a finite number"):
        fit(steps=5, roof=roof)


def test_a_roof_takes_two_numbers():
    with pytest.raises(TypeError, match="roof must be 2 values"):
        fit(steps=5, roof=1e12)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_trace_has_the_steps_of_one_row_after_compilation(streamed, tmp_path):
    data = [(X[:16], Y[:16])] if streamed else (X, Y)
    rows = []
    end = nn.training.fit(
        STEP, start(), data, batch_size=None if streamed else 16, steps=12, every=4,
        trace=tmp_path / "trace", log=rows.append,
    )  # fmt: skip
    (path,) = (tmp_path / "trace").rglob("*.xplane.pb")
    text = path.read_bytes()
    assert b"train" in text
    assert b"backend_compile" not in text
    assert [row["step"] for row in rows] == [4, 8, 12]
    whole = nn.training.fit(
        STEP, start(), data, batch_size=None if streamed else 16, steps=12, every=4
    )
    same = jax.tree.map(lambda a, b: bool((a == b).all()), end.train.params, whole.train.params)
    assert all(jax.tree.leaves(same))


def test_a_run_of_one_row_is_not_traced_and_that_is_said(tmp_path):
    with pytest.warns(UserWarning, match="nothing was traced into .*give a smaller every"):
        fit(steps=5, trace=tmp_path / "trace")
    assert not (tmp_path / "trace").exists()
