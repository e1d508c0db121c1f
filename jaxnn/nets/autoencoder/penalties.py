"""Penalties on the code of an autoencoder, for `reconstruction`: sparsity and contraction.

A penalty is a function of `encode` (rows of x -> their code) and rows of x, to a scalar.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_function, check_number


def kl_sparsity(rate: float, weight: float = 1.0) -> Callable:
    """A penalty that draws each unit's mean activation over the batch to `rate`.

    penalty = weight * sum_j [rate log(rate / m_j) + (1 - rate) log((1 - rate) / (1 - m_j))]

    m_j is the mean activation of unit j. The code must lie in (0, 1), as `jax.nn.sigmoid` makes it;
    the logarithm of any other value is NaN or infinite.

    Args:
      rate: the target mean activation, in (0, 1).
      weight: the weight of the penalty in the loss, 0 or more.

    Returns:
      A penalty (encode, x) -> a scalar of float32 at least.

    Raises:
      ValueError: if the rate is not in (0, 1), or if the weight is negative.

    (Ng, Sparse autoencoder, lecture notes of CS294A, 2011.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> penalty = nn.autoencoder.kl_sparsity(0.5)
    >>> penalty(jax.nn.sigmoid, jnp.zeros((4, 3))).tolist()
    0.0
    """
    check_number(rate, "kl_sparsity: rate, a mean activation,", above=0, below=1)
    _check_weight(weight, "kl_sparsity")

    def penalty(encode, x):
        code = core.at_least_float32(encode(x))
        mean = code.mean(tuple(range(code.ndim - 1)))
        active = rate * (math.log(rate) - jnp.log(mean))
        idle = (1 - rate) * (math.log1p(-rate) - jnp.log1p(-mean))
        return weight * (active + idle).sum()

    return penalty


def l1_sparsity(weight: float) -> Callable:
    """A penalty on the absolute values of the code.

    penalty = weight * mean over rows of sum_j |code_j|

    Args:
      weight: the weight of the penalty in the loss, 0 or more.

    Returns:
      A penalty (encode, x) -> a scalar of float32 at least.

    Raises:
      ValueError: if the weight is negative.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> penalty = nn.autoencoder.l1_sparsity(0.5)
    >>> penalty(lambda x: -x, jnp.array([[1.0, -3.0]])).tolist()
    2.0
    """
    _check_weight(weight, "l1_sparsity")
    return lambda encode, x: weight * jnp.abs(core.at_least_float32(encode(x))).sum() / x.shape[0]


def contraction(weight: float) -> Callable:
    """A penalty on the sensitivity of the code to changes of x.

    penalty = weight * mean over rows of `jacobian_norm(encode, x)`

    Args:
      weight: the weight of the penalty in the loss, 0 or more.

    Returns:
      A penalty (encode, x) -> a scalar of float32 at least.

    Raises:
      ValueError: if the weight is negative.

    (Rifai et al., Contractive auto-encoders, 2011.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> penalty = nn.autoencoder.contraction(0.5)
    >>> penalty(lambda x: 2 * x, jnp.ones((4, 3))).tolist()
    6.0
    """
    _check_weight(weight, "contraction")
    return lambda encode, x: weight * jacobian_norm(encode, x).mean()


def jacobian_norm(function: Callable, x: jax.Array) -> jax.Array:
    """The squared Frobenius norm of the Jacobian at each row.

    norm = sum over i, j of (d f_j / d x_i)^2

    The result is exact: it takes one forward derivative for each feature of a row, or one reverse
    derivative for each output of a row, whichever are fewer. For one sigmoid layer f = s(x w + b)
    it equals the paper's closed form, sum_j (f_j (1 - f_j))^2 sum_i w_ij^2; it holds for any other
    net as well.

    Args:
      function: a function from rows [batch, ...] to floating point rows [batch, ...], each of which
        depends only on its own input row.
      x: floating point rows [batch, ...].

    Returns:
      The norms [batch], of float32 at least.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x has no batch axis and features, or if the function does not return floating
        point rows, one for each row of x.

    (Rifai et al., Contractive auto-encoders, 2011.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.jacobian_norm(jnp.square, jnp.array([[1.0, 2.0]])).tolist()
    [20.0]
    """
    check_function(function, "jacobian_norm: function")
    if core.check_features(x, "jacobian_norm").ndim < 2:
        raise ValueError(f"jacobian_norm takes x [batch, ...], got {core.describe(x)}.")
    y = jax.eval_shape(function, x)
    if not core.floating(y) or y.shape[:1] != x.shape[:1]:
        raise ValueError(
            "jacobian_norm takes a function from rows to floating point rows, got one from "
            f"{core.describe(x)} to {core.describe(y)}."
        )
    inputs, outputs = math.prod(x.shape[1:]), math.prod(y.shape[1:])
    if inputs <= outputs:
        n, like, derive = inputs, x, jax.linearize(function, x)[1]
    else:
        pull = jax.vjp(function, x)[1]
        n, like, derive = outputs, y, lambda direction: pull(direction)[0]

    def squared_slope(unit):
        row = unit.reshape(1, *like.shape[1:])
        slope = derive(jnp.broadcast_to(row, like.shape))
        return jnp.square(core.at_least_float32(slope)).sum(tuple(range(1, slope.ndim)))

    return jax.vmap(squared_slope)(jnp.eye(n, dtype=like.dtype)).sum(axis=0)


def _check_weight(weight: float, title: str) -> None:
    check_number(weight, f"{title}: weight", least=0)
