"""Decay schedules: the value of a learning rate or a radius at step t of `steps`."""

import jax
import jax.numpy as jnp

from jaxnn import core


def _fraction(t: jax.Array, steps: int) -> jax.Array:
    """The fraction of the steps that is over, t / steps."""
    return t / core.check_int(steps, "steps")


def asymptotic_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """Decay by a hyperbola to a third of the initial value: value / (1 + 2 t / steps).

    Args:
      value: the initial value.
      t: [], the current step, from 0.
      steps: the number of steps, at least 1.

    Returns:
      A float [], the value at step t.

    Raises:
      TypeError: if value is not a number, t is not an array, or steps is not a whole number.
      ValueError: if steps is less than 1.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.asymptotic_decay(3.0, jnp.array(10), 10))
    1.0
    """
    return value / (1 + 2 * _fraction(t, steps))


def linear_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """Decay linearly to a hundredth of the initial value: value max(1 - t / steps, 0.01).

    It stops at a hundredth because neighborhood functions divide by the radius.

    Args:
      value: the initial value.
      t: [], the current step, from 0.
      steps: the number of steps, at least 1.

    Returns:
      A float [], the value at step t.

    Raises:
      TypeError: if value is not a number, t is not an array, or steps is not a whole number.
      ValueError: if steps is less than 1.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.linear_decay(3.0, jnp.array(5), 10))
    1.5
    """
    return value * jnp.maximum(1 - _fraction(t, steps), 0.01)


def inverse_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """Decay by a hyperbola to 1/101 of the initial value: value / (1 + 100 t / steps).

    Args:
      value: the initial value.
      t: [], the current step, from 0.
      steps: the number of steps, at least 1.

    Returns:
      A float [], the value at step t.

    Raises:
      TypeError: if value is not a number, t is not an array, or steps is not a whole number.
      ValueError: if steps is less than 1.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.inverse_decay(3.0, jnp.array(1), 50))
    1.0
    """
    return value / (1 + 100 * _fraction(t, steps))


def exponential_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """Decay exponentially to a hundredth of the initial value: value 100^(-t / steps).

    Args:
      value: the initial value.
      t: [], the current step, from 0.
      steps: the number of steps, at least 1.

    Returns:
      A float [], the value at step t.

    Raises:
      TypeError: if value is not a number, t is not an array, or steps is not a whole number.
      ValueError: if steps is less than 1.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> round(float(nn.som.exponential_decay(3.0, jnp.array(10), 10)), 4)
    0.03
    """
    return value * jnp.exp(-jnp.log(100.0) * _fraction(t, steps))


def constant_decay(value: float, t: jax.Array, steps: int) -> jax.Array:
    """Keep the initial value at every step, without any decay.

    Args:
      value: the initial value.
      t: [], the current step, which has no effect.
      steps: the number of steps, which has no effect.

    Returns:
      A float [], the initial value.

    Raises:
      TypeError: if value is not a number, t is not an array, or steps is not a whole number.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> float(nn.som.constant_decay(3.0, jnp.array(10), 10))
    3.0
    """
    return value + 0 * t
