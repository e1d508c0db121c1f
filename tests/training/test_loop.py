# pyright: reportArgumentType=false
import json
import sys
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests.small import noise

X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
Y = np.sin(X[:, :1])
NET = nn.serial(nn.mlp(8, 1), noise())
OPTIMIZER = optax.adam(1e-2)
LOSS = nn.training.supervised(NET, nn.mse)
STEP = nn.training.step(LOSS, OPTIMIZER)
BATCHES = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 50, 16)]  # the last has two rows


def start(seed=0):
    return nn.training.init_train(NET, OPTIMIZER, jax.random.key(seed), X)


def fit(**given):
    options: Any = {"batch_size": 16, "every": 5} | given
    return nn.training.fit(STEP, start(), (X, Y), **options)


def equal(a, b):
    return all(
        (np.asarray(x) == np.asarray(y)).all()
        for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True)
    )


def test_many_steps_in_one_dispatch_equal_steps_one_by_one():
    end = fit(steps=12, shuffle=False)
    train, losses = start(), []
    rows = np.arange(12 * 16) % 50
    for i in range(12):
        index = rows[16 * i : 16 * (i + 1)]
        train, metrics = STEP(train, (X[index], Y[index]))
        losses.append(float(metrics["loss"]))
    chex.assert_trees_all_close(end.train.params, train.params, rtol=1e-4, atol=1e-6)
    assert [row["step"] for row in end.history] == [5, 10, 12]
    assert end.history[0]["loss"] == pytest.approx(np.mean(losses[:5]), rel=1e-4)


def test_what_is_given_stays_as_it_is():
    train = start()
    nn.training.fit(STEP, train, (X, Y), steps=3, batch_size=16)
    assert not train.params[0][0]["w"].is_deleted()
    assert train.step == 0


def test_steps_count_from_the_very_first():
    first = fit(steps=7)
    rest = nn.training.fit(STEP, first.train, (X, Y), steps=12, batch_size=16, every=5)
    assert rest.train.step == 12
    assert equal(rest.train, fit(steps=12).train)


def test_the_same_seed_gives_the_same_bits():
    assert equal(fit(steps=10).train, fit(steps=10).train)


def test_batches_from_any_iterable_train_and_ragged_ones_count_by_their_rows():
    end = nn.training.fit(STEP, start(), BATCHES, steps=4, every=4)
    train, total = start(), 0.0
    for batch in BATCHES:
        train, metrics = STEP(train, batch)
        total += len(batch[0]) * float(metrics["loss"])
    assert end.history[0]["loss"] == pytest.approx(total / 50, rel=1e-4)


def test_an_iterator_that_ends_ends_the_run():
    with pytest.warns(UserWarning, match="ended at step 4 of 100: give a list"):
        end = nn.training.fit(STEP, start(), iter(BATCHES), steps=100, every=3)
    assert end.train.step == 4
    assert [row["step"] for row in end.history] == [3, 4]


def test_the_history_is_a_table_of_json_lines(tmp_path):
    rows = []
    end = fit(steps=10, validate=lambda train: {"loss": 1.0}, log=rows.append)
    nn.training.write_history(tmp_path / "history.jsonl", end.history)
    read = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert read == end.history == rows
    assert list(read[0]) == ["step", "seconds", "loss", "validation_loss", "rows_per_second"]


def test_the_run_stops_early_and_keeps_the_best_params():
    values = iter([3.0, 1.0, 2.0, 1.5, 0.0])
    kept = []

    def validate(train):
        kept.append(jax.tree.map(jnp.copy, train))
        return {"loss": next(values)}

    end = fit(steps=100, validate=validate, patience=2)
    assert end.train.step == 20
    assert end.best.step == 10
    assert equal(end.best, kept[1])


@pytest.mark.parametrize("highest", [False, True])
def test_nan_is_never_the_best(highest):
    values = iter([np.nan, 0.5, np.nan, 0.7, 0.6])
    end = fit(steps=25, validate=lambda train: {"loss": next(values)}, highest=highest, patience=4)
    assert end.best.step == (20 if highest else 10)


def test_nan_counts_as_a_validation_that_is_not_better():
    values = iter([1.0, np.nan, np.nan, 0.0])
    end = fit(steps=100, validate=lambda train: {"loss": next(values)}, patience=2)
    assert end.train.step == 15
    assert end.best.step == 5


