import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

pytestmark = pytest.mark.ordinary

CLASSES, TIME = 3, 5


def said(alignment) -> tuple:
    """What an alignment says: equal neighbours are one, blanks are none."""
    return tuple(c for c, _ in itertools.groupby(alignment) if c)


def enumerated(logits) -> tuple[dict, dict]:
    """The chance of each labelling over all alignments, and its likeliest alignment."""
    chances = np.asarray(jax.nn.softmax(logits), np.float64)
    totals, best = {}, {}
    for alignment in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        chance = np.prod([row[c] for row, c in zip(chances, alignment, strict=True)])
        labels = said(alignment)
        totals[labels] = totals.get(labels, 0) + chance
        if chance > best.get(labels, (0,))[0]:
            best[labels] = chance, alignment
    return totals, best


def searched(chances, beams) -> dict:
    """A beam search over prefixes in plain Python: prefix -> (ends in a blank, in a label)."""
    kept = {(): (1.0, 0.0)}
    for row in chances:
        after = {}
        for prefix, (blank, label) in kept.items():
            for c, p in enumerate(row):
                grown = prefix if c == 0 or prefix[-1:] == (c,) else (*prefix, c)
                b, n = after.get(grown, (0.0, 0.0))
                if c == 0:
                    b += (blank + label) * p
                elif prefix[-1:] == (c,):
                    n += label * p
                    other = after.get((*prefix, c), (0.0, 0.0))
                    after[*prefix, c] = other[0], other[1] + blank * p
                else:
                    n += (blank + label) * p
                after[grown] = b, n
        kept = dict(sorted(after.items(), key=lambda item: -sum(item[1]))[:beams])
    return {prefix: sum(both) for prefix, both in kept.items()}


def draw(key, rows=3, time=TIME, classes=CLASSES):
    return 2 * jax.random.normal(key, (rows, time, classes))


def padded(*labels):
    most = max(map(len, labels))
    return jnp.array([[*each, *[0] * (most - len(each))] for each in labels])


def trimmed(row):
    return tuple(c for c in np.asarray(row).tolist() if c)


# Labels


def test_labels_are_padded_with_zeros():
    packed = nn.ctc.pack_labels([[1, 1, 2], [], [2]], [4, 0, 1], classes=3)
    assert packed.dtype == np.int32
    assert packed.tolist() == [[1, 1, 2], [0, 0, 0], [2, 0, 0]]
    assert nn.ctc.pack_labels([[1], []], [1, 0], classes=2, most=2).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1], [1, 2, 1, 2, 1]], "row 1 has 5 labels, 0 of them equal .* and 4 steps, where 5"),
        ([[1], [2, 2, 1]], None),
        ([[1], [2, 2, 2]], "row 1 has 3 labels, 2 of them equal .* and 4 steps, where 5"),
        ([[0], [1]], r"row 0 has the labels \[0\].* 0 is the blank"),
        ([[1], [3]], r"integers in \[1, 3\)"),
        ([[1], [1.0]], "row 1 .* give integers"),
    ],
)
def test_a_row_whose_labels_cannot_be_said_is_named(labels, message):
    if message is None:
        nn.ctc.pack_labels(labels, [4, 4], classes=3)
        return
    with pytest.raises(ValueError, match=message):
        nn.ctc.pack_labels(labels, [4, 4], classes=3)


def test_more_labels_than_most_are_refused():
    with pytest.raises(ValueError, match="row 0 has 2 labels, more than most=1"):
        nn.ctc.pack_labels([[1, 2]], [9], classes=3, most=1)


def test_the_loss_of_optax_is_the_chance_of_all_alignments(key):
    logits, labels = draw(key), padded((1, 2), (2, 2), ())
    lengths = jnp.array([5, 4, 3])
    loss = optax.ctc_loss(logits, 1.0 - nn.length_mask(lengths, TIME), labels, 1.0 * (labels == 0))
    for row, length, each, value in zip(logits, lengths, labels, loss, strict=True):
        totals, _ = enumerated(row[: int(length)])
        assert -np.log(totals[trimmed(each)]) == pytest.approx(float(value), rel=1e-4)


# Greedy


