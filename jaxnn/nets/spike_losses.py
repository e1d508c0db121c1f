"""Losses of spiking nets, on how often, how high and how early, and penalties on spikes.

Losses are (y, labels) -> one number a row, as `training.supervised` takes them, with y
[batch, time, classes] and labels int [batch].
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnn import core
from jaxnn.checks import check_choice, check_labels

MEMBRANES = "mean", "max", "each"


def count_loss(
    spikes: jax.Array, labels: jax.Array, *, correct: float = 0.8, wrong: float = 0.05
) -> jax.Array:
    """The squared error of rates: mean over classes of (1/time sum_t s_t - target)^2.

    Args:
      spikes: [batch, time, classes], of neurons that stand for the classes.
      labels: int [batch].
      correct, wrong: the target of the label's class and of the others, spikes a step.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, for other shapes, and for targets outside [0, 1].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> spikes = jnp.array([[[1.0, 0.0], [1.0, 1.0]]])
    >>> nn.count_loss(spikes, jnp.array([0]), correct=1.0, wrong=0.0).tolist()
    [0.125]
    """
    for target in (correct, wrong):
        if not 0 <= target <= 1:
            raise ValueError(f"count_loss: targets are spikes a step, in [0, 1], got {target!r}.")
    y = _told(spikes, labels, "count_loss")
    chosen = jax.nn.one_hot(labels, y.shape[-1], dtype=y.dtype)
    return jnp.square(y.mean(axis=1) - wrong - (correct - wrong) * chosen).mean(axis=-1)


def count_cross_entropy(spikes: jax.Array, labels: jax.Array) -> jax.Array:
    """The cross entropy with counts of spikes as logits: -log softmax(sum_t s_t)[label].

    Args:
      spikes: [batch, time, classes].
      labels: int [batch].

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, and for other shapes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.count_cross_entropy(jnp.zeros((1, 3, 2)), jnp.array([0]))
    Array([0.6931472], dtype=float32)
    """
    y = _told(spikes, labels, "count_cross_entropy")
    return optax.softmax_cross_entropy_with_integer_labels(y.sum(axis=1), labels)


def membrane_loss(membrane: jax.Array, labels: jax.Array, *, over: str = "mean") -> jax.Array:
    """The cross entropy with membranes as logits, taken over time in one of three ways.

    "mean": of the mean over time; "max": of the maximum; "each": the mean of that of each step.

    Args:
      membrane: [batch, time, classes], of a `leaky_integrator`, or of neurons with membrane=True.
      labels: int [batch].
      over: one of the three.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, for other shapes, and for another `over`.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.membrane_loss(jnp.zeros((1, 3, 2)), jnp.array([0]), over="each")
    Array([0.6931472], dtype=float32)
    """
    check_choice(over, "membrane_loss: over", MEMBRANES)
    y = _told(membrane, labels, "membrane_loss")
    entropy = optax.softmax_cross_entropy_with_integer_labels
    if over == "each":
        every = jnp.broadcast_to(labels[:, None], y.shape[:2])
        return entropy(y, every).mean(axis=1)
    return entropy(y.mean(axis=1) if over == "mean" else y.max(axis=1), labels)


def first_spikes(spikes: jax.Array) -> jax.Array:
    """The step of each neuron's first spike, or time: sum_t prod_{k <= t} (1 - s_k).

    As a sum of products it has a gradient: a spike sooner takes off the steps that it saves.

    Args:
      spikes: 0 or 1 in [batch, time, ...].

    Returns:
      [batch, ...], in the dtype of the spikes.

    Raises:
      ValueError: for no steps.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.first_spikes(jnp.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])).tolist()
    [[1.0, 3.0]]
    """
    return jnp.cumprod(1 - _steps(spikes, "first_spikes"), axis=1).sum(axis=1)


def latency_loss(spikes: jax.Array, labels: jax.Array, *, scale: float = 1.0) -> jax.Array:
    """The cross entropy with haste as logits: -log softmax(-scale first_spikes)[label].

    Args:
      spikes: [batch, time, classes].
      labels: int [batch].
      scale: logits a step, above 0.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, for other shapes, and for a scale that is not above 0.

    (Mostafa, Supervised learning based on temporal coding in spiking neural networks, 2018.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> spikes = jnp.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> nn.latency_loss(spikes, jnp.array([0]))
    Array([0.12692805], dtype=float32)
    """
    if not scale > 0:
        raise ValueError(f"latency_loss: scale must be above 0, got {scale!r}.")
    y = _told(spikes, labels, "latency_loss")
    return optax.softmax_cross_entropy_with_integer_labels(-scale * first_spikes(y), labels)


def spike_penalty(spikes: Any, *, most: float = 0.0, least: float = 0.0) -> jax.Array:
    """What neurons pay for spiking more often than `most`, or less often than `least`.

    sum over layers of the mean over rows and neurons of max(0, r - most)^2 + max(0, least - r)^2,
    with r the spikes a step of one neuron in one row

    Args:
      spikes: [batch, time, ...], or a pytree of such, one for each layer.
      most, least: spikes a step, 0 <= least and 0 <= most <= 1.

    Raises:
      ValueError: for no steps, and for bounds outside [0, 1].

    (Zenke and Vogels, The remarkable robustness of surrogate gradient learning, 2021.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spike_penalty((jnp.ones((1, 2, 3)),), most=0.5).tolist()
    0.25
    """
    for bound in (most, least):
        if not 0 <= bound <= 1:
            raise ValueError(f"spike_penalty: bounds are spikes a step, in [0, 1], got {bound!r}.")
    total = jnp.zeros((), core.param_dtype(spikes))
    for leaf in jax.tree.leaves(spikes):
        rate = core.at_least_float32(_steps(leaf, "spike_penalty")).mean(axis=1)
        over, under = jnp.maximum(rate - most, 0), jnp.maximum(least - rate, 0)
        total = total + jnp.mean(jnp.square(over) + jnp.square(under))
    return total


def _steps(y: Any, title: str) -> Any:
    """y, which must have steps."""
    if core.features(y, title).ndim < 3 or y.shape[1] == 0:
        raise ValueError(
            f"{title} takes [batch, time, ...] of at least one step, got {core.describe(y)}."
        )
    return y


def _told(y: Any, labels: Any, title: str) -> Any:
    """y, which must have one label a row."""
    shape, kind = jnp.shape(labels), jnp.result_type(labels)
    if _steps(y, title).ndim != 3 or shape != y.shape[:1] or not jnp.issubdtype(kind, jnp.integer):
        raise ValueError(
            f"{title} takes [batch, time, classes] and labels int [batch], got "
            f"{core.describe(y)} and {core.describe(labels)}."
        )
    check_labels(labels, y.shape[-1], title)
    return core.at_least_float32(y)