def test_validation_may_return_scalars_of_numpy_and_jax(tmp_path):
    found = {"loss": np.float32(1.5), "accuracy": jnp.float32(0.25), "rows": 3}
    end = fit(steps=5, validate=lambda train: found, checkpoint=tmp_path)
    assert end.history[0]["validation_loss"] == 1.5
    again = fit(steps=5, validate=lambda train: found, checkpoint=tmp_path)
    assert again.history == end.history


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        ({"loss": jnp.ones(3)}, ValueError, r"'loss' is float32\[3\], not one number"),
        ({"loss": "low"}, ValueError, "'loss' is str, not one number"),
        (1.0, TypeError, "validate must return a dict of metrics, got float"),
    ],
)
def test_a_validation_that_is_no_dict_of_numbers_is_refused(found, error, message):
    with pytest.raises(error, match=message):
        fit(steps=5, validate=lambda train: found)


@pytest.mark.parametrize("data", [(X, Y), BATCHES])
def test_a_metric_of_several_numbers_a_step_is_refused(data):
    def loss(params, state, batch, *, key, train):
        return nn.mse(NET(params, batch[0]), batch[1]), (state, {"each": jnp.ones(3)})

    step = nn.training.step(loss, OPTIMIZER)
    size = 16 if isinstance(data, tuple) else None
    with pytest.raises(ValueError, match=r"metric 'each' is float32\[3\]"):
        nn.training.fit(step, start(), data, steps=2, batch_size=size)


def spoiling(at):
    """A step whose loss stays finite while its gradient, from step `at` on, does not."""

    def loss(params, state, batch, *, key, train):
        w = params[0][0]["w"]
        # sqrt has the derivative infinity at 0, and 0 times infinity is not a number.
        return nn.mse(NET(params, batch[0]), batch[1]) + jnp.sqrt(0 * w).sum() * (state >= at), (
            state + 1,
            {},
        )

    return nn.training.step(loss, optax.sgd(0.1)), start()._replace(
        state=jnp.zeros(()), opt_state=optax.sgd(0.1).init(start().params)
    )


def test_params_that_are_no_longer_finite_are_neither_saved_nor_returned(tmp_path):
    step, train = spoiling(at=0)
    with pytest.raises(FloatingPointError, match=r"params and state.*\['w'\] are no longer finite"):
        nn.training.fit(step, train, (X, Y), steps=1, batch_size=16, checkpoint=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.isdigit()]


BAD = X[:8] * jnp.nan, Y[:8]
NORMED = nn.serial(nn.dense(4), nn.batch_norm(), jnp.tanh, nn.dense(1))


def with_bad_batches(batches, **given):
    optimizer = optax.apply_if_finite(optax.adam(1e-2), 100)
    step = nn.training.step(nn.training.supervised(NORMED, nn.mse), optimizer)
    train = nn.training.init_train(NORMED, optimizer, jax.random.key(0), X)
    return nn.training.fit(step, train, batches, **given)


