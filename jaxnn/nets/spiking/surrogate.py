"""Spikes that a gradient passes: a step forward, and the slope of something smoother backward.

Each function here makes a function (x) -> (x > 0) as 0 or 1 in x's dtype, for the threshold of a
spiking neuron, x = u - threshold. The slope of a step is zero wherever it is defined; what stands
for it is the only difference between them. Forward mode and backward mode both take it.
"""

from collections.abc import Callable
from math import pi

import jax
import jax.numpy as jnp

from jaxnn.checks import check_function, check_number


def fast_sigmoid(slope: float = 25.0) -> Callable:
    """The step with the slope of x / (1 + slope |x|): 1 / (1 + slope |x|)^2.

    Args:
      slope: how narrow it is, above 0.

    Raises:
      ValueError: for a slope that is not above 0.

    (Zenke and Ganguli, SuperSpike: supervised learning in multilayer spiking neural networks, 2018;
    it is 1 at the threshold, as in snnTorch.)

    >>> import jax, jaxnn as nn
    >>> spike = nn.spiking.surrogate.fast_sigmoid(1.0)
    >>> spike(jax.numpy.array([-1.0, 1.0])).tolist(), float(jax.grad(spike)(1.0))
    ([0.0, 1.0], 0.25)
    """
    slope = _positive(slope, "fast_sigmoid: slope")
    return step(lambda x: 1 / jnp.square(1 + slope * jnp.abs(x)))


def arctan(alpha: float = 2.0) -> Callable:
    """The step with the slope of arctan(pi alpha x / 2) / pi: alpha / 2 / (1 + (pi alpha x / 2)^2).

    Args:
      alpha: how narrow and how high it is, above 0.

    Raises:
      ValueError: for an alpha that is not above 0.

    (Fang et al., Incorporating learnable membrane time constant to enhance learning of spiking
    neural networks, 2021.)

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.arctan(2.0))(0.0))
    1.0
    """
    alpha = _positive(alpha, "arctan: alpha")
    return step(lambda x: alpha / 2 / (1 + jnp.square(pi / 2 * alpha * x)))


def triangular(width: float = 1.0, height: float = 1.0) -> Callable:
    """The step with the slope of a triangle: height max(0, 1 - |x| / width).

    Args:
      width: how far from the threshold a gradient passes, above 0.
      height: the slope at the threshold, above 0.

    Raises:
      ValueError: for either that is not above 0.

    (Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons,
    2018, with a height of 0.3.)

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.triangular(2.0))(1.0))
    0.5
    """
    width = _positive(width, "triangular: width")
    height = _positive(height, "triangular: height")
    return step(lambda x: height * jnp.maximum(1 - jnp.abs(x) / width, 0))


def straight_through() -> Callable:
    """The step with a slope of 1 everywhere.

    (Bengio, Leonard and Courville, Estimating or propagating gradients through stochastic neurons
    for conditional computation, 2013.)

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.straight_through())(-3.0))
    1.0
    """
    return step(jnp.ones_like)


def step(slope: Callable) -> Callable:
    """The step with a slope of your own: x -> x > 0, whose derivative is slope(x).

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.step(jax.numpy.square))(3.0))
    9.0
    """

    check_function(slope, "step: slope")

    @jax.custom_jvp
    def spike(x):
        x = jnp.asarray(x)
        return (x > 0).astype(x.dtype)

    @spike.defjvp
    def _(primals, tangents):
        (x,), (dx,) = primals, tangents
        return spike(x), slope(x) * dx

    return spike


def _positive(value: float, what: str) -> float:
    return float(check_number(value, what, above=0))
