"""Spike codes: numbers as spikes over time. No gradient passes a code.

To show an input at every step as a current, rather than as spikes, use `nn.spiking.repeat_in_time`.
"""

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_key, check_number


def rate_code(key: jax.Array, x: jax.Array, steps: int) -> jax.Array:
    """Encode numbers as spike rates: at every step, s_t = 1 with probability x.

    Args:
      key: `jax.random.key(...)`.
      x: floats [batch, ...] in [0, 1]; values outside are clipped.
      steps: the number of steps.

    Returns:
      0 or 1 in [batch, steps, ...], in x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if steps is less than 1.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.rate_code(jax.random.key(0), jnp.array([[0.0, 1.0]]), 3).tolist()
    [[[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]
    """
    steps = core.check_int(steps, "rate_code: steps")
    check_key(key)
    x = core.check_features(x, "rate_code")
    uniform = jax.random.uniform(key, (x.shape[0], steps, *x.shape[1:]), core.param_dtype(x))
    return (uniform < x[:, None].astype(uniform.dtype)).astype(x.dtype)


def latency_code(x: jax.Array, steps: int, *, least: float = 0.01) -> jax.Array:
    """Encode numbers as one spike, the earlier the larger: at step round((steps - 1) (1 - x)).

    Args:
      x: floats [batch, ...] in [0, 1]; values outside are clipped.
      steps: the number of steps; 1 spikes at the first step and 0 would spike at the last.
      least: values below it do not spike at all.

    Returns:
      0 or 1 in [batch, steps, ...], in x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if steps is less than 1, or if least is not finite.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.latency_code(jnp.array([[0.0, 0.5, 1.0]]), 3).tolist()
    [[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]

    (Thorpe, Delorme and Van Rullen, Spike-based strategies for rapid processing, 2001.)
    """
    steps = core.check_int(steps, "latency_code: steps")
    x = core.check_features(x, "latency_code")
    least = float(check_number(least, "latency_code: least"))
    latency = jnp.round((steps - 1) * (1 - jnp.clip(x, 0, 1)))[:, None]
    step = jnp.arange(steps, dtype=latency.dtype).reshape(1, steps, *(1,) * (x.ndim - 1))
    step, latency, spikes = jnp.broadcast_arrays(step, latency, (x >= least)[:, None])
    return ((step == latency) & spikes).astype(x.dtype)


def delta_code(x: jax.Array, threshold: float = 0.1) -> jax.Array:
    """Encode changes since the step before as spikes, as an event camera does.

    on_t = (x_t - x_{t-1} >= threshold), off_t = (x_{t-1} - x_t >= threshold)

    Args:
      x: floats [batch, time, ..., features]; for a camera, the logarithm of the light.
      threshold: the smallest change that spikes, above 0.

    Returns:
      0 or 1 in [batch, time, ..., 2 features], on before off, in x's dtype; zeros at the first
      step.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if the threshold is not above 0, or if x has no time axis.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.delta_code(jnp.array([[[0.0], [1.0], [1.0], [0.5]]]), 0.5).tolist()
    [[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]

    (Lichtsteiner, Posch and Delbruck, A 128 x 128 120 dB 15 us latency asynchronous temporal
    contrast vision sensor, 2008.)
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
