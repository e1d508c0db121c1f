import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

X = jax.random.uniform(jax.random.key(1), (4, 3, 5))


def test_rates_are_the_numbers_they_code(key):
    y = nn.spiking.rate_code(key, X, 2000)
    assert y.shape == (4, 2000, 3, 5)
    assert set(np.unique(y)) == {0, 1}
    assert np.abs(y.mean(axis=1) - X).max() < 5 * np.sqrt(0.25 / 2000)
    # Neighbours in time are drawn apart.
    assert np.abs(np.mean((y[:, 1:] - X[:, None]) * (y[:, :-1] - X[:, None]))) < 0.01


def test_the_larger_the_earlier_and_once():
    y = np.asarray(nn.spiking.latency_code(X, 11, least=0.1))
    assert np.array_equal(y.sum(axis=1), X >= 0.1)
    times = y.argmax(axis=1)[X >= 0.1]
    assert np.array_equal(times, np.round(10 * (1 - np.asarray(X)[X >= 0.1])))


def test_changes_send_events_of_their_sign():
    x = jnp.array([[0.0, 0.05, 0.3, 0.3, 0.1]])[..., None]
    y = nn.spiking.delta_code(x, 0.15)
    assert y[0, :, 0].tolist() == [0, 0, 1, 0, 0]
    assert y[0, :, 1].tolist() == [0, 0, 0, 0, 1]


def test_a_clip_that_stands_still_sends_nothing():
    assert nn.spiking.delta_code(jnp.broadcast_to(X[:, :1], X.shape)).sum() == 0


def test_no_steps_send_no_events():
    assert nn.spiking.delta_code(jnp.ones((2, 0, 3))).shape == (2, 0, 6)


def test_codes_are_those_of_snntorch():
    torch = pytest.importorskip("torch")
    spikegen = pytest.importorskip("snntorch.spikegen")
    x = np.random.default_rng(0).uniform(0.05, 1, (6, 7)).astype(np.float32)
    theirs = spikegen.latency(torch.tensor(x), num_steps=9, normalize=True, linear=True)
    assert np.array_equal(
        nn.spiking.latency_code(jnp.asarray(x), 9), np.moveaxis(theirs.numpy(), 0, 1)
    )
    theirs = spikegen.delta(torch.tensor(x), threshold=0.2, padding=True, off_spike=True)
    on, off = np.split(np.asarray(nn.spiking.delta_code(jnp.asarray(x)[None], 0.2))[0], 2, axis=-1)
    assert np.array_equal(on - off, theirs.numpy())


def test_bad_input_is_refused(key):
    for code in (lambda: nn.spiking.rate_code(key, X, 0), lambda: nn.spiking.latency_code(X, 0)):
        with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
            code()
    with pytest.raises(ValueError, match="threshold must be a finite number greater than 0"):
        nn.spiking.delta_code(X, 0.0)
    with pytest.raises(ValueError, match="give features an axis"):
        nn.spiking.delta_code(X[0])
    with pytest.raises(TypeError, match="rate_code takes floating features"):
        nn.spiking.rate_code(key, jnp.ones((2, 3), jnp.uint8), 4)
