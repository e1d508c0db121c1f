import gzip

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from examples import Options
from examples.data import tokens
from examples.data.tokens import PADDING, START, STOP, UNKNOWN
from examples.data.translation import Pairs, multi30k
from examples.translation import network, sentences
from examples.translation.decoding import cross_attention

TEXTS = ["ein Mann läuft", "ein Hund, ein Mann!", "T-Shirt's  Mann"]


# Tokens


@pytest.mark.parametrize("make", [tokens.characters, lambda texts: tokens.byte_pairs(texts, 60)])
def test_texts_come_back_from_their_tokens(make):
    parts = make(TEXTS)
    rows, lengths = parts.encode(TEXTS)
    assert (rows.dtype, lengths.dtype) == (np.int32, np.int32)
    assert rows.shape == (3, lengths.max())
    assert ((rows != PADDING).sum(1) == lengths).all()
    assert rows.min() >= 0
    assert rows.max() < parts.size
    assert UNKNOWN not in rows
    assert parts.decode(rows) == TEXTS


@pytest.mark.parametrize("make", [tokens.characters, lambda texts: tokens.byte_pairs(texts, 60)])
def test_a_text_ends_at_its_stop(make):
    parts = make(TEXTS)
    row = parts.encode(["Mann"])[0][0].tolist()
    assert parts.decode([[START, *row, STOP, *row]]) == ["Mann"]
    assert parts.names([PADDING, STOP]) == ["<padding>", "<stop>"]
    assert (parts.encode(["M€n"])[0] == UNKNOWN).sum() == 1


def test_characters_are_in_the_order_of_unicode():
    letters = tokens.characters(["cab"])
    assert letters.names(range(4, letters.size)) == ["a", "b", "c"]


def test_parts_of_words_do_not_depend_on_chance_and_are_as_many_as_asked_for():
    first, again = (tokens.byte_pairs(TEXTS, 45) for _ in range(2))
    assert first.size == 45
    assert first.names(range(45)) == again.names(range(45))
    words = [name for name in first.names(range(4, 45)) if len(name) > 1]
    assert "▁Mann" in words  # the word that comes most often is one part
    assert not [word for word in words if set(word) & set(",!-'")]
    assert first.encode(["Mann"])[1].tolist() == [1]


# Translation


@pytest.fixture
def pairs():
    try:
        return multi30k()
    except (ImportError, OSError) as error:
        pytest.skip(str(error))


def test_captions_are_split_as_published(pairs):
    assert [len(part.german) for part in pairs] == [29000, 1014, 1000]
    assert [len(part.english) for part in pairs] == [29000, 1014, 1000]
    assert pairs.test.german[0] == "Ein Mann mit einem orangefarbenen Hut, der etwas anstarrt."
    assert pairs.test.english[0] == "A man in an orange hat starring at something."
    assert all(text == text.strip() != "" for part in pairs for texts in part for text in texts)


def test_captions_are_read_from_compressed_lines(monkeypatch, tmp_path):
    from examples.data import translation as read

    path = tmp_path / "some.gz"
    path.write_bytes(gzip.compress("Zwei Hündchen \n drei\u2028Hunde\n".encode()))
    monkeypatch.setattr(read, "fetched", lambda name: path)
    assert read._lines("train.de") == ["Zwei Hündchen", "drei\u2028Hunde"]


def rows_of_some():
    pairs = Pairs(["Ein Hund", "Der Mann läuft weit"], ["A dog", "The man runs far"])
    letters = tokens.characters([text.lower() for texts in pairs for text in texts] + ["T"])
    return pairs, letters, sentences.token_rows(pairs, letters)


def test_rows_of_sentences():
    pairs, letters, (sources, targets, longest) = rows_of_some()
    assert letters.decode(sources) == [text.lower() for text in pairs.german]
    assert [sentences.capitalized(text) for text in letters.decode(targets[:, 1:])] == pairs.english
    assert longest.tolist() == [len("ein hund") + 1, len("der mann läuft weit") + 1]
    assert (targets[:, 0] == START).all()
    assert ((sources == STOP).sum(1) == 1).all()
    assert (sources[0, :9] != PADDING).all()
    assert (sources[0, 9:] == PADDING).all()


