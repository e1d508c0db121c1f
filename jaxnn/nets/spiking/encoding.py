"""Codes: numbers as spikes over time. What is coded is a constant: no gradient passes.

A picture that is shown all the time, as a current and not as spikes, is
`jaxnn.spiking.repeat_in_time`.
"""

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_key, check_number


def rate_code(key: jax.Array, x: jax.Array, steps: int) -> jax.Array:
    """Spikes as often as x is large: s_t = 1 with the chance x, at every step anew.

    Args:
      key: `jax.random.key(...)`.
      x: floats [batch, ...] in [0, 1]; what is outside counts as the nearer end.
      steps: how many.

    Returns:
      0 or 1 in [batch, steps, ...], in x's dtype.

    Raises:
      TypeError: for x that is no floats.
      ValueError: for fewer than one step.

    >>> import jax, jaxnn as nn
    >>> nn.spiking.rate_code(jax.random.key(0), jax.numpy.array([[0.0, 1.0]]), 3).tolist()
    [[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]
    """
    steps = core.check_int(steps, "rate_code: steps")
    check_key(key)
    x = core.check_features(x, "rate_code")
    drawn = jax.random.uniform(key, (x.shape[0], steps, *x.shape[1:]), core.param_dtype(x))
    return (drawn < x[:, None].astype(drawn.dtype)).astype(x.dtype)


def latency_code(x: jax.Array, steps: int, *, least: float = 0.01) -> jax.Array:
    """One spike, the earlier the larger x is: at step round((steps - 1) (1 - x)).

    Args:
      x: floats [batch, ...] in [0, 1]; what is outside counts as the nearer end.
      steps: how many; the largest x spikes at the first and the smallest at the last.
      least: what is less does not spike at all.

    Returns:
      0 or 1 in [batch, steps, ...], in x's dtype.

    Raises:
      TypeError: for x that is no floats.
      ValueError: for fewer than one step.

    (Thorpe, Delorme and Van Rullen, Spike-based strategies for rapid processing, 2001.)

    >>> import jax, jaxnn as nn
    >>> nn.spiking.latency_code(jax.numpy.array([[0.0, 0.5, 1.0]]), 3).tolist()
    [[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]
    """
    steps = core.check_int(steps, "latency_code: steps")
    x = core.check_features(x, "latency_code")
    least = float(check_number(least, "latency_code: least"))
    at = jnp.round((steps - 1) * (1 - jnp.clip(x, 0, 1)))[:, None]
    step = jnp.arange(steps, dtype=at.dtype).reshape(1, steps, *(1,) * (x.ndim - 1))
    step, at, there = jnp.broadcast_arrays(step, at, (x >= least)[:, None])
    return ((step == at) & there).astype(x.dtype)


def delta_code(x: jax.Array, threshold: float = 0.1) -> jax.Array:
    """Spikes where x has changed since the step before: the events of a camera that sees change.

    on_t = (x_t - x_{t-1} >= threshold), off_t = (x_{t-1} - x_t >= threshold)

    Args:
      x: floats [batch, time, ..., features]; of a camera, the logarithm of light.
      threshold: the least change, above 0.

    Returns:
      0 or 1 in [batch, time, ..., 2 features], the on's before the off's, in x's dtype; none at the
      first step.

    Raises:
      TypeError: for x that is no floats.
      ValueError: for a threshold that is not above 0, or x without a time axis.

    (Lichtsteiner, Posch and Delbruck, A 128 x 128 120 dB 15 us latency asynchronous temporal
    contrast vision sensor, 2008.)

    >>> import jax, jaxnn as nn
    >>> nn.spiking.delta_code(jax.numpy.array([[[0.0], [1.0], [1.0], [0.5]]]), 0.5).tolist()
    [[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]
    """
    threshold = float(check_number(threshold, "delta_code: threshold", above=0))
    if core.check_features(x, "delta_code").ndim < 3:
        raise ValueError(
            f"delta_code takes [batch, time, ..., features], got {core.describe(x)}: give features "
            "an axis, x[..., None]."
        )
    change = x - jnp.concatenate([x[:, :1], x[:, :-1]], axis=1)
    both = jnp.concatenate([change, -change], axis=-1)
    return (both >= threshold).astype(x.dtype)
