import argparse
import importlib
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from examples import Options, language_model
from examples.data.text import windows
from examples.data.tokens import characters
from examples.language_model import Scale, by_lzma, in_turns, learner, middle, model, write

TINY = Scale(16, 2, 2, 8, 8, 40, 20, 1e-2, shown=40)


def begun(of=TINY):
    _, optimizer, step = learner(of)
    x = jax.ShapeDtypeStruct((of.batch, of.context), jnp.uint8)
    return step, nn.training.init_train(model(of), optimizer, jax.random.key(0), x)


def pieces(of=TINY):
    tokens = np.random.default_rng(0).integers(0, 9, 400).cumsum() % 69
    return windows(tokens.astype(np.uint8), of.context + 1, 1)


def test_windows_lie_a_stride_apart():
    held = windows(np.arange(100, dtype=np.uint8), 9, 8)
    assert held.shape == (12, 9)
    assert (held[1:, 0] == held[:-1, -1]).all()  # what is a target here begins the next


def test_the_loss_is_that_of_the_next_character():
    loss, _, _ = learner(TINY)
    _, train = begun()
    batch = jnp.asarray(pieces()[:8])
    logits = model(TINY)(train.params, batch[:, :-1])
    odds = jax.nn.log_softmax(logits)
    wanted = -jnp.take_along_axis(odds, batch[:, 1:, None].astype(int), axis=-1).mean()
    value, (_, metrics) = loss(train.params, (), batch)
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    assert float(value) == pytest.approx(math.log(69), abs=0.2)
    assert set(metrics) == {"accuracy"}


def test_the_rate_warms_up_and_falls():
    rates = np.asarray(language_model.schedule(language_model.STANDARD)(jnp.arange(2001)))
    top = language_model.STANDARD.rate
    assert rates[0] == 0
    assert rates.max() == pytest.approx(top)
    assert rates.argmax() == 100
    assert rates[-1] == pytest.approx(top / 10)


def test_steps_are_timed_in_turns():
    loss, _, _ = learner(TINY)
    calls, seconds = [], {"ours": [], "theirs": []}
    other = type("Other", (), {"advance": calls.append})
    step, train = begun()
    validate = in_turns(loss, pieces()[:8], other, TINY, seconds)
    end = nn.training.fit(
        step, train, pieces(), steps=40, batch_size=8, every=20, validate=validate
    )
    assert calls == [20, 20]
    assert (len(seconds["ours"]), len(seconds["theirs"])) == (2, 2)
    assert end.history[-1]["validation_loss"] < math.log(69) - 1
    assert middle([9.0, 1.0, 3.0, 2.0], TINY) == 100
    assert math.isnan(middle([9.0], TINY))


def test_lzma_knows_what_it_has_read():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcdefgh"), 3000))
    assert by_lzma(text, text[500:2500]) < 0.1
    fresh = "".join(rng.choice(list("abcdefgh"), 2000))
    assert by_lzma(text, fresh) == pytest.approx(math.log(8), rel=0.15)


def test_it_writes_on_and_on():
    letters = characters(["".join(map(chr, range(40, 105)))])
    assert letters.size == language_model.VOCABULARY
    _, train = begun()
    begin = "0123456789"
    text = write(TINY, letters, train.params, begin, seed=0)
    assert text.startswith(begin[:4])
    assert len(re.sub("<[a-z]+>", "*", text)) == 4 + TINY.shown  # one that has learned nothing
    assert text == write(TINY, letters, train.params, begin, seed=0)


def test_the_large_net_is_planned_too():
    of = language_model.LARGE
    options = Options(own=argparse.Namespace(large=True))
    assert language_model.scale(options) is of
    _, train, batch = jax.eval_shape(lambda: (None, *language_model.plan(options)[1:]))
    assert batch.shape == (of.batch, of.context + 1)
    assert nn.count_params(train.params) > 2_000_000


def test_torch_has_the_same_net_and_loop():
    pytest.importorskip("torch")
    twins = importlib.import_module("examples.language_model_in_torch")
    loss, _, step = learner(TINY)
    _, train = begun()
    alike = np.repeat(pieces()[:1], 8, axis=0)  # so that no order matters
    rates = np.asarray(language_model.schedule(TINY)(jnp.arange(TINY.steps)))
    twin = twins.twin(train.params, TINY.heads, alike, len(alike), rates, seed=0)
    losses = [nn.training.evaluate(loss, train, alike, batch_size=8)["loss"]]
    assert twin.measure(alike) == pytest.approx(losses[0], rel=1e-5)
    for steps in (3, 20):
        end = nn.training.fit(step, train, alike, steps=steps, batch_size=8)
        twin.advance(steps - (0 if steps == 3 else 3))
        losses.append(nn.training.evaluate(loss, end.train, alike, batch_size=8)["loss"])
        assert twin.measure(alike) == pytest.approx(losses[-1], rel=1e-3)
    assert losses[2] < losses[1] - 0.5 < losses[0] - 0.5
