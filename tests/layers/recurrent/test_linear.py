import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers.recurrent import linear
from jaxnn.layers.recurrent.linear import linear_scan, lru, min_gru, min_lstm
from jaxnn.sequences.unroll import unroll
from tests.layers.recurrent.test_cells import X, loop, made, sigmoid

pytestmark = pytest.mark.ordinary


def draw(key, *shape, dtype=jnp.float32):
    return jax.random.normal(key, shape, dtype)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.complex64])
@pytest.mark.parametrize("steps", [1, 2, 7, 64])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.first(5)
def test_one_by_one_and_at_once_agree_in_values_and_gradients(dtype, steps, rows, key):
    keys = jax.random.split(key, 4)
    a = 0.9 * jnp.tanh(draw(keys[0], rows, steps, 4, dtype=dtype))
    b, h = draw(keys[1], 3, steps, 4, dtype=dtype), draw(keys[2], 3, 4, dtype=dtype)
    weights = draw(keys[3], 3, steps, 4, dtype=dtype)

    def total(form):
        return lambda a, b, h: jnp.sum((weights * form(a, b, h)).real)

    forms = linear._one_by_one, linear._at_once
    slow, fast = (jax.jit(form)(a, b, h) for form in forms)
    np.testing.assert_allclose(slow, fast, atol=1e-5)
    slow, fast = (jax.jit(jax.grad(total(form), (0, 1, 2)))(a, b, h) for form in forms)
    jax.tree.map(lambda s, f: np.testing.assert_allclose(s, f, atol=1e-4), slow, fast)


def test_masked_steps_keep_the_memory(key):
    keys = jax.random.split(key, 3)
    a, b, h = draw(keys[0], 2, 6, 4), draw(keys[1], 2, 6, 4), draw(keys[2], 2, 4)
    mask = jnp.array([[1, 0, 1, 1, 0, 1], [0, 1, 1, 0, 0, 1]], bool)
    masked = linear_scan(a, b, h, mask)
    for row in range(2):
        kept = np.flatnonzero(mask[row])
        one = [each[row : row + 1] for each in (a[:, kept], b[:, kept], h)]
        np.testing.assert_allclose(masked[row, kept], linear_scan(*one)[0], rtol=1e-5)
    np.testing.assert_array_equal(masked[0, 1], masked[0, 0])
    np.testing.assert_array_equal(masked[1, 0], h[1])


def test_min_gru_is_its_equation(key):
    def step(h, x):
        z, n = np.split(x @ p["w"] + p["b"], 2, axis=-1)
        return (1 - sigmoid(z)) * h + sigmoid(z) * n

    y, p = made(min_gru(6), key)
    np.testing.assert_allclose(y, loop(step, np.zeros((3, 6)), X), atol=1e-5)


def test_min_lstm_is_its_equation(key):
    def step(h, x):
        i, f, n = np.split(x @ p["w"] + p["b"], 3, axis=-1)
        i, f = sigmoid(i), sigmoid(f)
        return f / (f + i) * h + i / (f + i) * n

    y, p = made(min_lstm(6), key)
    np.testing.assert_allclose(y, loop(step, np.zeros((3, 6)), X), atol=1e-5)


def test_min_lstm_divides_no_vanishing_gates(key):
    net = unroll(min_lstm(2))
    params = {"w": jnp.zeros((4, 6)), "b": jnp.array([-300.0, -300.0, -300.0, -300.0, 1.0, 1.0])}
    np.testing.assert_allclose(net(params, X)[:, 0], 0.5)
    gradients = jax.grad(lambda p: net(p, X).sum())(params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_lru_is_its_equation_in_complex_numbers(key):
    y, p = made(lru(6, 5), key)
    eigenvalues = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    b = np.exp(p["gamma"]) * (p["b"][:, :5] + 1j * p["b"][:, 5:])
    c = p["c"][:5] - 1j * p["c"][5:]
    h = loop(lambda h, x: eigenvalues * h + x @ b, np.zeros((3, 5), complex), X)
    np.testing.assert_allclose(y, (h @ c).real + np.asarray(X, float) @ p["d"], atol=1e-5)


def test_lru_starts_in_its_ring_with_memories_of_one_size(key):
    params, _ = lru(8, 4096, r_min=0.6, r_max=0.9, max_phase=0.5).init(key, X)
    size = jnp.exp(-jnp.exp(params["nu"]))
    assert 0.6 <= size.min() < 0.61
    assert 0.89 < size.max() <= 0.9
    assert abs((size**2).mean() - (0.6**2 + 0.9**2) / 2) < 0.01  # uniform over the area
    assert jnp.exp(params["theta"]).max() <= 0.5
    np.testing.assert_allclose(jnp.exp(params["gamma"]) ** 2, 1 - size**2, rtol=1e-4)
    assert abs(params["b"].var() * 2 * 4 - 1) < 0.05
    assert abs(params["c"].var() * 4096 - 1) < 0.05


def test_lru_remembers_in_float32_however_coarse_x_is(key):
    params, _ = lru(8).init(key, X)
    assert lru(8).carry(params, X.astype(jnp.bfloat16)).dtype == jnp.complex64
    # A memory that decays by 1/1000 a step would not decay at all in bfloat16.
    slow = params | {"nu": jnp.full((8,), jnp.log(1e-3)), "theta": jnp.full((8,), -1e9)}
    x = jnp.zeros((1, 1000, 4), jnp.bfloat16).at[:, 0].set(1)
    y, carry = unroll(lru(8), return_carry=True)(slow, x)
    _, first = unroll(lru(8), return_carry=True)(slow, x[:, :1])
    np.testing.assert_allclose(jnp.abs(carry), jnp.abs(first) * np.exp(-0.999), rtol=1e-3)
    assert y.dtype == jnp.bfloat16


@pytest.mark.parametrize("ring", [(-0.1, 1.0), (0.9, 0.9), (0.5, 1.5), (0.9, 0.1)])
def test_a_ring_beyond_the_unit_disc_is_refused(ring):
    with pytest.raises(ValueError, match="lru: take 0 <= r_min"):
        lru(8, r_min=ring[0], r_max=ring[1])


def test_states_that_are_no_count_are_refused():
    with pytest.raises(ValueError, match="lru: states must be a whole number"):
        lru(8, 0)
