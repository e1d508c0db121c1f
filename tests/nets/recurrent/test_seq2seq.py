import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from tests.nets.recurrent.test_rnn import (
    ROWS,
    TIME,
    VOCABULARY,
    WIDTH,
    some_tokens,
    steps_of,
    whole,
)


def decoder(**options):
    return nn.attention_decoder(nn.rnn(nn.gru, WIDTH), VOCABULARY, WIDTH, **options)


@pytest.fixture
def told(key):
    """A decoder, its params and its input."""
    memory = jax.random.normal(jax.random.fold_in(key, 1), (ROWS, 5, 2 * WIDTH))
    x = some_tokens(key), memory, nn.length_mask(jnp.array([5, 3, 1, 2]), 5)
    return (net := decoder()), jax.jit(net.init)(key, x)[0], x


def test_the_decoder_is_its_equations(told):
    net, params, (tokens, memory, mask) = told
    source = jnp.where(mask[..., None], memory, 0).sum(1) / mask.sum(1)[:, None]
    e = params["embed"]["w"][tokens]
    both = jnp.concatenate([e, jnp.tile(source[:, None], (1, TIME, 1))], axis=-1)
    h = nn.unroll(nn.gru(WIDTH))(params["body"][0], both)
    c = nn.cross_attention(1)(params["attention"], (h, memory, mask))
    y = jnp.tanh(nn.dense(WIDTH)(params["mix"], jnp.concatenate([h, c], axis=-1)))
    wanted = y @ params["embed"]["w"].T
    got = whole(net, params, (tokens, memory, mask))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_what_is_masked_in_the_memory_is_not_seen(told):
    net, params, (tokens, memory, mask) = told
    spoilt = jnp.where(mask[..., None], memory, jnp.nan)
    y = whole(net, params, (tokens, memory, mask))
    np.testing.assert_array_equal(y, whole(net, params, (tokens, spoilt, mask)))
    all_seen = whole(net, params, (tokens, memory, None))
    np.testing.assert_allclose(all_seen[0], y[0], rtol=1e-5, atol=1e-6)
    assert jnp.abs(all_seen[1] - y[1]).max() > 1e-3


def test_the_memory_comes_with_every_step(told):
    net, params, (tokens, memory, mask) = told
    y = whole(net, params, (tokens, memory, mask))
    steps = steps_of(net, params, tokens, memory, mask)
    np.testing.assert_allclose(steps, y, rtol=1e-5, atol=1e-6)


def test_tokens_may_be_padded(told):
    net, params, (tokens, memory, mask) = told
    there = nn.length_mask(jnp.array([6, 2, 4, 6]), TIME)
    spoilt = jnp.where(there, tokens, -1)
    y, after = whole(net, params, ((spoilt, there), memory, mask))
    wanted = whole(net, params, (tokens, memory, mask))
    np.testing.assert_allclose(y, jnp.where(there[..., None], wanted, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after, there)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_logits_have_the_dtype_of_the_memory(told, dtype):
    net, params, (tokens, memory, mask) = told
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        y = jax.eval_shape(nn.unroll(net), params, (tokens, memory.astype(dtype), mask))
    assert y.dtype == dtype


def test_what_is_no_triple_is_refused(told):
    net, _, (tokens, memory, _) = told
    with pytest.raises(ValueError, match=r"attention_decoder takes \(tokens, memory, mask\)"):
        net.init(jax.random.key(0), (tokens, memory))
    both = nn.seq2seq(nn.unroll(nn.gru(WIDTH)), net)
    with pytest.raises(ValueError, match=r"seq2seq takes \(source, lengths, target\)"):
        both.init(jax.random.key(0), (memory, tokens))


START, STOP = 8, 9


def reversals(seed, rows):
    """(source, lengths, target in, target out, mask of the target): words and their reverses."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 5, rows)
    there = np.arange(5) < lengths[:, None]
    source = rng.integers(0, 8, (rows, 5)) * there
    wanted = np.full((rows, 5), STOP)
    for row, length in enumerate(lengths):
        wanted[row, :length] = source[row, :length][::-1]
    seen = np.concatenate([np.full((rows, 1), START), wanted[:, :-1]], axis=1)
    return tuple(
        map(jnp.asarray, (source, lengths, seen, wanted, np.arange(5) <= lengths[:, None]))
    )


@pytest.fixture(scope="module")
def reverser():
    """A net that was taught to say words backwards: its halves and their params."""
    body = nn.stack(nn.embedding(VOCABULARY, 16), nn.rnn(nn.gru, 32, bidirectional=True))
    encoder = nn.unroll(body)
    answers = nn.attention_decoder(nn.rnn(nn.gru, 48), VOCABULARY, 32)
    net = nn.seq2seq(encoder, answers)

    def loss(params, state, batch, *, key, train):
        source, lengths, seen, wanted, there = batch
        logits = net(params, (source, lengths, seen))
        each = optax.softmax_cross_entropy_with_integer_labels(logits, wanted)
        return (each * there).sum() / there.sum(), (state, {})

    optimizer = optax.adam(5e-3)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), reversals(0, 8)[:3])
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(step, train, reversals(0, 2048), steps=500, batch_size=64)
    return encoder, answers, end.train.params


@pytest.mark.long
def test_words_are_said_backwards(reverser):
    encoder, answers, params = reverser
    source, lengths, *_, wanted, _ = reversals(1, 200)
    context = encoder(params["encoder"], (source, lengths)), nn.length_mask(lengths, 5)
    prompt = jnp.full((200, 1), START)
    options = {
        "steps": 5,
        "stop": STOP,
        "pad": STOP,
        "inputs": lambda tokens, context: (tokens, *context),
        "context": context,
    }
    drawn = nn.generate(answers, params["decoder"], (), prompt, temperature=0, **options)
    assert (drawn.tokens == wanted).all(-1).mean() > 0.9
    best = nn.beam_search(answers, params["decoder"], (), prompt, beams=3, **options)
    assert (best.tokens[:, 0] == wanted).all(-1).mean() > 0.9


@pytest.mark.long
def test_a_trained_decoder_fed_step_by_step_says_what_it_says_at_once(reverser):
    encoder, answers, params = reverser
    source, lengths, seen, *_ = reversals(2, 8)
    memory, mask = encoder(params["encoder"], (source, lengths)), nn.length_mask(lengths, 5)
    y = jax.jit(nn.seq2seq(encoder, answers))(params, (source, lengths, seen))
    steps = steps_of(answers, params["decoder"], seen, memory, mask)
    np.testing.assert_allclose(steps, y, rtol=1e-4, atol=1e-4)
