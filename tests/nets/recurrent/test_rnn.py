from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

ROWS, TIME, WIDTH, VOCABULARY = 4, 6, 8, 10
LENGTHS = jnp.array([6, 3, 3, 0])


def vectors(key, width=3, dtype=jnp.float32):
    return jax.random.normal(key, (ROWS, TIME, width), dtype)


def some_tokens(key, time=TIME):
    return jax.random.randint(key, (ROWS, time), 0, VOCABULARY)


def padded_equals_unpadded(net, params, x, lengths):
    """Whether each row of a padded batch gives what it gives alone and without its padding."""
    run = jax.jit(net)
    y = run(params, (x, lengths))
    for row, length in enumerate(lengths.tolist()):
        if length:
            alone = run(params, x[row : row + 1, :length])
            mine = y[row : row + 1] if y.ndim == 2 else y[row : row + 1, :length]
            np.testing.assert_allclose(mine, alone, rtol=1e-5, atol=1e-6)
    return y


@partial(jax.jit, static_argnums=0)
def whole(cell, params, x):
    """The outputs of a cell over whole sequences."""
    return nn.unroll(cell)(params, x)


def steps_of(cell, params, x, *beside):
    """The outputs of a cell that is served one step at a time, each with what is beside it."""

    def at(t):
        return (x[:, t : t + 1], *beside) if beside else x[:, t : t + 1]

    run = jax.jit(lambda carry, x: cell.apply(params, (), (carry, x))[0])
    carry, outputs = cell.carry(params, at(0)), []
    for t in range(x.shape[1]):
        carry, y = run(carry, at(t))
        outputs.append(y)
    return jnp.concatenate(outputs, axis=1)


# Bodies


def test_layers_are_cells_one_on_the_other(key):
    x = vectors(key)
    net = nn.unroll(nn.rnn(nn.gru, WIDTH, 2))
    params, _ = jax.jit(net.init)(key, x)
    below = nn.unroll(nn.gru(WIDTH))(params[0], x)
    np.testing.assert_array_equal(net(params, x), nn.unroll(nn.gru(WIDTH))(params[1], below))


def test_each_layer_reads_both_ways(key):
    x = vectors(key)
    net = nn.unroll(nn.rnn(nn.elman, WIDTH, 2, bidirectional=True))
    params, _ = jax.jit(net.init)(key, x)
    for each in params:
        ways = [nn.unroll(nn.elman(WIDTH), reverse=back) for back in (False, True)]
        x = jnp.concatenate(
            [way(each[name], x) for way, name in zip(ways, ("forward", "backward"), strict=True)],
            axis=-1,
        )
    y = net(params, vectors(key))
    assert y.shape == (ROWS, TIME, 2 * WIDTH)
    np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-6)


def test_dropout_is_between_layers_and_norms_after_each():
    x, key = jnp.ones((ROWS, TIME, 3)), jax.random.key(0)
    params, _ = nn.rnn(nn.elman, WIDTH, 3, dropout=0.5, norm=nn.layer_norm).init(key, x)
    kinds = ["recurrent" if "u" in each else "norm" if each else "dropout" for each in params]
    assert kinds == ["recurrent", "norm", "dropout", "recurrent", "norm", "dropout", "recurrent",
                     "norm"]  # fmt: skip
    assert len(nn.rnn(nn.elman, WIDTH, 3).init(key, x)[0]) == 3


@pytest.mark.parametrize(
    "body",
    [
        nn.rnn(nn.lstm, WIDTH, 2, bidirectional=True, norm=nn.layer_norm),
        nn.linear_rnn(WIDTH, 2, bidirectional=True),
    ],
)
@pytest.mark.first(1)
def test_padded_rows_give_what_they_give_alone(body, key):
    net, x = nn.unroll(body), vectors(key)
    params, _ = jax.jit(net.init)(key, x)
    y = padded_equals_unpadded(net, params, x, LENGTHS)
    assert not y[1, 3:].any()
    assert not y[3].any()


@pytest.mark.parametrize("cell", [nn.lru, nn.min_gru, nn.min_lstm])
@pytest.mark.first(1)
def test_linear_layers_are_not_linear_together(cell, key):
    net = nn.unroll(nn.linear_rnn(WIDTH, 2, cell=cell))
    x, y = vectors(key), vectors(jax.random.fold_in(key, 1))
    params, _ = jax.jit(net.init)(key, x)
    assert params[1]["body"][0]["scale"].shape == (2, WIDTH)  # two layers, by repeat
    run = jax.jit(net)
    rest = run(params, x) + run(params, y) - run(params, x + y) - run(params, 0 * x)
    assert jnp.abs(rest).max() > 0.1


def test_a_body_of_no_layers_is_refused():
    with pytest.raises(ValueError, match="rnn: depth"):
        nn.rnn(nn.gru, WIDTH, 0)
    with pytest.raises(ValueError, match="linear_rnn: depth"):
        nn.linear_rnn(WIDTH, 0)


# One output a step, and one a sequence


