import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from examples import Options, data, forecast
from examples.sentiment.network import UNIT, predict, transformer, word_effects
from examples.sentiment.words import TIME, encode, vocabulary, words

# The data


def test_series_have_a_value_for_each_time():
    spots, passengers = data.sunspots(), data.air_passengers()
    assert spots.time.tolist() == list(range(1700, 2009))
    assert (spots.values.min(), spots.values.max()) == (0, np.float32(190.2))
    assert np.allclose(np.diff(passengers.time), 1 / 12)
    assert passengers.time[[0, -1]].tolist() == [1949, 1960 + 11 / 12]
    assert passengers.values[[0, -1]].tolist() == [112, 432]


def test_sentences_are_split_by_sign():
    try:
        snippets = data.sentiment()
    except OSError as error:
        pytest.skip(str(error))
    assert np.bincount(snippets.y).tolist() == [4290, 4194]
    assert np.bincount(snippets.test_y).tolist() == [1073, 1048]
    assert ((snippets.ratings > 0) == snippets.y).all()
    assert ((snippets.test_ratings > 0) == snippets.test_y).all()
    held = dict(zip(snippets.x, snippets.ratings, strict=True))
    held |= dict(zip(snippets.test_x, snippets.test_ratings, strict=True))
    assert held["Effective but too tepid biopic"] == np.float32(-0.6)


# Forecasts


@pytest.fixture
def learned(key):
    x = jnp.zeros((8, 4, 1))
    return forecast.Learned(forecast.members.init(key, x)[0], 5.0, 2.0)


def test_members_start_apart(learned):
    values = np.sin(np.arange(20, dtype=np.float32)) + 5
    drawn = forecast.ahead(learned, values, jax.random.key(0), 400)
    assert drawn.shape == (forecast.MEMBERS * 400, 20)
    means = drawn.reshape(forecast.MEMBERS, 400, 20).mean(axis=1)
    assert means[:, -1].std() > 0.2
    assert abs(drawn[:, 0].std() - 2) < 1  # the spread, and a log deviation about 0


def test_a_path_begins_with_what_is_a_step_ahead(learned):
    values = np.sin(np.arange(20, dtype=np.float32)) + 5
    ahead = forecast.ahead(learned, values, jax.random.key(0), 2000)
    paths = forecast.paths(learned, values, jax.random.key(1), 3, 2000)
    assert paths.shape == (forecast.MEMBERS * 2000, 3)
    of_members = (each.reshape(forecast.MEMBERS, 2000) for each in (ahead[:, -1], paths[:, 0]))
    one, other = of_members
    assert np.allclose(one.mean(1), other.mean(1), atol=0.3)
    assert np.allclose(one.std(1), other.std(1), rtol=0.1)


def test_a_path_goes_on_from_its_own_values(learned):
    # Without noise a member's path is that of its means, fed back one by one.
    params = learned.params
    params["head"]["w"] = params["head"]["w"].at[..., 1].set(0)
    params["head"]["b"] = params["head"]["b"].at[..., 1].set(-20)
    values = list(np.sin(np.arange(20)) + 5)
    paths = forecast.paths(learned, np.array(values, np.float32), jax.random.key(1), 3, 1)
    member = jax.tree.map(lambda leaf: leaf[0], params)
    for step in range(3):
        scaled = (jnp.array(values, jnp.float32)[None, :, None] - 5) / 2
        values.append(float(nn.unroll(forecast.cell)(member, scaled)[0, -1, 0]) * 2 + 5)
        assert paths[0, step] == pytest.approx(values[-1], abs=1e-4)


def test_growth_of_a_year_is_put_on_the_year_before(monkeypatch):
    monkeypatch.setattr(forecast, "learn", lambda options, values: (values, None))
    monkeypatch.setattr(
        forecast, "paths", lambda learned, *_: np.full((2, 24), float(np.mean(learned)))
    )
    known = np.arange(1, 13) * np.array([[1], [2], [4]])  # twice as many each year
    drawn = forecast.passengers(Options(), known.ravel())
    assert np.allclose(drawn, np.concatenate([known[-1] * 2, known[-1] * 4])[None])


def test_autoregression_is_the_known_one():
    numbers = data.sunspots().values[:256]
    miss = forecast.autoregression(numbers, 221) - numbers[221:]
    assert forecast.root_mean_square(miss) == pytest.approx(13.92, abs=0.01)


def test_measures():
    assert forecast.percentage_error(
        np.array([90.0, 220]), np.array([100.0, 200])
    ) == pytest.approx(10)
    drawn = np.linspace(0, 1, 101)[:, None] + np.zeros((1, 4))
    assert forecast.coverage(drawn, np.array([0.04, 0.06, 0.94, 0.96])) == 0.5


# Sentiment


def test_words_are_separated_from_punctuation():
    said = words("I don't, it's ''so-so'' in 1999!")
    assert said == ["i", "do", "n't", ",", "it", "'s", '"', "so", "-", "so", '"', "in", "1999", "!"]


def test_unknown_words_are_zero():
    known = vocabulary(["a b a", "a c c"])
    assert (known["a"], known["c"], known["b"]) == (1, 2, 3)
    tokens, lengths = encode(["c new a", "", "a " * 99], known)
    assert tokens[0, :4].tolist() == [2, 0, 1, 0]
    assert lengths.tolist() == [3, 0, TIME]
    assert tokens.shape == (3, TIME)


def test_each_word_adds_what_its_absence_takes_away():
    def ratings(x):
        return (x[0] * jnp.arange(1, TIME + 1)[None]).sum(1)[None, :, None] / 100

    reader = nn.lift(ratings)
    x = encode(["a b", "b"], {"a": 1, "b": 5})
    first, second = word_effects(reader, (), x, 2)
    assert np.allclose(first[:3], np.array([1, 10, 0]) * UNIT / 100, atol=1e-6)
    assert np.allclose(second[:2], np.array([5, 0]) * UNIT / 100, atol=1e-6)


def test_padding_and_unknown_words_do_not_move_a_rating(key):
    x = encode(["a b", "a b"], {"a": 1, "b": 5})
    params, _ = jax.jit(transformer.init)(key, x)
    one = predict(transformer, params, x, rows=4)
    assert one.shape == (1, 2)
    x[0][1, 2:] = 7  # beyond its length
    other = predict(transformer, params, x, rows=4)
    assert np.allclose(one, other, atol=1e-6)
    assert one[0, 0] == pytest.approx(one[0, 1], abs=1e-6)
