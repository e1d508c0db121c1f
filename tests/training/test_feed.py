import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn.training import TrainState
from jaxnn.training import feed as feeds
from jaxnn.training.feed import resident, stream


def train_of(seed=0):
    return TrainState((), (), (), jnp.zeros((), jnp.int32), jax.random.key(seed))


@jax.jit
def show(train, batch):
    """A step that shows which rows it saw."""
    return train._replace(step=train.step + 1), {"loss": 0.0, "rows": batch}


def seen(feed, train, at, n):
    train, metrics, _ = feed.advance(train, at, n)
    return np.asarray(metrics["rows"]).reshape(-1), train


def test_each_epoch_shows_every_row_once_in_an_order_of_its_own():
    feed = resident(show, jnp.arange(10), 4)
    rows, _ = seen(feed, train_of(), 0, 5)  # 20 rows: two epochs of 10, with one batch across
    assert sorted(rows[:10]) == list(range(10))
    assert sorted(rows[10:]) == list(range(10))
    assert list(rows[:10]) != list(rows[10:])


def test_the_order_depends_on_the_seed_and_the_step_alone():
    whole, _ = seen(resident(show, jnp.arange(10), 4), train_of(), 0, 12)
    feed, train, parts = resident(show, jnp.arange(10), 4), train_of(), []
    for at, n in ((0, 1), (1, 5), (6, 6)):
        rows, train = seen(feed, train, at, n)
        parts.extend(rows)
    assert list(whole) == parts
    late, _ = seen(resident(show, jnp.arange(10), 4), train_of(), 7, 5)
    assert list(whole[28:]) == list(late)
    other, _ = seen(resident(show, jnp.arange(10), 4), train_of(1), 0, 12)
    assert list(whole) != list(other)


def test_without_shuffling_rows_come_as_they_are():
    rows, _ = seen(resident(show, jnp.arange(5), 2, shuffle=False), train_of(), 0, 5)
    assert list(rows) == [*range(5), *range(5)]


