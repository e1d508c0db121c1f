# pyright: reportArgumentType=false, reportCallIssue=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.layers.segment import take

pytestmark = pytest.mark.ordinary

IDS = jnp.array([2, 0, 2, 5, -1, 0, 2])  # 5 and -1 are no segment of four, 1 and 3 are empty


def by_hand(function, x, count):
    rows = [np.asarray(x)[np.asarray(IDS) == s] for s in range(count)]
    return np.stack([function(each, 0) if len(each) else np.zeros(x.shape[1:]) for each in rows])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(nn.segment_sum, np.sum), (nn.segment_mean, np.mean), (nn.segment_max, np.max)],
)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_a_segment_is_reduced_by_itself(ours, theirs, shape, key):
    x = jax.random.normal(key, (7, *shape)) - 3  # maxima below zero as well
    np.testing.assert_allclose(ours(x, IDS, 4), by_hand(theirs, x, 4), rtol=1e-6)


def test_the_softmax_of_a_segment_sums_to_one(key):
    x = jax.random.normal(key, (7, 3)).at[3:5].set(1e6)  # of no segment
    y = nn.segment_softmax(x, IDS, 4)
    wanted = np.zeros((7, 3))
    for s in (0, 2):
        some = np.asarray(IDS) == s
        wanted[some] = jax.nn.softmax(x[some], axis=0)
    np.testing.assert_allclose(y, wanted, rtol=1e-5)


def test_large_scores_do_not_overflow():
    y = nn.segment_softmax(jnp.array([1e4, 1e4, -1e4]), jnp.array([0, 0, 1]), 2)
    assert y.tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize(
    "function", [nn.segment_sum, nn.segment_mean, nn.segment_max, nn.segment_softmax]
)
def test_no_gradient_comes_back_to_rows_of_no_segment(function, key):
    x = jax.random.normal(key, (7, 3)).at[3].set(1e3)
    gradient = jax.grad(lambda x: jnp.sum(jnp.sin(function(x, IDS, 4))))(x)
    assert jnp.isfinite(gradient).all()
    assert (gradient[3:5] == 0).all()
    assert (gradient[0] != 0).any()


def test_rows_that_share_a_maximum_share_its_gradient():
    gradient = jax.grad(lambda x: nn.segment_max(x, jnp.zeros(3, int), 1)[0])
    assert gradient(jnp.array([2.0, 1.0, 2.0])).tolist() == [0.5, 0.0, 0.5]


def test_a_number_that_is_none_takes_zeros():
    x = jnp.ones((3, 2))
    assert take(x, jnp.array([2, 3, -1]))[:, 0].tolist() == [1, 0, 0]


def test_no_rows_and_no_segments():
    empty = jnp.zeros((0, 2))
    for function in (nn.segment_sum, nn.segment_mean, nn.segment_max):
        assert function(empty, jnp.zeros(0, int), 3).tolist() == [[0, 0]] * 3
        assert function(jnp.ones((2, 2)), jnp.zeros(2, int), 0).shape == (0, 2)


@pytest.mark.parametrize("ids", [jnp.zeros(2), jnp.zeros(3, int), jnp.zeros((2, 1), int)])
def test_ids_are_one_integer_a_row(ids):
    with pytest.raises(ValueError, match="segment_mean takes one integer id|segment_sum takes"):
        nn.segment_mean(jnp.ones((2, 2)), ids, 3)


def test_a_maximum_is_found_where_rounding_has_moved_its_row():
    # As a compiler does that computes the rows twice.
    x, ids = jnp.array([[1.0, 2.0], [1.0 + 1e-7, -3.0]]), jnp.zeros(2, int)
    y, gradient = jax.value_and_grad(lambda x: nn.segment_max(x, ids, 1).sum())(x)
    assert float(y) == float(x[1, 0] + 2)
    assert gradient.tolist() == [[0.5, 1.0], [0.5, 0.0]]
    along = jax.jvp(
        lambda x: nn.segment_max(x, ids, 1), (x,), (jnp.array([[2.0, 5.0], [4.0, 7.0]]),)
    )
    assert along[1].tolist() == [[3.0, 5.0]]


def test_a_masked_row_has_no_share_in_the_gradient():
    x, ids = jnp.array([-jnp.inf, 1.0, -2.0]), jnp.zeros(3, int)
    y, gradient = jax.value_and_grad(lambda x: nn.segment_max(x, ids, 1)[0])(x)
    assert (float(y), gradient.tolist()) == (1.0, [0.0, 1.0, 0.0])


def test_sums_of_small_integers_do_not_wrap():
    bytes_ = np.full((1000,), 255, np.uint8)
    assert int(nn.segment_sum(bytes_, np.zeros(1000, np.int32), 1)[0]) == 255_000
    assert int(nn.segment_sum(bytes_ > 0, np.zeros(1000, np.int32), 1)[0]) == 1000


def test_the_largest_of_minus_infinities_is_one_of_them():
    x = jnp.array([-jnp.inf, -jnp.inf, 1.0])
    assert nn.segment_max(x, jnp.array([0, 0, 2]), 3).tolist() == [-np.inf, 0.0, 1.0]


def test_a_softmax_of_integers_is_refused():
    with pytest.raises(TypeError, match="segment_softmax takes floating features"):
        nn.segment_softmax(jnp.array([1, 2]), jnp.array([0, 0]), 1)
