# pyright: reportArgumentType=false
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import core
from tests import parts
from tests.small import drawn_params

KINDS = ["learned", "sinusoidal", "rotary", "alibi", nn.rotary(500.0, width=2)]


@partial(jax.jit, static_argnums=0)
def call(net, params, x):
    return net(params, x)


def tokens(key, *shape):
    return jax.random.randint(key, shape, 0, 11)


@cache
def small(positions="learned", **options):
    return parts.language_model(11, 8, 2, 2, length=8, positions=positions, **options)


def count(net, shape=(1, 4)):
    x = jax.ShapeDtypeStruct(shape, jnp.int32)
    return nn.count_params(jax.eval_shape(net.init, jax.random.key(0), x)[0])


# Known nets have as many params as their authors say.


def test_gpt_2_has_124_million_params():
    assert count(nn.gpt2()) == 124_439_808


def test_llama_2_has_7_billion_params():
    assert count(nn.llama()) == 6_738_415_616


def test_bert_has_109_million_params():
    assert count(nn.bert()) == 109_482_240 - 768 * 769


# Language models


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.first(2)
def test_padding_and_the_cache_change_nothing(positions, key):
    net = small(positions)
    x, mask = tokens(key, 3, 6), jnp.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0], [0] * 6], bool)
    params = drawn_params(net, x)
    y, same = call(net, params, (jnp.where(mask, x, -5), mask))
    assert (same == mask).all()
    assert np.allclose(y[0], call(net, params, x[:1])[0], atol=1e-5)
    alone = call(net, params, x[1:2, np.array([1, 2, 4])])[0]
    assert np.allclose(np.asarray(y)[1, [1, 2, 4]], alone, atol=1e-5)
    assert (np.asarray(y)[~np.asarray(mask)] == 0).all()

    cell = small(positions, capacity=6)
    carry, parts = cell.carry(params, (x, mask)), []
    step = jax.jit(lambda carry, x: core.apply_either(cell, params, (), carry, x)[:2])
    for start, stop in [(0, 2), (2, 4), (4, 6)]:
        (part, _), carry = step(carry, (x[:, start:stop], mask[:, start:stop]))
        parts.append(part)
    assert np.allclose(jnp.concatenate(parts, axis=1), y, atol=1e-5)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "alibi"])
def test_it_knows_the_order_and_not_what_follows(positions, key):
    net, x = small(positions), tokens(key, 1, 6)
    params = drawn_params(net, x)
    y = call(net, params, x)
    later = call(net, params, x.at[0, 4].add(1) % 11)
    assert (y[:, :4] == later[:, :4]).all()
    assert np.abs(y[:, 4:] - later[:, 4:]).max() > 1e-3
    swapped = call(net, params, x[:, np.array([1, 0, 2, 3, 4, 5])])
    assert x[0, 0] != x[0, 1]
    assert np.abs(y[:, 3] - swapped[:, 3]).max() > 1e-4


def test_the_output_is_the_embedding_where_it_is_tied(key):
    x = tokens(key, 2, 5)
    params = drawn_params(small(), x)
    assert sorted(params) == ["body", "embed", "positions"]
    untied = drawn_params(small(tied=False), x)
    assert sorted(untied) == ["body", "embed", "head", "positions"]
    untied |= {name: params[name] for name in params}
    untied["head"] = {"w": params["embed"]["w"].T}
    assert np.allclose(call(small(), params, x), call(small(tied=False), untied, x), atol=1e-5)


def test_embeddings_are_scaled_beside_waves(key):
    x = tokens(key, 1, 4)
    net = small("sinusoidal", w_init=jax.nn.initializers.zeros, pre_norm=False, norm=plain)
    params = net.init(key, x)[0]
    params["embed"]["w"] = jnp.eye(11, 8)
    where = nn.unroll(nn.sinusoidal_positions())((), jnp.zeros((1, 4, 8)))
    wanted = (8**0.5 * jax.nn.one_hot(x, 11) @ params["embed"]["w"] + where) @ jnp.eye(8, 11)
    assert np.allclose(net(params, x), wanted, atol=1e-5)


def plain():
    """A norm that does nothing."""
    return nn.lift(lambda x: x)


def test_embeddings_are_dropped_too(key):
    x = tokens(key, 1, 8)
    net = small("alibi", w_init=jax.nn.initializers.zeros, pre_norm=False, norm=plain, dropout=0.5)
    params = net.init(key, x)[0]
    params["embed"]["w"] = jnp.eye(11, 8)
    y = net(params, x, key=key, train=True)
    assert {float(each) for each in np.unique(y)} == {0.0, 2.0}
    assert np.unique(net(params, x)).tolist() == [0, 1]


