import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn


def trained(cell, x, w, train=True):
    """Weights and spikes after a sequence."""
    carry = cell.carry((), x)
    (_, y), state = cell.apply((), {"w": w}, (carry, x), train=train)
    return np.asarray(state["w"]), np.asarray(y)


def lone(*times, steps=12, features=1):
    """Spikes of each feature at a time of its own."""
    x = jnp.zeros((1, steps, features))
    for feature, time in enumerate(times):
        x = x.at[0, time, feature].set(1.0)
    return x


@pytest.mark.parametrize("gap", [0, 1, 4])
def test_an_input_before_a_spike_is_strengthened_as_far_as_it_is_near(gap):
    # The second input alone makes the neuron spike, at step 6.
    x = lone(6 - gap, 6, features=2)
    w = jnp.array([[0.3], [0.9]])
    cell = nn.spiking.stdp(1, threshold=0.5, rate=0.1, before_decay=0.8, depression=0.0)
    after, y = trained(cell, x, w)
    assert y[0, :, 0].nonzero()[0].tolist() == [6]
    assert after[0, 0] - 0.3 == pytest.approx(0.1 * 0.8**gap, abs=1e-6)


@pytest.mark.parametrize("gap", [1, 3])
def test_an_input_after_a_spike_is_weakened_as_far_as_it_is_near(gap):
    x = lone(4 + gap, 4, features=2)
    w = jnp.array([[0.3], [0.9]])
    cell = nn.spiking.stdp(1, threshold=0.5, rate=0.1, after_decay=0.8, potentiation=0.0)
    after, y = trained(cell, x, w)
    assert y[0, :, 0].nonzero()[0].tolist() == [4]
    assert after[0, 0] - 0.3 == pytest.approx(-0.1 * 0.8 ** (gap - 1), abs=1e-6)


def test_in_evaluation_nothing_is_learned():
    x, w = jnp.ones((2, 6, 3)), jnp.full((3, 2), 0.5)
    after, y = trained(nn.spiking.stdp(2), x, w, train=False)
    assert np.array_equal(after, w)
    assert y.sum() > 0


def test_weights_stay_between_zero_and_one():
    x = jax.random.bernoulli(jax.random.key(1), 0.5, (4, 40, 6)).astype(jnp.float32)
    after, _ = trained(nn.spiking.stdp(3, rate=5.0), x, jnp.full((6, 3), 0.5))
    assert after.min() == 0
    assert after.max() <= 1


def test_one_winner_spikes_at_a_time():
    x = jax.random.bernoulli(jax.random.key(1), 0.5, (4, 40, 6)).astype(jnp.float32)
    w = jax.random.uniform(jax.random.key(2), (6, 3))
    _, free = trained(nn.spiking.stdp(3), x, w)
    _, y = trained(nn.spiking.stdp(3, one_winner=True), x, w)
    assert free.sum(axis=-1).max() > 1
    assert y.sum(axis=-1).max() == 1


def test_neurons_find_the_pattern_that_comes_again():
    # Half of the inputs spike together, the others at random as often.
    rng = np.random.default_rng(0)
    together = np.repeat(rng.random((1, 400, 1)) < 0.2, 8, axis=2)
    x = jnp.asarray(np.concatenate([together, rng.random((1, 400, 8)) < 0.2], axis=2), jnp.float32)
    cell = nn.spiking.stdp(
        1, 0.5, 2.0, rate=0.02, before_decay=0.5, after_decay=0.5, depression=1.2
    )
    after, _ = trained(cell, x, jnp.full((16, 1), 0.5))
    assert after[:8].mean() > after[8:].mean() + 0.3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"width": 0}, "width must be a whole number"),
        ({"width": 2, "decay": 0.0}, "decay must be a finite number of at most 1"),
        ({"width": 2, "after_decay": 1.5}, "after_decay must be a finite number of at most 1"),
        ({"width": 2, "rate": 0.0}, "rate must be a finite number greater than 0"),
        ({"width": 2, "depression": -1.0}, "depression must be a finite"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        nn.spiking.stdp(**arguments)


def test_other_features_and_no_state_are_refused(key):
    cell, x = nn.spiking.stdp(2), jnp.ones((2, 3, 4))
    _, state = cell.init(key, x)
    with pytest.raises(ValueError, match="stdp has params for 4 features"):
        cell.apply((), state, (cell.carry((), x[..., :3]), x[..., :3]))
    with pytest.raises(ValueError, match="stdp keeps state and got none"):
        cell.apply((), (), (cell.carry((), x), x))
