import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.layers.recurrent.cells import gru
from jaxnn.layers.recurrent.lstm import conv_lstm, lstm
from jaxnn.sequences.unroll import unroll
from tests.layers.recurrent.test_cells import X, made, sigmoid

pytestmark = pytest.mark.ordinary


def by_hand(p, x, coupled=False):
    """The equations in NumPy, over vectors: y and the last (h, c)."""
    width = p["b"].shape[0] // (3 if coupled else 4)
    h, c, y = np.zeros((len(x), p["u"].shape[0])), np.zeros((len(x), width)), []
    for t in range(x.shape[1]):
        z = np.asarray(x[:, t], float) @ p["w"] + h @ p["u"] + p["b"]
        *i, f, g, o = np.split(z, 3 if coupled else 4, axis=-1)
        *p_i, p_f, p_o = p.get("peepholes", np.zeros((2 if coupled else 3, width)))
        f = sigmoid(f + p_f * c)
        i = 1 - f if coupled else sigmoid(i[0] + p_i[0] * c)
        c = f * c + i * np.tanh(g)
        h = sigmoid(o + p_o * c) * np.tanh(c)
        h = h @ p["projection"] if "projection" in p else h
        y.append(h)
    return np.stack(y, axis=1), (h, c)


@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("projection", [None, 2, 9])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("width", [6, 65])  # gates of wide ones are made in two halves
@pytest.mark.first(8)
def test_every_variant_is_its_equations(peepholes, projection, coupled, width, key):
    cell = lstm(width, peepholes=peepholes, projection=projection, coupled=coupled)
    y, p = made(cell, key)
    expected, last = by_hand(p, X, coupled)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    params = jax.tree.map(jnp.float32, p)
    _, carry = unroll(cell, return_carry=True)(params, X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), carry, last)
    assert ("peepholes" in p, "projection" in p) == (peepholes, projection is not None)


@pytest.mark.parametrize("make", [lstm, lambda width, **kw: conv_lstm(width, 1, **kw)])
def test_the_forget_gate_starts_open(make, key):
    x = X if make is lstm else X[:, :, None, :]
    b = make(6).init(key, x)[0]["b"]
    assert b.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12
    assert not make(6, forget_bias=0.0).init(key, x)[0]["b"].any()


def test_the_forget_gate_of_coupled_gates_starts_open(key):
    b = lstm(6, coupled=True).init(key, X)[0]["b"]
    assert b.tolist() == [1.0] * 6 + [0.0] * 12


def test_the_activation_is_an_argument(key):
    params, _ = lstm(6).init(key, X)
    y = unroll(lstm(6, activation=jnp.zeros_like))(params, X)
    assert not y.any()


@pytest.mark.parametrize("projection", [0, -3, 1.5])
def test_a_projection_that_is_no_count_is_refused(projection):
    with pytest.raises(ValueError, match="lstm: projection must be a whole number"):
        lstm(6, projection=projection)


@pytest.mark.parametrize("make", [lstm, gru])
def test_a_step_of_its_own_makes_nothing_of_the_weights_beforehand(make, key):
    net = unroll(make(6))
    params, _ = net.init(key, X)

    def put_together(x):
        lowered = jax.jit(net).trace(params, x).lower(lowering_platforms=("cpu",))
        return lowered.as_text().count("stablehlo.concatenate")

    assert put_together(X) > put_together(X[:, :1]) == 0


# Over images


@pytest.mark.parametrize("space", [(3,), (2, 3), (2, 1, 3)])
def test_conv_lstm_of_one_pixel_kernels_is_an_lstm_at_every_pixel(space, key):
    x = jax.random.normal(key, (2, 4, *space, 3))
    cell = conv_lstm(5, 1)
    params, _ = cell.init(key, x)
    flat = {name: p.reshape(p.shape[-2:]) if p.ndim > 1 else p for name, p in params.items()}
    pixels = jnp.moveaxis(x.reshape(2, 4, -1, 3), 2, 1).reshape(-1, 4, 3)
    y = unroll(lstm(5))(flat, pixels)
    y = jnp.moveaxis(y.reshape(2, -1, 4, 5), 1, 2).reshape(2, 4, *space, 5)
    np.testing.assert_allclose(unroll(cell)(params, x), y, atol=1e-5)


def test_conv_lstm_is_its_equation_with_zeros_around(key):
    def conv(x, w):
        around = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        rows, columns = x.shape[1:3]
        windows = (
            around[:, i : i + rows, j : j + columns] @ w[i, j] for i in range(3) for j in range(3)
        )
        return sum(windows)

    x = np.asarray(jax.random.normal(key, (2, 3, 4, 5, 2)), float)
    params, _ = conv_lstm(3, 3).init(key, x.astype(np.float32))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    h = c = np.zeros((2, 4, 5, 3))
    for t in range(3):
        z = conv(x[:, t], p["w"]) + conv(h, p["u"]) + p["b"]
        i, f, g, o = np.split(z, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    y = unroll(conv_lstm(3, 3), last=True)(params, x.astype(np.float32))
    np.testing.assert_allclose(y, h, atol=1e-5)


def test_a_kernel_has_a_size_for_every_axis_of_space(key):
    x = jnp.ones((2, 3, 4, 5, 2))
    assert conv_lstm(3, (1, 3)).init(key, x)[0]["u"].shape == (1, 3, 3, 12)
    for sizes in ((3,) * 3, (1, 3)):
        with pytest.raises(ValueError, match=r"conv_lstm of kernel_size .* one for each size"):
            conv_lstm(3, sizes).init(key, x[:, :, 0])
    with pytest.raises(ValueError, match=r"conv_lstm .* takes \[batch, time, \*space, channels\]"):
        conv_lstm(3, 3).init(key, x[:, :, 0, 0])
    with pytest.raises(ValueError, match="conv_lstm: kernel_size must be a whole number"):
        conv_lstm(3, 0)


def test_other_channels_are_refused(key):
    x = jnp.ones((2, 3, 4, 5, 2))
    params, _ = conv_lstm(3, 3).init(key, x)
    with pytest.raises(ValueError, match="conv_lstm has params for 2 channels.*feed 2 channels"):
        unroll(conv_lstm(3, 3))(params, x[..., :1])
    with pytest.raises(TypeError, match="conv_lstm takes floating features"):
        conv_lstm(3, 3).init(key, x.astype(jnp.int32))