def test_skipped_steps_are_tolerated_and_counted_and_leave_nothing_behind():
    good = [(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    end = with_bad_batches([*good, BAD], steps=40, every=20, tolerate=1)
    assert [row["skipped"] for row in end.history] == [5, 5]
    assert np.isfinite([row["loss"] for row in end.history]).all()
    alone = with_bad_batches(good, steps=30, every=10)
    for leaf, other in zip(*map(jax.tree.leaves, (end.train[:2], alone.train[:2])), strict=True):
        assert (np.asarray(leaf) == np.asarray(other)).all()
    with pytest.raises(FloatingPointError, match="the loss is nan at step 4: lower"):
        with_bad_batches([*good, BAD], steps=40, every=20)


def test_more_bad_steps_in_a_row_than_tolerated_end_the_run_across_windows():
    batches = [(X[:8], Y[:8])] * 3 + [BAD] * 9
    with pytest.raises(FloatingPointError, match=r"nan at step 8, the 5\. in a row"):
        with_bad_batches(batches, steps=40, every=3, tolerate=4)


def test_patience_needs_a_validation_and_at_least_one():
    with pytest.raises(ValueError, match="patience must be a whole number of at least 1, got 0"):
        fit(steps=5, patience=0, validate=lambda train: {"loss": 1.0})
    with pytest.raises(ValueError, match="patience counts validations: give validate as well"):
        fit(steps=5, patience=2)


@pytest.mark.parametrize("steps", [5, 7])
def test_a_train_that_is_at_its_steps_already_is_refused(steps):
    end = fit(steps=7)
    with pytest.raises(ValueError, match=rf"train is at step 7, and steps={steps} counts from"):
        nn.training.fit(STEP, end.train, (X, Y), steps=steps, batch_size=16)


def test_the_highest_may_be_the_best():
    values = iter([0.1, 0.9, 0.5])
    end = fit(
        steps=15, validate=lambda t: {"accuracy": next(values)}, monitor="accuracy", highest=True
    )
    assert end.best.step == 10


def test_a_monitor_that_is_not_measured_is_refused():
    with pytest.raises(ValueError, match=r"validate returned \['loss'\], and no 'accuracy'"):
        fit(steps=5, validate=lambda train: {"loss": 1.0}, monitor="accuracy")


def test_without_validation_the_best_is_the_last():
    end = fit(steps=5)
    assert equal(end.best, end.train)


def test_the_first_nan_stops_the_run_and_says_at_which_step():
    def loss(params, state, batch, *, key, train):
        value = nn.mse(NET(params, batch[0]), batch[1])
        bad = jax.random.key_data(key)[0] % 7 == 0
        return jnp.where(bad, jnp.nan, value), (state, {})

    step = nn.training.step(loss, OPTIMIZER)
    train, expected = start(), 0
    while True:
        expected += 1
        train, metrics = step(train, BATCHES[0])
        if not np.isfinite(metrics["loss"]):
            break
    for every in (1, 4, 1000):
        with pytest.raises(FloatingPointError, match=f"the loss is nan at step {expected}: lower"):
            nn.training.fit(step, start(), (X, Y), steps=2000, batch_size=16, every=every)


def test_an_infinite_loss_stops_the_run():
    step = nn.training.step(LOSS, optax.sgd(1e18))
    train = nn.training.init_train(NET, optax.sgd(1e18), jax.random.key(0), X)
    with pytest.raises(FloatingPointError, match="the loss is (inf|nan) at step"):
        nn.training.fit(step, train, (X, Y), steps=50, batch_size=16)


@pytest.mark.parametrize("batches", ["resident", "stream"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, batches):
    def run(steps, checkpoint=None):
        validate = lambda train: nn.training.evaluate(LOSS, train, (X, Y), batch_size=50)  # noqa: E731
        data, size = ((X, Y), 16) if batches == "resident" else (BATCHES, None)
        return nn.training.fit(
            STEP, start(), data, batch_size=size, steps=steps, every=3, validate=validate,
            checkpoint=checkpoint,
        )  # fmt: skip

    whole = run(14)
    run(6, tmp_path / "run")
    resumed = run(14, tmp_path / "run")
    assert equal(whole.train, resumed.train)
    assert equal(whole.best, resumed.best)
    assert [row["step"] for row in resumed.history] == [3, 6, 9, 12, 14]
    losses = [[row["loss"] for row in end.history] for end in (whole, resumed)]
    assert losses[0] == losses[1]
    again = run(14, tmp_path / "run")  # nothing is left to do
    assert equal(again.train, whole.train)
    assert len(again.history) == 5


def test_a_checkpoint_of_another_net_is_refused(tmp_path):
    fit(steps=5, checkpoint=tmp_path / "run")
    net = nn.mlp(4, 4, 1)
    train = nn.training.init_train(net, OPTIMIZER, jax.random.key(0), X)
    step = nn.training.step(nn.training.supervised(net, nn.mse), OPTIMIZER)
    with pytest.raises(ValueError, match=r"the checkpoint of step 5 .* does not fit this net"):
        nn.training.fit(step, train, (X, Y), steps=9, batch_size=16, checkpoint=tmp_path / "run")


def test_a_missing_extra_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"pip install -e '.\[train\]'"):
        fit(steps=1, checkpoint=tmp_path)
    with pytest.raises(ImportError, match=r"pip install -e '.\[train\]'"):
        fit(steps=1, progress=True)


def test_a_progress_bar_is_drawn_only_where_asked_or_on_a_terminal(capsys):
    fit(steps=10)
    assert capsys.readouterr().err == ""
    fit(steps=10, progress=True)
    assert "10/10" in capsys.readouterr().err