@pytest.mark.parametrize("token", [11, -1])
def test_a_token_outside_the_vocabulary_gives_nan_in_its_row(token, key):
    net, x = small(), tokens(key, 2, 5)
    y = call(net, drawn_params(net, x), x.at[0, 3].set(token))
    assert np.isnan(y[0, 3:]).all()
    assert np.isfinite(y[1]).all()


def test_the_train_step_of_a_language_model_learns(key):
    import optax

    net = small()
    x = jnp.tile(jnp.arange(8), (4, 1))
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    optimizer = optax.adam(1e-2)
    train = nn.training.init_train(net, optimizer, key, x)
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(step, train, (x, x + 1), steps=60, batch_size=4)
    assert end.history[-1]["loss"] < 1.5
    cell = small(capacity=8)
    drawn = nn.generate(cell, end.train.params, (), x[:1, :2], steps=5, temperature=0)
    assert drawn.tokens[0].tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        (jnp.ones((2, 9), int), ValueError, "has a length of 8 and got"),
        (jnp.ones((2, 0), int), ValueError, "with at least one step"),
        (jnp.ones((5,), int), ValueError, "takes tokens .batch, time."),
        (jnp.ones((2, 5)), TypeError, "integers .batch, time., got float32"),
        ((jnp.ones((2, 5), int), jnp.ones((2, 5))), TypeError, "a mask bool"),
    ],
)
def test_what_are_no_tokens_is_refused(x, error, said, key):
    net = small()
    with pytest.raises(error, match=said):
        net.init(key, x)
    params = drawn_params(net, tokens(key, 2, 5))
    with pytest.raises(error, match=said):
        net(params, x)


def test_positions_that_are_none_are_refused():
    with pytest.raises(ValueError, match='positions are "learned", "sinusoidal"'):
        small("learnt")
    with pytest.raises(ValueError, match="learned positions need a length"):
        nn.language_model(parts.transformer(2, 2, 16), 11, 8)
    with pytest.raises(ValueError, match="rotary positions and ALiBi belong to the attention"):
        nn.language_model(parts.transformer(2, 2, 16), 11, 8, positions="rotary")


# Encoders


@pytest.mark.parametrize("positions", KINDS)
@pytest.mark.first(2)
def test_an_encoder_sees_no_padding(positions, key):
    added, seen = parts.attending(positions)
    body = parts.transformer(2, 2, 32, pre_norm=False, **seen)
    net = nn.text_encoder(body, 11, 8, length=8, positions=added)
    x, lengths = tokens(key, 3, 6), jnp.array([6, 3, 0])
    params = drawn_params(net, x)
    y = call(net, params, (x, lengths))
    assert (y == call(net, params, (x, nn.length_mask(lengths, 6)))).all()
    assert np.allclose(y[0], call(net, params, x[:1])[0], atol=1e-5)
    assert np.allclose(y[1, :3], call(net, params, x[1:2, :3])[0], atol=1e-5)
    assert (y[1, 3:] == 0).all()
    assert (y[2] == 0).all()


def test_an_encoder_sees_both_ways_and_types(key):
    net, x = nn.bert(11, 8, 2, 2, length=8), tokens(key, 1, 6)
    params = drawn_params(net, x)
    y = call(net, params, x)
    assert np.abs(y - call(net, params, x.at[0, 5].add(1) % 11))[0, 0].max() > 1e-4
    zero, kinds = jnp.zeros((1, 6), int), jnp.array([[0, 0, 0, 1, 1, 1]])
    assert (y == call(net, params, (x, None, zero))).all()
    mask = jnp.ones((1, 6), bool)
    typed = call(net, params, (x, None, kinds))
    assert np.allclose(typed, call(net, params, (x, mask, kinds)), atol=1e-5)
    assert np.abs(typed - y).max() > 1e-3


def test_an_encoder_is_bert_s_sum_and_norm_before_its_blocks(key):
    net, x = nn.bert(11, 8, 2, 2, length=8), tokens(key, 2, 5)
    params = drawn_params(net, x)
    h = params["embed"]["w"][x] + params["positions"]["w"][None, :5] + params["types"]["w"][0]
    h = nn.layer_norm(epsilon=1e-12)(params["embed_norm"], h)
    block = parts.block(
        2, 32, pre_norm=False, norm=partial(nn.layer_norm, epsilon=1e-12),
        activation=partial(jax.nn.gelu, approximate=False),
    )  # fmt: skip
    for i in range(2):
        h = call(block, jax.tree.map(lambda leaf, i=i: leaf[i], params["body"]["blocks"]), h)
    assert np.allclose(call(net, params, x), h, atol=1e-5)


def test_types_without_a_table_are_refused(key):
    net, x = nn.bert(11, 8, 1, 2, length=8, types=0), tokens(key, 2, 5)
    params, _ = net.init(key, x)
    assert "types" not in params
    with pytest.raises(ValueError, match="built without types"):
        net(params, (x, None, x))
