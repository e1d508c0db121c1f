from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import core
from tests import parts
from tests.small import drawn_params


@cache
def small(**options):
    return parts.encoder_decoder(11, 8, 2, 2, **options)


@partial(jax.jit, static_argnums=0)
def call(net, params, x):
    return net(params, x)


def batch(key, known=11):
    source = jax.random.randint(key, (3, 5), 0, known)
    target = jax.random.randint(jax.random.fold_in(key, 1), (3, 6), 0, 11)
    return source, nn.length_mask(jnp.array([5, 2, 1]), 5), target


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"source_vocabulary": 7, "positions": "learned", "length": 6, "decoder_depth": 1},
        {"positions": "rotary", "norm": nn.rms_norm, "gated": True, "bias": False, "kv_heads": 1},
        {"pre_norm": False, "positions": "alibi"},
    ],
)
@pytest.mark.first(1)
def test_decoding_step_by_step_is_the_whole(options, key):
    model = small(capacity=6, **options)
    source, mask, target = batch(key, options.get("source_vocabulary", 11))
    params = drawn_params(model.net, (source, mask, target))
    memory = call(model.encode, params, (source, mask))
    assert memory.shape == (3, 5, 8)
    carry = model.decode.carry(params, (target, memory, mask))
    cell = model.decode
    step = jax.jit(
        lambda carry, t: core.apply_either(cell, params, (), carry, (t, memory, mask))[:2]
    )
    parts = []
    for start, stop in [(0, 2), (2, 3), (3, 4), (4, 6)]:
        y, carry = step(carry, target[:, start:stop])
        parts.append(y)
    whole = call(model.net, params, (source, mask, target))
    assert whole.shape == (3, 6, 11)
    assert np.allclose(jnp.concatenate(parts, axis=1), whole, atol=1e-5)


def test_params_are_shared_where_the_vocabulary_is(key):
    x = batch(key)
    one = drawn_params(small(capacity=6).net, x)
    assert sorted(one) == ["decoder", "embed", "encoder", "positions", "source_positions"]
    two = drawn_params(small(source_vocabulary=7, positions="alibi").net, x)
    assert sorted(two) == ["decoder", "embed", "encoder", "source_embed"]
    assert two["source_embed"]["w"].shape == (7, 8)
    assert sorted(two["decoder"]) == sorted(two["encoder"]) == ["blocks", "norm"]


def test_padding_of_the_source_is_not_seen(key):
    net = small(capacity=6).net
    source, mask, target = batch(key)
    params = drawn_params(net, (source, mask, target))
    y = call(net, params, (source, mask, target))
    assert np.allclose(y[1], call(net, params, (source[1:2, :2], None, target[1:2]))[0], atol=1e-5)
    assert (y == call(net, params, (source, jnp.array([5, 2, 1]), target))).all()
    assert np.abs(y - call(net, params, (source, None, target)))[1].max() > 1e-3


def test_the_target_may_be_padded(key):
    net = small(capacity=6).net
    source, mask, target = batch(key)
    params = drawn_params(net, (source, mask, target))
    there = nn.length_mask(jnp.array([6, 3, 0]), 6)
    y, _ = call(net, params, (source, mask, (target, there)))
    assert np.allclose(y[1, :3], call(net, params, (source, mask, target))[1, :3], atol=1e-5)
    assert (y[1, 3:] == 0).all()
    assert (y[2] == 0).all()


def test_the_target_does_not_see_what_follows(key):
    net = small(capacity=6).net
    source, mask, target = batch(key)
    params = drawn_params(net, (source, mask, target))
    y, later = (call(net, params, (source, mask, t)) for t in (target, target.at[:, 4].set(0)))
    assert (y[:, :4] == later[:, :4]).all()


def test_it_is_generated_from_by_beams_and_by_draws(key):
    model = small(capacity=6)
    source, mask, target = batch(key)
    params = drawn_params(model.net, (source, mask, target))
    memory, start = call(model.encode, params, (source, mask)), target[:, :1]
    given = {"steps": 5, "inputs": pack, "context": (memory, mask)}
    drawn = nn.generate(model.decode, params, (), start, temperature=0, **given)
    prompt = jnp.concatenate([start, drawn.tokens[:, :-1]], axis=1)
    likely = call(model.net, params, (source, mask, prompt)).argmax(-1)
    assert (likely == drawn.tokens).all()
    one = nn.beam_search(model.decode, params, (), start, beams=1, **given)
    assert (one.tokens[:, 0] == drawn.tokens).all()


def pack(tokens, context):
    return (tokens, *context)


def test_what_does_not_fit_is_refused(key):
    model = small(capacity=6)
    source, mask, target = batch(key)
    with pytest.raises(ValueError, match=r"takes \(source, source_mask, target\)"):
        model.net.init(key, (source, target))
    params = drawn_params(model.net, (source, mask, target))
    with pytest.raises(ValueError, match=r"takes \(x, memory, memory_mask\)"):
        nn.unroll(model.decode)(params, target)
    params.pop("encoder")
    with pytest.raises(ValueError, match="misses the params .'encoder'."):
        model.encode(params, source)
    with pytest.raises(ValueError, match="learned positions need a length"):
        small(positions="learned")
