"""Surrogate gradients: the step function forward, and the slope of a smooth function backward.

Each function here makes a function from x = u - threshold to 1 if x > 0 and else 0, in x's dtype,
for the spikes of a neuron. The derivative of a step is zero wherever it is defined; the functions
differ only in the slope that replaces it, which both forward and reverse mode use.
"""

from collections.abc import Callable
from math import pi

import jax
import jax.numpy as jnp

from jaxnn.checks import check_function, check_number


def fast_sigmoid(slope: float = 25.0) -> Callable:
    """The step with the slope of x / (1 + slope |x|), which is 1 / (1 + slope |x|)^2.

    Args:
      slope: how narrow it is, above 0.

    Returns:
      A function from x to 0 or 1, in x's shape and dtype.

    Raises:
      ValueError: if slope is not above 0.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> spike = nn.spiking.surrogate.fast_sigmoid(1.0)
    >>> spike(jnp.array([-1.0, 1.0])).tolist(), float(jax.grad(spike)(1.0))
    ([0.0, 1.0], 0.25)

    (Zenke and Ganguli, SuperSpike: supervised learning in multilayer spiking neural networks, 2018;
    it is 1 at the threshold, as in snnTorch.)
    """
    slope = _positive(slope, "fast_sigmoid: slope")
    return step(lambda x: 1 / jnp.square(1 + slope * jnp.abs(x)))


def arctan(alpha: float = 2.0) -> Callable:
    """The step with the slope of arctan(pi alpha x / 2) / pi: alpha / 2 / (1 + (pi alpha x / 2)^2).

    Args:
      alpha: how narrow and how high it is, above 0.

    Returns:
      A function from x to 0 or 1, in x's shape and dtype.

    Raises:
      ValueError: if alpha is not above 0.

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.arctan(2.0))(0.0))
    1.0

    (Fang et al., Incorporating learnable membrane time constant to enhance learning of spiking
    neural networks, 2021.)
    """
    alpha = _positive(alpha, "arctan: alpha")
    return step(lambda x: alpha / 2 / (1 + jnp.square(pi / 2 * alpha * x)))


def triangular(width: float = 1.0, height: float = 1.0) -> Callable:
    """The step with the slope of a triangle: height max(0, 1 - |x| / width).

    Args:
      width: how far from the threshold a gradient passes, above 0.
      height: the slope at the threshold, above 0.

    Returns:
      A function from x to 0 or 1, in x's shape and dtype.

    Raises:
      ValueError: if width or height is not above 0.

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.triangular(2.0))(1.0))
    0.5

    (Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons,
    2018, with a height of 0.3.)
    """
    width = _positive(width, "triangular: width")
    height = _positive(height, "triangular: height")
    return step(lambda x: height * jnp.maximum(1 - jnp.abs(x) / width, 0))


def straight_through() -> Callable:
    """The step with a slope of 1 everywhere.

    Returns:
      A function from x to 0 or 1, in x's shape and dtype.

    >>> import jax, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.straight_through())(-3.0))
    1.0

    (Bengio, Leonard and Courville, Estimating or propagating gradients through stochastic neurons
    for conditional computation, 2013.)
    """
    return step(jnp.ones_like)


def step(slope: Callable) -> Callable:
    """The step with a slope of your own: x > 0, whose derivative is slope(x).

    Args:
      slope: a function from x to the slope at x, of the same shape and dtype.

    Returns:
      A function from x to 0 or 1, in x's shape and dtype.

    Raises:
      TypeError: if slope is not a function.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> float(jax.grad(nn.spiking.surrogate.step(jnp.square))(3.0))
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
