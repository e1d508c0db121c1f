import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.nets.spiking import surrogate

X = np.linspace(-2, 2, 41)
SLOPES = {
    "fast_sigmoid": (surrogate.fast_sigmoid(25.0), 1 / (1 + 25 * np.abs(X)) ** 2),
    "arctan": (surrogate.arctan(2.0), 1 / (1 + (np.pi * X) ** 2)),
    "triangular": (surrogate.triangular(1.5, 0.3), 0.3 * np.maximum(1 - np.abs(X) / 1.5, 0)),
    "straight_through": (surrogate.straight_through(), np.ones_like(X)),
    "step": (surrogate.step(lambda x: jnp.exp(-x * x)), np.exp(-X * X)),
}


@pytest.mark.parametrize("name", SLOPES)
def test_a_step_forward_and_its_slope_backward(name):
    spike, slope = SLOPES[name]
    with jax.enable_x64(True):
        x = jnp.asarray(X)
        assert np.array_equal(spike(x), X > 0)
        y, pull = jax.vjp(spike, x)
        assert y.dtype == jnp.float64
        assert np.allclose(pull(jnp.ones_like(x))[0], slope, atol=1e-12)
        assert np.allclose(jax.jvp(spike, (x,), (2 * jnp.ones_like(x),))[1], 2 * slope, atol=1e-12)


@pytest.mark.parametrize("name", SLOPES)
def test_half_precision_stays_half(name):
    spike, x = SLOPES[name][0], jnp.ones(3, jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"):
        assert spike(x).dtype == jax.grad(lambda x: spike(x).sum())(x).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("name", "torch_name", "argument"),
    [("fast_sigmoid", "fast_sigmoid", 10.0), ("arctan", "atan", 3.0),
     ("straight_through", "straight_through_estimator", None)],
)  # fmt: skip
def test_slopes_are_those_of_snntorch(name, torch_name, argument):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("snntorch").surrogate
    arguments = () if argument is None else (argument,)
    x = torch.tensor(X, requires_grad=True)
    getattr(theirs, torch_name)(*arguments)(x).sum().backward()
    spike = getattr(surrogate, name)(*arguments)
    slope = jax.vmap(jax.grad(spike))(jnp.asarray(X, jnp.float32))
    assert np.allclose(slope, x.grad.numpy(), atol=1e-5)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_widths_that_are_not_above_zero_are_refused(value):
    for make in (
        nn.spiking.surrogate.fast_sigmoid,
        nn.spiking.surrogate.arctan,
        nn.spiking.surrogate.triangular,
    ):
        with pytest.raises(ValueError, match="must be a finite number greater than 0"):
            make(value)
