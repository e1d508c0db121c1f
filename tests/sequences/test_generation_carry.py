"""Generation goes on from a carry, at any temperature, and tells padding at the front."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests.sequences.test_generation import CELLS, KEY, constant, made


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.first(1)
def test_a_conversation_goes_on_where_it_was(name):
    cell, params, prompt = made(name)
    first, rest = prompt[:, :2], prompt[:, 2:]
    (carry, _), _ = jax.jit(cell.apply)(params, (), (cell.carry(params, first), first))
    whole = nn.generate(cell, params, (), prompt, steps=4, temperature=0)
    parts = nn.generate(cell, params, (), rest, steps=4, temperature=0, carry=carry)
    assert (whole.tokens == parts.tokens).all()


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.first(1)
def test_a_search_goes_on_where_it_was(name):
    cell, params, prompt = made(name)
    first, rest = prompt[:, :2], prompt[:, 2:]
    (carry, _), _ = jax.jit(cell.apply)(params, (), (cell.carry(params, first), first))
    whole = nn.beam_search(cell, params, (), prompt, steps=3, beams=2)
    parts = nn.beam_search(cell, params, (), rest, steps=3, beams=2, carry=carry)
    assert (whole.tokens == parts.tokens).all()
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-4)


def test_a_search_refuses_the_carry_of_other_rows():
    cell, params, prompt = made("lstm")
    (carry, _), _ = jax.jit(cell.apply)(params, (), (cell.carry(params, prompt[:1]), prompt[:1]))
    with pytest.raises(ValueError, match="beam_search goes on from a carry of its cell"):
        nn.beam_search(cell, params, (), prompt, steps=3, beams=2, carry=carry)


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, 1e-38, 1e-44])
@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_the_coldest_draws_take_the_likeliest_token(temperature, shift):
    cell = constant(jnp.array([0.0, 1.0, 3.0, 2.0]) + shift)
    prompt = jnp.zeros((5, 1), jnp.int32)
    made = nn.generate(cell, (), (), prompt, steps=6, key=KEY, temperature=temperature)
    assert (made.tokens == 2).all()


@pytest.mark.parametrize("search", [nn.generate, nn.beam_search])
def test_prompts_padded_at_the_front_are_refused(search):
    cell, params, _ = made("lstm")
    cell = nn.stack(nn.embedding(7, 8), nn.lstm(8), nn.dense(7))
    prompt, lengths = jnp.array([[1, 2, 3], [0, 0, 5]]), jnp.array([3, 1])
    given = {"temperature": 0} if search is nn.generate else {"beams": 2}
    with pytest.raises(ValueError, match="row 1 of the prompt is padded at the front"):
        search(cell, params, (), prompt, steps=2, lengths=lengths, **given)
