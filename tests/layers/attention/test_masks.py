import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers.attention import masks
from jaxnn.layers.attention.masks import KeyPositions, MaskConfig, attention_mask

X = jnp.ones((1, 5, 3))
STEPS = jnp.arange(5, dtype=jnp.int32)[None]


def drawn(seen):
    return ["".join("#" if each else "." for each in row) for row in np.asarray(seen[0])]


def test_without_rules_everything_is_seen():
    assert attention_mask(KeyPositions(STEPS, STEPS), MaskConfig()) is None


def test_causal_queries_look_back():
    seen = attention_mask(KeyPositions(STEPS, STEPS), MaskConfig(causal=True))
    assert drawn(seen) == ["#....", "##...", "###..", "####.", "#####"]


def test_a_window_holds_as_many_steps_as_it_says():
    seen = attention_mask(KeyPositions(STEPS, STEPS), MaskConfig(causal=True, window=2))
    assert drawn(seen) == ["#....", "##...", ".##..", "..##.", "...##"]


def test_a_window_looks_as_far_ahead_unless_causal():
    seen = attention_mask(KeyPositions(STEPS, STEPS), MaskConfig(window=2))
    assert drawn(seen) == ["##...", "###..", ".###.", "..###", "...##"]


def test_padding_is_not_seen_and_does_not_count():
    mask = jnp.array([[False, True, True, False, True]])
    at = masks.positions(X, mask)
    assert at.tolist() == [[-1, 0, 1, 1, 2]]
    # The last step sees the one before the padding as its neighbour.
    seen = attention_mask(KeyPositions(at, at, mask), MaskConfig(causal=True, window=2))
    assert drawn(seen)[-1] == "..#.#"
    assert drawn(seen)[2] == ".##.."


def test_a_mask_of_each_query_leaves_positions_as_they_are():
    mask = jnp.eye(5, dtype=bool)[None]
    assert (masks.positions(X, mask) == STEPS).all()
    assert (
        drawn(attention_mask(KeyPositions(STEPS, STEPS, mask), MaskConfig(causal=True)))[3]
        == "...#."
    )


def test_no_nan_spreads_from_where_no_step_is():
    mask = jnp.array([[True, False, True, True, False]])
    x = X.at[:, 1].set(jnp.nan)
    assert (masks.zero_padding(x, mask)[0, :, 0] == mask[0]).all()
    y, same = masks.paired(x, mask)
    assert same is mask
    assert not jnp.isnan(y).any()
    assert masks.paired(x, None) is x


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (jnp.ones((1, 5)), TypeError, r"got float32\[1,5\]: compare it"),
        ([[True] * 5], TypeError, r"or bool .batch, time, keys. or segments .*: give an array"),
        (jnp.ones((1, 5, 1), bool), ValueError, r"a mask \[1,5\] or \[1,5,5\] with float32"),
        (jnp.ones((5,), bool), ValueError, r"got bool\[5\]"),
        (jnp.ones((1, 4), bool), ValueError, r"got bool\[1,4\]"),
    ],
)
def test_what_is_no_mask_of_the_sequence_is_refused(mask, error, message):
    with pytest.raises(error, match=message):
        masks.check_sequence((X, mask), "attention")


def test_what_is_no_sequence_is_refused():
    with pytest.raises(ValueError, match=r"takes \[batch, time, features\], got float32\[5,3\]"):
        masks.check_sequence(X[0], "attention")
    with pytest.raises(TypeError, match="floating features"):
        masks.check_sequence(X.astype(int), "attention")


def test_queries_and_memory_must_belong_together():
    with pytest.raises(ValueError, match="takes .queries, memory. or"):
        masks.check_memory(X, "cross_attention")
    with pytest.raises(ValueError, match="of one batch and dtype, got .float32.1,5,3., float32.2,"):
        masks.check_memory((X, jnp.ones((2, 4, 3))), "cross_attention")
    with pytest.raises(ValueError, match="of one batch and dtype"):
        masks.check_memory((X, X.astype(jnp.bfloat16)), "cross_attention")
    with pytest.raises(ValueError, match=r"a mask \[1,4\] or \[1,5,4\] with"):
        masks.check_memory((X, jnp.ones((1, 4, 2)), jnp.ones((1, 5), bool)), "cross_attention")
