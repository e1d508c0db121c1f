import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn


def documents_of(tokens, segments):
    """The documents of packed rows, as lists."""
    found = []
    for row, ids in zip(tokens, segments, strict=True):
        found += [row[ids == each].tolist() for each in range(1, ids.max() + 1)]
    return found


def test_documents_come_out_as_they_went_in():
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 99, size).tolist() for size in rng.integers(1, 20, 200)]
    tokens, segments = nn.pack_documents(given, 24)
    assert sorted(documents_of(tokens, segments)) == sorted(given)
    assert (tokens[segments == 0] == 0).all()
    assert tokens.dtype == segments.dtype == np.int32


def test_each_document_goes_into_the_first_row_with_room():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 11, 300)
    room, wanted = [], []
    for size in sizes:
        row = next((i for i, left in enumerate(room) if left >= size), len(room))
        room += [10] * (row == len(room))
        wanted.append((row, 10 - room[row]))
        room[row] -= size
    tokens, segments = nn.pack_documents([[i] * size for i, size in enumerate(sizes)], 10)
    assert len(tokens) == len(room)
    for i, (row, start) in enumerate(wanted):
        assert (tokens[row, start : start + sizes[i]] == i).all()
        assert len(set(segments[row, start : start + sizes[i]])) == 1


def test_a_document_of_vectors_keeps_its_dtype():
    x, segments = nn.pack_documents([np.ones((3, 2), np.float16), np.full((1, 2), 5.0, "f2")], 4)
    assert x.shape == (1, 4, 2)
    assert x.dtype == np.float16
    assert segments.tolist() == [[1, 1, 1, 2]]


def test_a_document_that_is_too_long_is_split_if_asked():
    tokens, segments = nn.pack_documents([[1, 2, 3, 4, 5], [6]], 3, too_long="split")
    assert tokens.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert segments.tolist() == [[1, 1, 1], [1, 1, 2]]


@pytest.mark.parametrize(
    ("documents", "error", "message"),
    [
        ([], ValueError, "at least one document"),
        ([[1], []], ValueError, "document 1 must have at least one step"),
        ([[1] * 5], ValueError, "document 0 has 5 steps, a row 4: take longer rows, or too_long"),
        ([[1.0]], TypeError, "document 0 must be tokens, int"),
        ([[-1]], ValueError, "document 0 holds -1 to -1: tokens are from 0"),
        ([[1], [[1.0]]], ValueError, r"document 1 is float64\[1,1\], the first one int32\[1\]"),
    ],
)
def test_what_cannot_be_packed_is_refused(documents, error, message):
    with pytest.raises(error, match=message):
        nn.pack_documents(documents, 4)


def test_labels_stop_where_a_document_ends():
    tokens = jnp.array([[5, 6, 7, 8, 9, 0]])
    segments = jnp.array([[2, 2, 1, 1, 1, 0]])
    assert nn.next_tokens(tokens, segments).tolist() == [[6, -100, 8, 9, -100, -100]]


@pytest.mark.parametrize(
    ("tokens", "segments", "error", "message"),
    [
        (jnp.ones((1, 4)), jnp.ones((1, 4), int), TypeError, r"integers .*, got float32\[1,4\]"),
        (jnp.ones((1, 4), int), jnp.ones((1, 4), bool), TypeError, r"got bool\[1,4\]"),
        (jnp.ones((1, 4), int), jnp.ones((1, 5), int), ValueError, "of one shape, got"),
    ],
)
def test_what_has_no_next_tokens_is_refused(tokens, segments, error, message):
    with pytest.raises(error, match=message):
        nn.next_tokens(tokens, segments)


def test_a_language_model_learns_the_same_from_packed_rows():
    net = nn.gpt2(16, 8, 1, 2, length=8)
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 16, size) for size in (3, 8, 4, 2, 5, 1)]
    loss = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels)

    @jax.jit
    def measured(params, tokens, segments):
        logits, _ = net(params, (tokens, segments))
        return loss(logits, nn.next_tokens(tokens, segments))

    together = nn.pack_documents(given, 8)
    alone = [nn.pack_documents([each], 8) for each in given]
    alone = tuple(np.concatenate(each) for each in zip(*alone, strict=True))
    empty = len(alone[0]) - len(together[0])
    assert empty == 3
    together = tuple(np.pad(each, ((0, empty), (0, 0))) for each in together)
    params, _ = net.init(jax.random.key(0), jnp.asarray(together[0]))
    ours, theirs = (jax.value_and_grad(measured)(params, *each) for each in (together, alone))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