def test_the_last_of_a_tagger_is_the_classifier(key):
    x, body = vectors(key), nn.rnn(nn.lstm, WIDTH, 2)
    tagger, classifier = nn.rnn_tagger(body, 5), nn.rnn_classifier(body, 5)
    params, _ = jax.jit(classifier.init)(key, x)
    tags = whole(tagger, params, x)
    for length in (1, TIME):
        lengths = jnp.full(ROWS, length)
        said = jax.jit(classifier)(params, (x, lengths))
        np.testing.assert_allclose(said, tags[:, length - 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(steps_of(tagger, params, x), tags, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.first(1)
def test_only_valid_steps_are_pooled(pool, key):
    x, body = vectors(key).at[1, 3:].set(jnp.nan), nn.rnn(nn.gru, WIDTH)
    net = nn.rnn_classifier(body, 5, pool=pool)
    params, _ = jax.jit(net.init)(key, x)
    params["head"]["b"] += jnp.arange(5.0)
    y = padded_equals_unpadded(net, params, x, LENGTHS)
    np.testing.assert_array_equal(y[3], params["head"]["b"])  # of zeros, where there is no step
    h = nn.unroll(body)(params["body"], x[:1])
    pooled = {"last": h[:, -1], "mean": h.mean(1), "max": h.max(1)}[pool]
    np.testing.assert_allclose(y[:1], nn.dense(5)(params["head"], pooled), rtol=1e-5, atol=1e-6)


def test_a_mask_is_taken_as_lengths_are(key):
    net, x = nn.rnn_classifier(nn.rnn(nn.gru, WIDTH), 5, pool="max"), vectors(key)
    params, _ = jax.jit(net.init)(key, x)
    masked = net(params, (x, nn.length_mask(LENGTHS, TIME)))
    np.testing.assert_array_equal(net(params, (x, LENGTHS)), masked)


def test_what_is_no_body_or_pool_is_refused():
    layer: Any = nn.unroll(nn.gru(WIDTH))
    for make in (
        nn.rnn_tagger,
        nn.rnn_classifier,
        partial(nn.rnn_language_model, width=WIDTH),
        partial(nn.attention_decoder, width=WIDTH),
    ):
        with pytest.raises(TypeError, match="takes a body that is a cell"):
            make(layer, 5)
    with pytest.raises(ValueError, match="pool is one of"):
        nn.rnn_classifier(nn.gru(WIDTH), 5, pool="sum")
    with pytest.raises(ValueError, match="pool_steps: pool is"):
        nn.pool_steps(jnp.ones((2, 3, 4)), None, "last")
    with pytest.raises(ValueError, match="a mask is"):
        nn.pool_steps(jnp.ones((2, 3, 4)), jnp.ones((3, 2), bool))


# The next token


@pytest.mark.parametrize("tied", [True, False])
def test_a_language_model_shares_its_vectors_where_tied(tied, key):
    net = nn.rnn_language_model(nn.rnn(nn.lstm, WIDTH), VOCABULARY, WIDTH, tied=tied)
    tokens = some_tokens(key)
    params, _ = jax.jit(net.init)(key, tokens)
    assert ("head" in params) != tied
    h = nn.unroll(nn.lstm(WIDTH))(params["body"][0], params["embed"]["w"][tokens])
    wanted = h @ params["embed"]["w"].T if tied else nn.dense(VOCABULARY)(params["head"], h)
    np.testing.assert_allclose(nn.unroll(net)(params, tokens), wanted, rtol=1e-5, atol=1e-6)


def test_tied_vectors_have_the_width_of_the_body(key):
    net = nn.rnn_language_model(nn.rnn(nn.lstm, WIDTH + 1), VOCABULARY, WIDTH)
    with pytest.raises(ValueError, match=f"floats of its width {WIDTH}"):
        net.init(key, some_tokens(key))


def test_generation_goes_on_as_the_whole_sequence_says(key):
    net = nn.rnn_language_model(nn.rnn(nn.gru, WIDTH, 2), VOCABULARY, WIDTH)
    prompt, lengths = some_tokens(key, 3), jnp.array([3, 2, 2, 3])
    params, _ = jax.jit(net.init)(key, prompt)
    drawn = nn.generate(net, params, (), prompt, steps=4, lengths=lengths, temperature=0)
    for row, length in enumerate(lengths.tolist()):
        held = [*prompt[row, :length].tolist(), *drawn.tokens[row].tolist()]
        logits = whole(net, params, jnp.array([held]))
        assert logits[0, length - 1 : -1].argmax(-1).tolist() == held[length:]


# Beside PyTorch


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_stack_is_that_of_pytorch(bidirectional, key):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    x = vectors(key)
    net = nn.unroll(nn.rnn(nn.lstm, WIDTH, 2, bidirectional=bidirectional))
    params, _ = jax.jit(net.init)(key, x)
    peer = torch.nn.LSTM(3, WIDTH, 2, batch_first=True, bidirectional=bidirectional)
    with torch.no_grad():
        for layer, held in enumerate(params):
            ways = (
                {"": held["forward"], "_reverse": held["backward"]} if bidirectional else {"": held}
            )
            for end, way in ways.items():
                for theirs, ours in (("weight_ih", way["w"].T), ("weight_hh", way["u"].T),
                                     ("bias_ih", way["b"]), ("bias_hh", 0 * way["b"])):  # fmt: skip
                    getattr(peer, f"{theirs}_l{layer}{end}").copy_(torch.tensor(np.asarray(ours)))
        wanted = peer(torch.tensor(np.asarray(x)))[0].numpy()
    np.testing.assert_allclose(net(params, x), wanted, rtol=1e-4, atol=1e-5)
