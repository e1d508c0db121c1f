"""The order of rows is a permutation of which any part is known."""

import numpy as np
import pytest

from jaxnn.training.order import running_on, shuffled


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 17, 1000, 4096])
def test_every_row_comes_once_in_an_order_of_the_seed(rows):
    orders = [shuffled(np.arange(rows), rows, (seed,)) for seed in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(rows))
    if rows > 3:
        assert list(orders[0]) != list(orders[1])


def test_a_part_is_that_of_the_whole():
    whole = shuffled(np.arange(100), 100, (5,))
    assert list(shuffled(np.arange(40, 60), 100, (5,))) == list(whole[40:60])


def test_each_place_gets_each_row_as_often():
    # 3000 orders of 8 rows: a cell is 375 with a deviation of 18.
    counts = np.zeros((8, 8))
    for seed in range(3000):
        counts[np.arange(8), shuffled(np.arange(8), 8, (seed,))] += 1
    assert np.abs(counts - 375).max() < 5 * 18


def test_neighbors_are_not_neighbors_after_shuffling():
    order = shuffled(np.arange(10_000), 10_000, (0,))
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05


def test_the_order_is_the_same_in_every_version():
    assert shuffled(np.arange(8), 8, (0, 1)).tolist() == [3, 5, 0, 2, 7, 4, 1, 6]


def test_a_batch_goes_over_the_end_of_an_epoch():
    assert running_on(1, 4, 6, None, None).tolist() == [4, 5, 0, 1]
    assert running_on(2, 4, 6, 10, None).tolist() == [2, 3]
    rows = np.concatenate([running_on(number, 4, 6, None, 3) for number in range(3)])
    assert sorted(rows[:6]) == sorted(rows[6:]) == list(range(6))
    large = running_on(10**12, 4, 10**9, None, 3)
    assert large.shape == (4,)
    assert (large >= 0).all()
    assert (large < 10**9).all()
