import jax.numpy as jnp
import pytest

import jaxnn as nn
from jaxnn.sequences import masks

SEGMENTS = jnp.array([[0, 7, 7, 0, 7, 2, 2, 7]])


def test_a_document_begins_where_the_segment_changes_whatever_padding_there_is():
    found = masks.documents(SEGMENTS)
    assert found.starts[0].astype(int).tolist() == [0, 1, 0, 0, 0, 1, 0, 1]
    assert found.last.tolist() == [7]


@pytest.mark.parametrize("split", [0, 3, 8])
def test_a_document_goes_on_in_the_next_chunk(split):
    whole = masks.documents(SEGMENTS)
    first = masks.documents(SEGMENTS[:, :split])
    second = masks.documents(SEGMENTS[:, split:], first.last)
    assert (jnp.concatenate([first.starts, second.starts], axis=1) == whole.starts).all()
    assert second.last.tolist() == whole.last.tolist()


def test_a_chunk_of_padding_keeps_the_segment_before_it():
    found = masks.documents(jnp.zeros((2, 3), int), jnp.array([4, 0], jnp.int32))
    assert not found.starts.any()
    assert found.last.tolist() == [4, 0]


def test_the_first_step_of_each_document_is_known():
    starts = masks.documents(SEGMENTS).starts
    place = jnp.array([[-1, 0, 1, 1, 2, 3, 4, 5]])
    assert masks.first_steps(starts, place).tolist() == [[0, 0, 0, 0, 0, 3, 3, 5]]
    goes_on = jnp.zeros_like(starts)
    assert masks.first_steps(goes_on, place + 9, jnp.array([6])).tolist() == [[6] * 8]


def test_steps_of_segments_that_are_not_positive_are_padding():
    assert masks.valid_steps(jnp.array([[-1, 0, 3]])).tolist() == [[False, False, True]]
    x, segments = jnp.full((1, 3, 1), jnp.nan), jnp.array([[0, 0, 0]])
    assert masks.zero_masked(x, segments).ravel().tolist() == [0, 0, 0]


def test_the_mean_over_a_packed_row_is_refused():
    with pytest.raises(TypeError, match=r"pool_steps takes a mask bool .* mix the documents"):
        nn.pool_steps(jnp.ones((1, 8, 2)), SEGMENTS)


def test_a_memory_takes_a_mask_for_each_query_in_the_place_of_segments():
    x = jnp.ones((1, 8, 4))
    with pytest.raises(TypeError, match=r"cross_attention takes .* int32\[1,8\]: it would mix"):
        masks.check_mask(SEGMENTS, x, "cross_attention", queries=True)
    mask = SEGMENTS[:, :, None] == SEGMENTS[:, None]
    assert masks.check_mask(mask, x, "cross_attention", queries=True) is mask


def test_no_mask_is_no_mask():
    x = jnp.ones((1, 8, 4))
    assert masks.split_mask((x, None), "here") == (x, None)
    assert masks.split_mask([x, SEGMENTS], "here")[1] is None
