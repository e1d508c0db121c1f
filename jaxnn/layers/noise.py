"""Noise in training, as regularization; in evaluation each of these layers returns its input."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.printing import factory


@factory
def dropout(rate: float, *, shared: Sequence[int] = ()) -> Layer:
    """Set each value to zero with probability `rate` and scale the others: y = x keep / (1 - rate).

    The expected output is the input, so evaluation needs no scaling.

    Args:
      rate: the fraction dropped, in [0, 1); with 0 no key is needed.
      shared: axes along which values are dropped together: (1, 2) drops whole channels of images
        [batch, height, width, channels], (1,) the same features at every step of sequences [batch,
        time, features].

    Returns:
      A layer from x [..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if rate is out of range, if there is no key in training, or if x has no such axis.

    (Srivastava et al., Dropout, 2014; whole channels: Tompson et al., Efficient object localization
    using convolutional networks, 2015.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.dropout(0.75), jnp.ones((8, 8))
    >>> y = net((), x, key=jax.random.key(0), train=True)
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 4.0]
    """
    shared = tuple(shared)

    def drawn(x):
        if any(not -x.ndim <= axis < x.ndim for axis in shared):
            raise ValueError(f"dropout is shared over the axes {shared}, got {core.describe(x)}.")
        together = {axis % x.ndim for axis in shared}
        return tuple(1 if axis in together else size for axis, size in enumerate(x.shape))

    return _dropped("dropout", rate, drawn)


@factory
def drop_path(rate: float) -> Layer:
    """Set whole rows to zero with probability `rate` and scale the others: y = x keep / (1 - rate).

    At the end of a residual's body it is stochastic depth: a dropped row skips the body.

    Args:
      rate: the fraction of rows dropped, in [0, 1); with 0 no key is needed.

    Returns:
      A layer from x [batch, ..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if rate is out of range, if there is no key in training, or if x has no batch
        axis.

    (Huang et al., Deep networks with stochastic depth, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.drop_path(0.5), jnp.ones((8, 3))
    >>> y = net((), x, key=jax.random.key(0), train=True)
    >>> sorted(set(y[:, 0].tolist()))
    [0.0, 2.0]
    """

    def drawn(x):
        if x.ndim < 2:
            raise ValueError(f"drop_path takes [batch, ..., features], got {core.describe(x)}.")
        return (x.shape[0],) + (1,) * (x.ndim - 1)

    return _dropped("drop_path", rate, drawn)


@factory
def gaussian_noise(stddev: float) -> Layer:
    """Add Gaussian noise: y = x + stddev n, with n standard normal.

    Args:
      stddev: the standard deviation, in the units of x; with 0 no key is needed.

    Returns:
      A layer from x [..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if stddev is negative or not finite, or if there is no key in training.

    (Bishop, Training with noise is equivalent to Tikhonov regularization, 1995.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.gaussian_noise(0.1), jnp.ones(2)
    >>> net((), x, key=jax.random.key(0), train=True).shape
    (2,)
    """
    if not 0 <= stddev < math.inf:
        raise ValueError(f"gaussian_noise: stddev must be finite, 0 or more, got {stddev!r}.")
    return _noisy("gaussian_noise", stddev > 0, lambda x, key: x + stddev * _normal(key, x))


@factory
def gaussian_dropout(rate: float) -> Layer:
    """Multiply by Gaussian noise: y = x (1 + sqrt(rate / (1 - rate)) n), with n standard normal.

    It has the mean and the variance of `dropout(rate)`, but sets nothing to zero.

    Args:
      rate: the fraction dropped by a dropout of the same variance, in [0, 1); with 0 no key is
        needed.

    Returns:
      A layer from x [..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if rate is out of range, or if there is no key in training.

    (Srivastava et al., Dropout, 2014, section 10.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.gaussian_dropout(0.1), jnp.ones(2)
    >>> net((), x, key=jax.random.key(0), train=True).shape
    (2,)
    """
    spread = math.sqrt(_fraction(rate, "gaussian_dropout") / (1 - rate))
    return _noisy("gaussian_dropout", rate > 0, lambda x, key: x * (1 + spread * _normal(key, x)))


def _dropped(title: str, rate: float, drawn: Callable) -> Layer:
    """A layer that draws a mask of the shape drawn(x)."""
    # Values whose 32 random bits are below this are dropped, whatever the dtype of x.
    threshold = min(round(_fraction(rate, title) * 2**32), 2**32 - 1)

    def change(x, key):
        keep = jax.random.bits(key, drawn(x), "uint32") >= jnp.uint32(threshold)
        return jnp.where(keep, x * (1 / (1 - rate)), jnp.zeros((), x.dtype))

    return _noisy(title, rate > 0, change, drawn)


def _noisy(title: str, draws: bool, change: Callable, fits: Callable = jnp.shape) -> Layer:
    """A layer that returns change(x, key) in training, if it draws at all.

    fits(x) raises if x has a shape that `change` does not take.
    """

    def init(key, x):
        fits(core.check_features(x, title))
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_features(x, title)
        return (
            change(x, core.require_key(key, title)) if core.check_train(train) and draws else x
        ), ()

    return Layer(init, apply, name=title)


def _normal(key: jax.Array, x: jax.Array) -> jax.Array:
    # Half precision has too few values for the tails of a normal distribution.
    return jax.random.normal(key, x.shape, core.param_dtype(x)).astype(x.dtype)


def _fraction(rate: float, title: str) -> float:
    if not 0 <= rate < 1:
        raise ValueError(
            f"{title}: rate is the fraction dropped, in [0, 1), got {rate!r}: 1 would drop all."
        )
    return rate