def test_greedy_says_the_largest_of_each_step(key):
    logits, lengths = draw(key, 16, 9, 4), jnp.arange(16) % 11
    got = jax.jit(nn.ctc.greedy)(logits, lengths)
    for row, length, labels in zip(logits, lengths, got, strict=True):
        best = np.asarray(row).argmax(-1)[: int(length)]
        assert labels.tolist() == [*said(best), *[0] * (9 - len(said(best)))]
    assert (nn.ctc.greedy(logits) == nn.ctc.greedy(logits, jnp.full(16, 9))).all()


# Beam


def test_a_beam_of_all_prefixes_is_exact(key):
    logits, lengths = draw(key), jnp.array([5, 3, 0])
    labels, chance = jax.jit(lambda *x: nn.ctc.beam_search(*x, beams=64))(logits, lengths)
    assert labels.dtype == jnp.int32
    for row, length, found, logs in zip(logits, lengths, labels, chance, strict=True):
        totals, _ = enumerated(row[: int(length)])
        best = sorted(totals, key=lambda each: -totals[each])
        assert [trimmed(each) for each in found[: len(best)]] == best
        assert np.exp(logs[: len(best)]) == pytest.approx([totals[each] for each in best], rel=1e-4)
        assert (logs[len(best) :] == -np.inf).all()
        assert (found[len(best) :] == 0).all()


@pytest.mark.parametrize("beams", [1, 2, 4])
def test_a_narrow_beam_is_that_of_plain_python(key, beams):
    logits = draw(key, 8, 8, 4)
    labels, chance = nn.ctc.beam_search(logits, beams=beams)
    for row, found, logs in zip(logits, labels, chance, strict=True):
        wanted = searched(np.asarray(jax.nn.softmax(row), np.float64), beams)
        assert [trimmed(each) for each in found] == list(wanted)
        assert np.exp(logs) == pytest.approx(list(wanted.values()), rel=1e-4)


def test_the_beam_finds_what_no_single_alignment_says():
    logits = jnp.log(jnp.array([[[0.6, 0.4], [0.6, 0.4]]]))
    labels, chance = nn.ctc.beam_search(logits, beams=2)
    assert trimmed(nn.ctc.greedy(logits)[0]) == ()
    assert [trimmed(each) for each in labels[0]] == [(1,), ()]
    assert np.exp(chance[0]) == pytest.approx([0.64, 0.36])


def test_classes_without_any_chance_are_never_said():
    logits = jnp.array([[[0.0, 1.0, -jnp.inf], [0.0, 1.0, -jnp.inf]]])
    labels, chance = nn.ctc.beam_search(logits, beams=8)
    live = np.isfinite(chance[0])
    assert {trimmed(each) for each in labels[0][live]} == {(), (1,)}
    assert np.exp(chance[0][live]).sum() == pytest.approx(1)


# Alignment


def test_the_alignment_is_the_best_of_all(key):
    labels, lengths = padded((1, 2), (2, 2), ()), jnp.array([5, 4, 3])
    logits = draw(key)
    places, logs = jax.jit(nn.ctc.align)(logits, labels, lengths)
    for row, length, each, at, log in zip(logits, lengths, labels, places, logs, strict=True):
        _, best = enumerated(row[: int(length)])
        chance, alignment = best[trimmed(each)]
        assert np.exp(log) == pytest.approx(chance, rel=1e-4)
        told = [int(each[i]) if i >= 0 else 0 for i in at.tolist()]
        assert told == [*alignment, *[0] * (TIME - len(alignment))]
        assert sorted({i for i in at.tolist() if i >= 0}) == list(range(len(trimmed(each))))


def test_labels_that_cannot_be_said_have_no_alignment(key):
    labels, lengths = padded((1, 1, 1), (1,), (1, 2)), jnp.array([4, 0, 2])
    places, logs = nn.ctc.align(draw(key), labels, lengths)
    assert np.isneginf(logs).tolist() == [True, True, False]
    assert (places[:2] == -1).all()
    assert places[2].tolist() == [0, 1, -1, -1, -1]


# Distance


