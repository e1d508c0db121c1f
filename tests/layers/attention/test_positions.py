import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers.attention.positions import alibi_slopes, rotary

pytestmark = pytest.mark.ordinary

STEPS = jnp.arange(5)[None]


def heads(width, key=0):
    return jax.random.normal(jax.random.key(key), (2, 5, 3, width))


@pytest.mark.parametrize("interleaved", [False, True])
def test_rotary_multiplies_pairs_by_powers_of_a_complex_number(interleaved):
    x = heads(8)
    if interleaved:
        pairs = np.asarray(x[..., 0::2]) + 1j * np.asarray(x[..., 1::2])
    else:
        pairs = np.asarray(x[..., :4]) + 1j * np.asarray(x[..., 4:])
    rates = 100.0 ** -np.array([0, 1 / 4, 2 / 4, 3 / 4])
    turned = pairs * np.exp(1j * np.arange(5)[:, None, None] * rates)
    y = np.asarray(rotary(100.0, interleaved=interleaved)(x, STEPS))
    ours = y[..., 0::2] + 1j * y[..., 1::2] if interleaved else y[..., :4] + 1j * y[..., 4:]
    assert np.allclose(ours, turned, atol=1e-5)


def test_the_product_of_turned_heads_knows_their_distance_alone():
    q, k, turn = heads(8), heads(8, key=1), rotary()
    near = (turn(q, STEPS) * turn(k, STEPS + 3)).sum(-1)
    far = (turn(q, STEPS + 70) * turn(k, STEPS + 73)).sum(-1)
    assert jnp.allclose(near, far, atol=1e-4)


def test_rotary_may_leave_the_last_features_as_they_are():
    x = heads(8)
    y = rotary(width=6)(x, STEPS)
    assert (y[..., 6:] == x[..., 6:]).all()
    assert jnp.allclose(y[..., :6], rotary()(x[..., :6], STEPS))


def test_rotary_keeps_half_precision_and_turns_in_float32():
    x = heads(8)
    far = STEPS + 4000
    y = rotary()(x.astype(jnp.bfloat16), far)
    assert y.dtype == jnp.bfloat16
    assert jnp.abs(y - rotary()(x, far)).max() < 0.03


def test_each_row_may_have_positions_of_its_own():
    x = heads(8)
    y = rotary()(x, jnp.stack([STEPS[0], STEPS[0] + 7]))
    assert jnp.allclose(y[1:], rotary()(x[1:], STEPS + 7), atol=1e-6)


@pytest.mark.parametrize("width", [None, 8])
def test_an_odd_or_a_large_width_is_refused(width):
    with pytest.raises(ValueError, match="rotary turns pairs of features, got . of 7 a head"):
        rotary(width=width)(heads(7), STEPS)


def test_a_small_theta_is_refused():
    with pytest.raises(ValueError, match="theta must be above 1, got 0.5"):
        rotary(0.5)
    with pytest.raises(ValueError, match="rotary: width must be a whole number"):
        rotary(width=0)


def test_slopes_are_powers_of_two():
    assert alibi_slopes(8).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(1).tolist() == [2.0**-8]


def test_slopes_between_powers_of_two_come_from_both():
    # Six heads: four slopes 2^-2 ... 2^-8, then every other one of eight heads.
    assert alibi_slopes(6).tolist() == [2.0**-i for i in (2, 4, 6, 8, 1, 3)]
    assert len({*alibi_slopes(12).tolist()}) == 12
