import argparse
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
from examples.language_model.comparison import (
    lzma_loss,
    median_milliseconds,
    torch_twin,
    validate_in_turns,
)
from examples.language_model.network import (
    LARGE,
    STANDARD,
    VOCABULARY,
    Scale,
    loss_of,
    model,
    optimizer_of,
    schedule,
)
from examples.language_model.run import begin, generate, scale_of

TINY = Scale(
    width=16, depth=2, heads=2, context=8, batch=8, steps=40, every=20, rate=1e-2, shown=40
)


def make_step(scale=TINY):
    return nn.training.step(loss_of(scale), optimizer_of(scale))


def tiny_windows(scale=TINY):
    tokens = np.random.default_rng(0).integers(0, 9, 400).cumsum() % VOCABULARY
    return windows(tokens.astype(np.uint8), scale.context + 1, 1)


def test_windows_lie_a_stride_apart():
    rows = windows(np.arange(100, dtype=np.uint8), 9, 8)
    assert rows.shape == (12, 9)
    assert (rows[1:, 0] == rows[:-1, -1]).all()  # the last target of a window begins the next


def test_the_loss_is_that_of_the_next_character():
    train = begin(TINY, 0)
    batch = jnp.asarray(tiny_windows()[:8])
    log_probabilities = jax.nn.log_softmax(model(TINY)(train.params, batch[:, :-1]))
    labels = batch[:, 1:, None].astype(int)
    wanted = -jnp.take_along_axis(log_probabilities, labels, axis=-1).mean()
    value, (_, metrics) = loss_of(TINY)(train.params, (), batch)
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    assert float(value) == pytest.approx(math.log(VOCABULARY), abs=0.2)
    assert set(metrics) == {"accuracy"}


def test_the_rate_warms_up_and_falls():
    rates = np.asarray(schedule(STANDARD)(jnp.arange(2001)))
    assert rates[0] == 0
    assert rates.max() == pytest.approx(STANDARD.rate)
    assert rates.argmax() == 100
    assert rates[-1] == pytest.approx(STANDARD.rate / 10)


def test_steps_are_timed_in_turns():
    calls, seconds = [], {"jax": [], "torch": []}
    twin = type("Twin", (), {"advance": calls.append})
    validate = validate_in_turns(loss_of(TINY), tiny_windows()[:8], twin, TINY.every, seconds)
    end = nn.training.fit(
        make_step(),
        begin(TINY, 0),
        tiny_windows(),
        steps=TINY.steps,
        batch_size=TINY.batch,
        every=TINY.every,
        validate=validate,
    )
    assert calls == [20, 20]
    assert (len(seconds["jax"]), len(seconds["torch"])) == (2, 2)
    assert end.history[-1]["validation_loss"] < math.log(VOCABULARY) - 1
    assert median_milliseconds([9.0, 1.0, 3.0, 2.0], TINY.every) == 100
    assert math.isnan(median_milliseconds([9.0], TINY.every))


def test_lzma_knows_what_it_has_read():
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("abcdefgh"), 3000))
    assert lzma_loss(text, text[500:2500]) < 0.1
    fresh = "".join(rng.choice(list("abcdefgh"), 2000))
    assert lzma_loss(text, fresh) == pytest.approx(math.log(8), rel=0.15)


def test_text_is_generated_beyond_the_context():
    tokens = characters(["".join(map(chr, range(40, 105)))])
    assert tokens.size == VOCABULARY
    train = begin(TINY, 0)
    prompt = "0123456789"
    text = generate(TINY, tokens, train.params, prompt, seed=0)
    assert text.startswith(prompt[:4])
    # An untrained net generates special tokens as well, which are one character each here.
    assert len(re.sub("<[a-z]+>", "*", text)) == 4 + TINY.shown
    assert text == generate(TINY, tokens, train.params, prompt, seed=0)


def test_the_large_net_is_planned_too():
    options = Options(own=argparse.Namespace(large=True))
    assert scale_of(options) is LARGE
    _, train, batch = jax.eval_shape(lambda: (None, *language_model.plan(options)[1:]))
    assert batch.shape == (LARGE.batch, LARGE.context + 1)
    assert nn.count_params(train.params) > 2_000_000


def test_torch_has_the_same_net_and_loop():
    pytest.importorskip("torch")
    loss, step, train = loss_of(TINY), make_step(), begin(TINY, 0)
    same = np.repeat(tiny_windows()[:1], 8, axis=0)  # so that the order does not matter
    twin = torch_twin(TINY, train.params, same, seed=0)
    losses = [nn.training.evaluate(loss, train, same, batch_size=8)["loss"]]
    assert twin.measure(same) == pytest.approx(losses[0], rel=1e-5)
    for steps in (3, 20):
        end = nn.training.fit(step, train, same, steps=steps, batch_size=8)
        twin.advance(steps - (0 if steps == 3 else 3))
        losses.append(nn.training.evaluate(loss, end.train, same, batch_size=8)["loss"])
        assert twin.measure(same) == pytest.approx(losses[-1], rel=1e-3)
    assert losses[2] < losses[1] - 0.5 < losses[0] - 0.5