@pytest.mark.parametrize(
    ("data", "batch_size", "message"),
    [
        (np.zeros((0, 3)), 1, "data has no rows"),
        ((), 1, "data has no rows"),
        (np.zeros((4, 3)), 5, "batch_size 5 is larger than the data of 4 rows"),
        (np.zeros((4, 3)), 0, "batch_size must be a whole number"),
        ((np.zeros(4), np.zeros(5)), 1, "leaves of unequal rows"),
        ((np.zeros(4), np.zeros(())), 1, "holds a scalar"),
        (np.array([0.0, np.nan, np.nan]), 1, "data holds NaN in 2 rows, first in row 1"),
        ({"x": np.array([np.nan])}, 1, r"data\['x'\] holds NaN in 1 rows, first in row 0"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(data, batch_size, message):
    with pytest.raises(ValueError, match=message):
        resident(show, data, batch_size)


def test_a_ragged_batch_runs_at_its_own_size():
    _, metrics, rows = stream(show, [np.arange(4), np.arange(2)]).advance(train_of(), 0, 2)
    assert rows == [4, 2]
    assert metrics[1]["rows"].tolist() == [0, 1]


def test_a_ragged_batch_trains_batch_norm_as_its_rows_do():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(65, 4)).astype(np.float32)
    y = x[:, :1]
    net, optimizer = nn.serial(nn.batch_norm(), nn.dense(1)), optax.sgd(0.0)
    step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    batches = [(x[:64], y[:64]), (x[63:], y[63:])]
    end = nn.training.fit(step, train, batches, steps=400).train
    # Every turn averages the variance of 64 rows and that of two, each with a momentum of 0.1.
    var = [rows.astype(np.float64).var(axis=0, ddof=1) for rows in (x[:64], x[63:])]
    expected = (0.9 * 0.1 * var[0] + 0.1 * var[1]) / (1 - 0.9**2)
    np.testing.assert_allclose(end.state[0]["variance"], expected, rtol=1e-4)


def test_a_batch_without_a_common_row_axis_counts_once():
    batch = {"nodes": np.ones((5, 2)), "edges": np.ones((9, 2)), "size": np.ones(())}
    _, _, rows = stream(show, [batch]).advance(train_of(), 0, 3)
    assert rows == [1, 1, 1]


@pytest.mark.parametrize(
    "batches",
    [
        (np.ones((4, 2)), np.ones(4)),
        np.ones((4, 2)),
        {"x": np.ones((4, 2))},
        nn.dense(1),
        7,
        nn.graph.make_graph(np.ones((2, 1), np.float32), [0], [1]),
    ],
    ids=["pair", "array", "dict", "net", "number", "graph"],
)
def test_arrays_without_a_batch_size_are_refused(batches):
    with pytest.raises(TypeError, match=r"give batch_size=\.\.\. for arrays, or a list"):
        stream(show, batches)


def test_a_window_of_many_rows_is_several_dispatches_with_the_same_batches(monkeypatch):
    whole, _ = seen(resident(show, jnp.arange(10), 4), train_of(), 0, 7)
    monkeypatch.setattr(feeds, "INDICES", 8)
    parts, train = seen(resident(show, jnp.arange(10), 4), train_of(), 0, 7)
    assert list(whole) == list(parts)
    assert train.step == 7


def test_a_list_starts_anew_and_an_iterator_ends():
    _, metrics, _ = stream(show, [np.arange(2), np.arange(2, 4)]).advance(train_of(), 0, 5)
    assert [m["rows"][0].item() for m in metrics] == [0, 2, 0, 2, 0]
    _, _, rows = stream(show, iter([np.arange(2)] * 3)).advance(train_of(), 0, 5)
    assert len(rows) == 3


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match="no batches"):
        stream(show, []).advance(train_of(), 0, 1)


def test_the_next_batch_is_drawn_while_this_one_computes():
    drawn = []

    def batches():
        for i in range(5):
            drawn.append(i)
            yield np.arange(2)

    stream(show, batches()).advance(train_of(), 0, 2)
    assert drawn == [0, 1, 2]


def test_a_position_finds_the_place_again():
    batches = [np.full(2, i) for i in range(5)]
    feed = stream(show, batches)
    feed.advance(train_of(), 0, 3)
    again = stream(show, batches)
    again.seek(feed.position())
    _, metrics, _ = again.advance(train_of(), 3, 3)
    assert [m["rows"][0].item() for m in metrics] == [3, 4, 0]


@pytest.mark.parametrize("kind", ["dataset", "loader"])
def test_grains_iterators_keep_their_own_position(kind):
    grain = pytest.importorskip("grain", reason="pip install -e '.[train]'")

    def batches():
        if kind == "dataset":
            return grain.MapDataset.range(40).shuffle(seed=1).batch(2).to_iter_dataset()
        return grain.DataLoader(
            data_source=np.arange(40),
            sampler=grain.samplers.IndexSampler(40, shuffle=True, seed=1, num_epochs=1),
            operations=[grain.transforms.Batch(2)],
        )

    feed = stream(show, batches())
    _, whole, _ = feed.advance(train_of(), 0, 12)
    feed = stream(show, batches())
    feed.advance(train_of(), 0, 5)
    again = stream(show, batches())
    assert feed.position()["state"] is not None
    again.seek(feed.position())
    _, rest, _ = again.advance(train_of(), 5, 7)
    assert [m["rows"].tolist() for m in rest] == [m["rows"].tolist() for m in whole[5:]]


def test_a_grain_loader_with_a_ragged_last_batch_goes_on_where_it_was():
    grain = pytest.importorskip("grain", reason="pip install -e '.[train]'")

    def batches():
        return grain.MapDataset.range(10).shuffle(seed=1).repeat(3).batch(4).to_iter_dataset()

    def rows_of(feed, at, n):
        return [m["rows"].tolist() for m in feed.advance(train_of(), at, n)[1]]

    whole = rows_of(stream(show, batches()), 0, 8)
    for at in range(1, 8):
        feed, again = stream(show, batches()), stream(show, batches())
        rows_of(feed, 0, at)
        again.seek(feed.position())
        assert rows_of(again, at, 8 - at) == whole[at:]
