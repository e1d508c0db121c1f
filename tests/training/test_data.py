"""Loaders: every row once an epoch over all processes, and the same order after resuming."""

import sys

import jax
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.training import loader, record_source, write_records

pytest.importorskip("grain", reason="pip install -e '.[train]'")
ROWS = 24


def tokens(row):
    """The row of a number: its number is its first token, and its length comes of it."""
    return np.full(1 + row * 7 % 10, row)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same rows, 0 to 23, in each of the forms: (source, read)."""
    folder = tmp_path_factory.mktemp("rows")
    files = [folder / f"{row}.npy" for row in range(ROWS)]
    for row, path in enumerate(files):
        np.save(path, np.array(row))
    np.save(folder / "all.npy", np.arange(ROWS))
    parts = [folder / "first.array_record", folder / "second.array_record"]
    write_records(parts[0], (np.int64(row).tobytes() for row in range(10)))
    write_records(parts[1], (np.int64(row).tobytes() for row in range(10, ROWS)))
    return {
        "arrays": (np.arange(ROWS), None),
        "a memory map": (np.load(folder / "all.npy", mmap_mode="r"), None),
        "a list": ([np.array(row) for row in range(ROWS)], None),
        "files": (files, np.load),
        "records": (record_source(parts), lambda record: np.frombuffer(record, np.int64)[0]),
    }


KINDS = ["arrays", "a memory map", "a list", "files", "records"]


def drawn(batches, n=None):
    iterator = iter(batches)
    return [next(iterator) for _ in range(n)] if n else list(iterator)


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_comes_once_an_epoch_over_all_processes(kind, sources):
    source, read = sources[kind]
    whole = drawn(loader(source, 8, read=read, seed=3), 6)
    epochs = np.concatenate(whole).reshape(2, ROWS)
    assert [sorted(epoch) for epoch in epochs] == [list(range(ROWS))] * 2
    assert list(epochs[0]) != list(epochs[1])
    assert list(epochs[0]) != list(range(ROWS))
    parts = [
        drawn(loader(source, 8, read=read, seed=3, process=process, processes=4), 6)
        for process in range(4)
    ]
    # The parts of the processes, one after the other, are the batch of a single one.
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefetch", [0, 4])
def test_a_loader_goes_on_where_it_was(kind, prefetch, sources):
    source, read = sources[kind]

    def make():
        return iter(loader(source, 5, read=read, seed=0, prefetch=prefetch))

    whole, half = make(), make()
    expected = [next(whole) for _ in range(12)]
    for _ in range(5):
        next(half)
    again = make()
    again.set_state(half.get_state())
    np.testing.assert_array_equal([next(again) for _ in range(7)], expected[5:])


def test_rows_come_in_order_without_a_seed_and_the_last_batch_has_what_remains():
    assert [list(b) for b in loader(np.arange(5), 2, epochs=1)] == [[0, 1], [2, 3], [4]]
    assert [list(b) for b in loader(np.arange(5), 2, epochs=1, drop_last=True)] == [[0, 1], [2, 3]]
    assert [list(b) for b in loader(np.arange(3), 2, epochs=2)] == [[0, 1], [2, 0], [1, 2]]


def test_the_order_is_that_of_the_seed():
    one, same, other = (
        np.concatenate(drawn(loader(np.arange(9), 3, seed=s), 3)) for s in (0, 0, 1)
    )
    assert list(one) == list(same)
    assert list(one) != list(other)


def test_rows_are_pytrees():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    (batch,) = loader({"x": x, "y": y}, 6, epochs=1)
    np.testing.assert_array_equal(batch["x"], x)
    (pairs,) = loader([(x[i], int(y[i])) for i in range(6)], 6, epochs=1)
    np.testing.assert_array_equal(pairs[0], x)
    assert list(pairs[1]) == list(y)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bucket_pads_to_its_length_and_loses_no_row(processes):
    rows = [tokens(row) for row in range(ROWS)]
    seen, shapes = [], set()
    for process in range(processes):
        part = loader(
            rows, 4, seed=1, epochs=2, buckets=[4, 8, 16], pad=-1, process=process,
            processes=processes,
        )  # fmt: skip
        for x, mask in part:
            shapes.add(x.shape)
            for row, present in zip(x, mask, strict=True):
                np.testing.assert_array_equal(row[present], tokens(row[0]))
                assert set(row[~present]) <= {-1}
                seen.append(row[0])
    assert sorted(seen) == sorted(2 * list(range(ROWS)))
    assert {time for _, time in shapes} == {4, 8, 16}
    assert {each for each, _ in shapes} == {4 // processes}


def test_the_processes_share_the_batches_of_buckets():
    rows = [tokens(row) for row in range(ROWS)]
    whole = drawn(loader(rows, 4, seed=1, buckets=[4, 10]), 12)
    parts = [
        drawn(loader(rows, 4, seed=1, buckets=[4, 10], process=process, processes=2), 12)
        for process in range(2)
    ]
    for (x, mask), (first, firsts), (second, seconds) in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(np.concatenate([first, second]), x)
        np.testing.assert_array_equal(np.concatenate([firsts, seconds]), mask)


def test_buckets_go_on_where_they_were_in_a_later_epoch():
    rows = [tokens(row) for row in range(ROWS)]

    def make():
        return iter(loader(rows, 5, seed=2, buckets=[5, 10]))

    whole, again = make(), make()
    expected = [next(whole) for _ in range(13)]  # 5 batches an epoch, one of them of 4 rows
    again.set_state({"next_index": 7})
    for (x, mask), (x_again, mask_again) in zip(expected[7:], again, strict=False):
        np.testing.assert_array_equal(x_again, x)
        np.testing.assert_array_equal(mask_again, mask)
    assert [x.shape[0] for x, _ in expected[:10]] == [5, 5, 5, 5, 4] * 2


def test_little_of_a_batch_is_padding():
    rng = np.random.default_rng(0)
    rows = [np.ones(length) for length in rng.integers(1, 65, 400)]
    share = [
        1 - np.mean(np.concatenate([mask.reshape(-1) for _, mask in loader(rows, 10, **options)]))
        for options in ({"buckets": [64], "epochs": 1}, {"buckets": [16, 32, 48, 64], "epochs": 1})
    ]
    assert share[0] > 0.4
    assert share[1] < 0.25


def test_pairs_and_dicts_are_padded_part_by_part():
    rows = [(np.ones((n, 3)), np.zeros(10), n) for n in (1, 2)]
    ((x, mask), y, n) = next(iter(loader(rows, 2, buckets=[4], pad=(0, None, None))))
    assert (x.shape, y.shape, list(n)) == ((2, 4, 3), (2, 10), [1, 2])
    assert mask.tolist() == nn.length_mask(np.array([1, 2]), 4).tolist()
    dicts = [{"tokens": np.full(n, 7), "target": np.full(n, 5)} for n in (1, 2)]
    batch = next(iter(loader(dicts, 2, buckets=[2], pad={"tokens": 0, "target": -1})))
    assert batch["tokens"].tolist() == [[7, 0], [7, 7]]
    assert batch["target"].tolist() == [[5, -1], [5, 5]]
    assert batch["mask"].tolist() == [[True, False], [True, True]]


X = np.arange(10)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"source": X, "batch_size": 5, "processes": 2},
            ValueError,
            "5 cannot be split over 2 proc",
        ),
        ({"source": X, "batch_size": 4, "process": 2, "processes": 2}, ValueError, "0 to 1 of 2"),
        (
            {"source": np.arange(9), "batch_size": 2, "epochs": 1, "process": 0, "processes": 2},
            ValueError,
            "the last batch has 1 of 2 rows, which cannot be split over 2 processes",
        ),
        ({"source": np.zeros((0, 2)), "batch_size": 1}, ValueError, "the source has no rows"),
        ({"source": [], "batch_size": 1}, ValueError, "the source has no rows"),
        ({"source": (X, np.arange(9)), "batch_size": 1}, ValueError, "unequal rows"),
        ({"source": "rows.npy", "batch_size": 1}, TypeError, "got a string: give a list of files"),
        ({"source": iter([X]), "batch_size": 1}, TypeError, "got a list_iterator: make a l"),
        ({"source": X, "batch_size": 1, "seed": -1}, ValueError, "seed must be 0 to"),
        ({"source": X, "batch_size": 1, "lengths": X}, ValueError, "lengths are for buckets"),
        ({"source": [X], "batch_size": 1, "buckets": [4, 2]}, ValueError, "ascending lengths"),
        ({"source": [X], "batch_size": 1, "buckets": [8]}, ValueError, "row 0 has length 10, bey"),
        (
            {"source": [X], "batch_size": 2, "buckets": [10], "drop_last": True},
            ValueError,
            "1 at m",
        ),
        (
            {"source": [X], "batch_size": 1, "buckets": [10], "lengths": np.array([2, 3])},
            ValueError,
            r"lengths are int \[1\]",
        ),
        (
            {"source": [X], "batch_size": 1, "buckets": [10], "lengths": np.array([2.5])},
            TypeError,
            "lengths are int",
        ),
    ],
)
def test_what_cannot_be_loaded_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        loader(**arguments)


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ([X, X[:4]], {}, ValueError, "row 1 is of .* give buckets="),
        ([[1, 2], [3, 4]], {}, TypeError, "row 0 holds a list, not an array: make one"),
        ([(X, X[:3])], {"buckets": [16]}, ValueError, r"row 0\[1\] has 3 steps and its row 10"),
        ([X], {"buckets": [16], "pad": 0.5}, ValueError, "cannot hold the padding 0.5"),
        ([X], {"buckets": [16], "pad": (0, 1)}, ValueError, "one for each part of a row"),
        ([{"mask": X}], {"buckets": [16]}, ValueError, "has an entry 'mask' already"),
    ],
)
def test_a_row_that_does_not_fit_is_named(source, options, error, message):
    with pytest.raises(error, match=message):
        next(iter(loader(source, len(source), **options)))


def test_a_run_with_another_order_or_batch_is_refused_and_nothing_is_lost(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    net, optimizer = nn.dense(1), optax.sgd(0.1)
    step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)

    def run(steps, checkpoint, batch_size=4, seed=0):
        batches = loader((x, x[:, :1]), batch_size, seed=seed)
        return nn.training.fit(
            step, train, batches, steps=steps, every=2, checkpoint=checkpoint, progress=False
        )

    run(4, tmp_path)
    with pytest.raises(ValueError, match="batch_size was 4 and is 2"):
        run(6, tmp_path, batch_size=2)
    with pytest.raises(ValueError, match="seed was 0 and is 1"):
        run(6, tmp_path, seed=1)
    again, whole = run(6, tmp_path), run(6, None)
    np.testing.assert_array_equal(again.train.params["w"], whole.train.params["w"])
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(ImportError, match=r"loaders need grain: pip install -e '\.\[train\]'"):
        loader(X, 2)
