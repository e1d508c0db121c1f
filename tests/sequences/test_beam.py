# pyright: reportArgumentType=false
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from tests.sequences.test_generation import STEPS, VOCABULARY, constant, counting, made


@functools.cache
def forward(cell):
    return jax.jit(lambda params, x: jax.nn.log_softmax(nn.unroll(cell)(params, x)))


def log_p(cell, params, prompt, continuations, steps, rows):
    """Of each token of each continuation, by running the whole sequence; of one shape always."""
    x = np.zeros((rows, len(prompt) + steps), int)
    x[:, : len(prompt)] = prompt
    y = np.asarray(continuations)
    n, time = y.shape
    x[:n, len(prompt) : len(prompt) + time] = y
    p = np.asarray(forward(cell)(params, x))[:n, len(prompt) - 1 : len(prompt) + time - 1]
    return np.take_along_axis(p, y[..., None], 2)[..., 0]


def ranked(scored, beams):
    """The best of (score, continuation), once each."""
    return sorted(set(scored), reverse=True)[:beams]


def exhaustive(cell, params, prompt, steps, stop, penalty, beams):
    every = list(itertools.product(range(VOCABULARY), repeat=steps))
    p = log_p(cell, params, prompt, every, steps, len(every))
    found = {}
    for y, each in zip(every, p, strict=True):
        length = next((i + 1 for i, token in enumerate(y) if token in stop), steps)
        found[y[:length]] = each[:length].sum() / ((5 + length) / 6) ** penalty
    return ranked([(score, y) for y, score in found.items()], beams)


def by_hand(cell, params, prompt, steps, stop, penalty, beams):
    """Beam search over lists."""

    def score(total, length):
        return total / ((5 + length) / 6) ** penalty

    going, done = [(0.0, ())], []
    for length in range(1, steps + 1):
        grown = [(*y, token) for _, y in going for token in range(VOCABULARY)]
        totals = log_p(cell, params, prompt, grown, steps, beams * VOCABULARY).sum(1)
        grown = sorted(zip(totals, grown, strict=True), reverse=True)
        grown = grown[: beams * (1 + len(stop))]
        done += [(score(total, length), y) for total, y in grown if y[-1] in stop]
        done = ranked(done, beams)
        going = [each for each in grown if each[1][-1] not in stop][:beams]
    return ranked(done + [(score(total, steps), y) for total, y in going], beams)


def same(out, row, expected):
    for i, (score, y) in enumerate(expected):
        assert out.lengths[row, i] == len(y)
        assert out.tokens[row, i, : len(y)].tolist() == list(y)
        assert (out.tokens[row, i, len(y) :] == -3).all()
        np.testing.assert_allclose(out.scores[row, i], score, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
@pytest.mark.first(1)
def test_with_beams_enough_nothing_better_exists(penalty):
    cell, params, prompt = made("lstm")
    given = {"steps": 3, "stop": (1, 4), "length_penalty": penalty, "pad": -3}
    out = nn.beam_search(cell, params, (), prompt, beams=50, **given)
    for row in range(3):
        same(out, row, exhaustive(cell, params, prompt[row], 3, (1, 4), penalty, 50))


@pytest.mark.parametrize(
    ("name", "stop"), [("lstm", ()), ("lstm", (2,)), ("transformer", (1, 5)), ("ring", (3,))]
)
@pytest.mark.first(2)
def test_a_search_is_that_over_lists(name, stop):
    cell, params, prompt = made(name)
    given = {"steps": STEPS, "stop": stop, "length_penalty": 1.0, "pad": -3}
    out = nn.beam_search(cell, params, (), prompt, beams=3, **given)
    for row in range(3):
        same(out, row, by_hand(cell, params, prompt[row], STEPS, stop, 1.0, 3))


def test_prompts_of_unequal_length_are_searched_as_they_are_alone():
    cell, params, prompt = made("lstm")
    lengths = jnp.array([4, 1, 4])
    given = {"steps": STEPS, "beams": 3, "stop": 2}
    out = nn.beam_search(cell, params, (), prompt, lengths=lengths, **given)
    for row, length in enumerate(lengths.tolist()):
        alone = nn.beam_search(cell, params, (), prompt[row : row + 1, :length], **given)
        assert out.tokens[row].tolist() == alone.tokens[0].tolist()
        np.testing.assert_allclose(out.scores[row], alone.scores[0], rtol=1e-4)


def test_fewer_continuations_than_beams_leave_slots_empty():
    cell, prompt = constant(jnp.zeros(3)), jnp.ones((2, 1), int)
    out = nn.beam_search(cell, (), (), prompt, steps=1, beams=5, stop=0)
    assert np.isfinite(out.scores).sum(1).tolist() == [3, 3]
    assert out.lengths.tolist() == [[1, 1, 1, 0, 0]] * 2


def test_a_search_is_compiled_once_and_runs_within_jit():
    cell, params, prompt = made("lstm")
    traces = []
    cell = counting(cell, traces)

    def run(prompt):
        return nn.beam_search(cell, params, (), prompt, steps=STEPS, beams=2, stop=1)

    out = run(prompt)
    before = len(traces)
    run(prompt[::-1])
    assert len(traces) == before
    assert jax.jit(run)(prompt).tokens.tolist() == out.tokens.tolist()