def test_a_sentence_that_is_too_long_is_cut_and_still_stops():
    letters = tokens.characters(["a"])
    sources, targets, longest = sentences.token_rows(Pairs(["a" * 99], ["a"]), letters)
    assert longest.tolist() == [sentences.MAX_TOKENS]
    assert sources[0, -1] == STOP
    assert targets[0, :4].tolist() == [START, 4, STOP, PADDING]


def test_an_epoch_of_batches_holds_each_row_once_and_has_an_order_of_its_own():
    lengths, count = (12, 16), 2 * sentences.batch_rows(16) + sentences.batch_rows(12)
    longest = np.repeat([16, 5, 40], [2 * sentences.batch_rows(16), sentences.batch_rows(12), 3])
    rows = np.arange(len(longest))[:, None] * np.ones((1, 65), np.int32)
    feed = sentences.batches((rows[:, :64], rows, longest), lengths, 0)
    first, second = ([next(feed) for _ in range(3)] for _ in range(2))
    for epoch in (first, second):
        assert sorted(source.shape[1] for source, _ in epoch) == [12, 16, 16]
        assert all(len(s) % 8 == 0 and t.shape == (len(s), s.shape[1] + 1) for s, t in epoch)
        assert sorted(int(row) for source, _ in epoch for row in source[:, 0]) == list(range(count))
    order = [np.concatenate([source[:, 0] for source, _ in epoch]) for epoch in (first, second)]
    assert (order[0] != order[1]).any()
    again = sentences.batches((rows[:, :64], rows, longest), lengths, 0)
    assert (next(again)[0] == first[0][0]).all()


def test_padding_costs_nothing_and_smoothing_is_of_training_alone():
    def apply(params, state, x, *, key, train):
        return 2 * jax.nn.one_hot(jnp.full(x[2].shape, 7), 10), state

    loss = network.loss_of(nn.Layer(lambda key, x: ((), ()), apply))
    targets = jnp.array([[START, 7, 7, STOP, PADDING, PADDING]])
    batch = targets[:, :-1], targets
    value, _ = loss((), (), batch, key=None, train=False)
    total = np.log(np.exp(2) + 9)
    assert float(value) == pytest.approx((2 * (total - 2) + total) / 3, rel=1e-6)
    smooth, (_, metrics) = loss((), (), batch, key=None, train=True)
    assert float(metrics["cross_entropy"]) == pytest.approx(float(value), rel=1e-6)
    share = network.SMOOTHING
    wanted = (1 - share) * float(value) + share * (total - 0.2)
    assert float(smooth) == pytest.approx(wanted, rel=1e-6)


def test_sentences_that_are_alike_are_found():
    train = Pairs(["ein mann läuft", "zwei hunde"], ["a man runs", "two dogs"])
    assert sentences.most_similar(train, ["die hunde", "der mann"]) == ["two dogs", "a man runs"]


def test_attention_of_the_last_block(key):
    options = Options(quick=True)
    model = network.network(options)
    source, target = np.array([5, 6, 7, STOP]), np.array([8, 9, STOP])
    x = source[None], np.ones((1, 4), bool), np.array([[START, 8, 9]])
    params, _ = model.net.init(key, jax.tree.map(jnp.asarray, x))
    looks = cross_attention(model, params, source, target)
    assert looks.shape == (3, 4)
    assert np.allclose(looks.sum(1), 1, atol=1e-5)
    # Keys of zero make all alike: the head looks everywhere.
    kv = params["decoder"]["blocks"]["cross"]["kv"]
    kv["w"], kv["b"] = jnp.zeros_like(kv["w"]), jnp.zeros_like(kv["b"])
    assert np.allclose(cross_attention(model, params, source, target), 0.25, atol=1e-6)