def test_distance_is_that_of_the_textbook(key):
    def plain(a, b):
        table = np.zeros((len(a) + 1, len(b) + 1), int)
        table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
        for i, j in itertools.product(range(len(a)), range(len(b))):
            ways = table[i, j + 1] + 1, table[i + 1, j] + 1, table[i, j] + (a[i] != b[j])
            table[i + 1, j + 1] = min(ways)
        return table[-1, -1]

    rng = np.random.default_rng(0)
    guess, truth = (rng.integers(1, 4, (40, n)) for n in (7, 5))
    guess *= np.arange(7) < rng.integers(0, 8, (40, 1))
    truth *= np.arange(5) < rng.integers(0, 6, (40, 1))
    got = jax.jit(nn.ctc.edit_distance)(jnp.asarray(guess), jnp.asarray(truth))
    assert got.tolist() == [
        plain(trimmed(a), trimmed(b)) for a, b in zip(guess, truth, strict=True)
    ]
    assert nn.ctc.edit_distance(padded((1, 2, 3)), padded((2, 3, 4))).tolist() == [2]


# Dtypes and refusals


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float64])
def test_dtypes_are_not_promoted(key, dtype):
    with (
        jax.enable_x64(dtype == jnp.float64),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        logits, labels = draw(key).astype(dtype), jnp.ones((3, 2), jnp.int16)
        wide = jnp.float64 if dtype == jnp.float64 else jnp.float32
        assert nn.ctc.greedy(logits, jnp.arange(3)).dtype == jnp.int32
        assert nn.ctc.beam_search(logits, jnp.arange(3), beams=2)[1].dtype == wide
        places, logs = nn.ctc.align(logits, labels, jnp.arange(3))
        assert (places.dtype, logs.dtype) == (jnp.int32, wide)
        assert nn.ctc.edit_distance(labels, labels).dtype == jnp.int32


def test_shapes_that_do_not_fit_are_refused(key):
    logits, labels = draw(key), padded((1,), (1,), (1,))
    with pytest.raises(ValueError, match=r"ctc\.greedy takes logits"):
        nn.ctc.greedy(logits[0])
    with pytest.raises(ValueError, match=r"ctc\.beam_search takes one length for each of 3 rows"):
        nn.ctc.beam_search(logits, jnp.array([5, 5]))
    with pytest.raises(ValueError, match=r"ctc\.beam_search: beams"):
        nn.ctc.beam_search(logits, beams=0)
    with pytest.raises(ValueError, match=r"ctc\.align takes labels .* of 3 rows"):
        nn.ctc.align(logits, labels[:2])
    with pytest.raises(TypeError, match="integer labels"):
        nn.ctc.align(logits, 1.0 * labels)
    with pytest.raises(ValueError, match="edit_distance takes labels .* of 3 rows"):
        nn.ctc.edit_distance(labels, labels[:2])


def test_padding_of_minus_one_is_padding():
    logits = 9 * jax.nn.one_hot(jnp.array([[0, 3, 3, 0, 3, 5]]), 6)
    zeros, ones = (jnp.array([[3, 3, 5, pad, pad]]) for pad in (0, -1))
    for a, b in zip(nn.ctc.align(logits, zeros), nn.ctc.align(logits, ones), strict=True):
        assert (a == b).all()
    assert nn.ctc.edit_distance(ones, jnp.array([[3, 5, -1]])).tolist() == [1]
    assert nn.ctc.edit_distance(jnp.array([[-1]]), jnp.array([[4, 2, -1]])).tolist() == [2]


def test_a_label_beyond_the_classes_is_refused_or_cannot_be_said():
    logits, labels = jnp.zeros((1, 4, 6)), jnp.array([[6]])
    with pytest.raises(ValueError, match=r"ctc\.align: 6 is not a label of 6 classes"):
        nn.ctc.align(logits, labels)
    steps, chance = jax.jit(nn.ctc.align)(logits, labels)
    assert (steps == -1).all()
    assert chance == -jnp.inf


@pytest.mark.parametrize("labels", [[[3, 0, 5]], [[3, -1, 5]], [[0, 1, 0]]])
def test_a_label_behind_padding_is_refused(labels):
    with pytest.raises(ValueError, match="a label follows padding"):
        nn.ctc.edit_distance(jnp.array(labels), jnp.array([[1, 2, 3]]))
