import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.training import Train
from jaxnn.training.feed import resident, stream


def train_of(seed=0):
    return Train((), (), (), jnp.zeros((), jnp.int32), jax.random.key(seed))


@jax.jit
def show(train, batch):
    """A step that shows which rows it saw."""
    return train._replace(step=train.step + 1), {"loss": 0.0, "rows": batch}


@jax.jit
def show_weighed(train, batch, weight=None):
    return train._replace(step=train.step + 1), {"loss": 0.0, "rows": batch, "weight": weight}


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


def test_a_ragged_batch_is_padded_and_weighed_and_compiles_nothing():
    batches = [np.arange(4), np.arange(4, 8), np.arange(8, 10)]
    traces = []

    @jax.jit
    def step(train, batch, weight=None):
        traces.append(batch.shape)
        return show_weighed(train, batch, weight)

    feed = stream(step, batches)
    _, metrics, rows = feed.advance(train_of(), 0, 3)
    assert rows == [4, 4, 2]
    assert metrics[2]["weight"].tolist() == [True, True, False, False]
    assert metrics[2]["rows"].tolist() == [8, 9, 9, 9]
    assert traces == [(4,)]


def test_a_ragged_batch_runs_at_its_own_size_where_the_loss_takes_no_weight():
    _, metrics, rows = stream(show, [np.arange(4), np.arange(2)]).advance(train_of(), 0, 2)
    assert rows == [4, 2]
    assert metrics[1]["rows"].shape == (2,)


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
    grain = pytest.importorskip("grain", reason="pip install 'jaxnn[train]'")

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
