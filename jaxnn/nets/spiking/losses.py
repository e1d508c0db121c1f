"""Losses of spiking nets, on how often, how high and how early, and penalties on spikes.

Losses are (y, labels) -> one number a row, as `training.supervised` takes them, with y
[batch, time, classes] and labels int [batch] of 0 to classes - 1; `jaxnn.ignore_label` leaves rows
out by their label. Where steps are padding, mask=bool [batch, time] says which count: `unroll`
gives zeros for the others, which would lower every rate.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnn import core
from jaxnn.checks import check_choice, check_labels, check_number
from jaxnn.sequences.masks import pool_steps, split_mask, zero_masked

MEMBRANES = "mean", "max", "each"


def count_loss(
    spikes: jax.Array,
    labels: jax.Array,
    *,
    correct: float = 0.8,
    wrong: float = 0.05,
    mask: jax.Array | None = None,
) -> jax.Array:
    """The squared error of rates: mean over classes of (1/time sum_t s_t - target)^2.

    Args:
      spikes: [batch, time, classes], of neurons that stand for the classes.
      labels: int [batch].
      correct, wrong: the target of the label's class and of the others, spikes a step.
      mask: bool [batch, time], the steps that count, or None where all do.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, for other shapes, and for targets outside [0, 1].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> spikes = jnp.array([[[1.0, 0.0], [1.0, 1.0]]])
    >>> nn.spiking.count_loss(spikes, jnp.array([0]), correct=1.0, wrong=0.0).tolist()
    [0.125]
    """
    for target, what in ((correct, "correct"), (wrong, "wrong")):
        check_number(target, f"count_loss: {what}, spikes a step,", least=0, most=1)
    y, there = _told(spikes, labels, "count_loss", mask)
    chosen = jax.nn.one_hot(labels, y.shape[-1], dtype=y.dtype)
    return jnp.square(pool_steps(y, there) - wrong - (correct - wrong) * chosen).mean(axis=-1)


def count_cross_entropy(
    spikes: jax.Array, labels: jax.Array, *, mask: jax.Array | None = None
) -> jax.Array:
    """The cross entropy with counts of spikes as logits: -log softmax(sum_t s_t)[label].

    Args:
      spikes: [batch, time, classes].
      labels: int [batch].
      mask: bool [batch, time], the steps that count, or None where all do.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, and for other shapes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.count_cross_entropy(jnp.zeros((1, 3, 2)), jnp.array([0]))
    Array([0.6931472], dtype=float32)
    """
    y, _ = _told(spikes, labels, "count_cross_entropy", mask)
    return optax.softmax_cross_entropy_with_integer_labels(y.sum(axis=1), labels)


def membrane_loss(
    membrane: jax.Array,
    labels: jax.Array,
    *,
    over: str = "mean",
    mask: jax.Array | None = None,
) -> jax.Array:
    """The cross entropy with membranes as logits, taken over time in one of three ways.

    "mean": of the mean over time; "max": of the maximum; "each": the mean of that of each step.

    Args:
      membrane: [batch, time, classes], of a `leaky_integrator`, or of neurons with membrane=True.
      labels: int [batch].
      over: one of the three.
      mask: bool [batch, time], the steps that count, or None where all do.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, for other shapes, and for another `over`.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.membrane_loss(jnp.zeros((1, 3, 2)), jnp.array([0]), over="each")
    Array([0.6931472], dtype=float32)
    """
    check_choice(over, "membrane_loss: over", MEMBRANES)
    y, there = _told(membrane, labels, "membrane_loss", mask)
    entropy = optax.softmax_cross_entropy_with_integer_labels
    if over == "each":
        every = jnp.broadcast_to(labels[:, None], y.shape[:2])
        return pool_steps(entropy(y, every)[..., None], there)[:, 0]
    return entropy(pool_steps(y, there, over), labels)


def first_spikes(spikes: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The step of each neuron's first spike, or time: sum_t prod_{k <= t} (1 - s_k).

    As a sum of products it has a gradient: a spike sooner takes off the steps that it saves.

    Args:
      spikes: 0 or 1 in [batch, time, ...].
      mask: bool [batch, time], the steps that count, or None where all do; time is their number.

    Returns:
      [batch, ...], in float32 at least.

    Raises:
      ValueError: for no steps.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.first_spikes(jnp.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])).tolist()
    [[1.0, 3.0]]
    """
    y, there = _masked(core.at_least_float32(_steps(spikes, "first_spikes")), mask)
    left = jnp.cumprod(1 - y, axis=1)
    return (left if there is None else zero_masked(left, there)).sum(axis=1)


def latency_loss(
    spikes: jax.Array,
    labels: jax.Array,
    *,
    scale: float = 1.0,
    mask: jax.Array | None = None,
) -> jax.Array:
    """The cross entropy with haste as logits: -log softmax(-scale first_spikes)[label].

    Args:
      spikes: [batch, time, classes].
      labels: int [batch].
      scale: logits a step, above 0.
      mask: bool [batch, time], the steps that count, or None where all do.

    Returns:
      [batch].

    Raises:
      ValueError: for no steps, for other shapes, and for a scale that is not above 0.

    (Mostafa, Supervised learning based on temporal coding in spiking neural networks, 2018.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> spikes = jnp.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> nn.spiking.latency_loss(spikes, jnp.array([0]))
    Array([0.12692805], dtype=float32)
    """
    scale = float(check_number(scale, "latency_loss: scale", above=0))
    y, there = _told(spikes, labels, "latency_loss", mask)
    return optax.softmax_cross_entropy_with_integer_labels(-scale * first_spikes(y, there), labels)


def spike_penalty(
    spikes: Any, *, most: float = 0.0, least: float = 0.0, mask: jax.Array | None = None
) -> jax.Array:
    """What neurons pay for spiking more often than `most`, or less often than `least`.

    sum over layers of the mean over rows and neurons of max(0, r - most)^2 + max(0, least - r)^2,
    with r the spikes a step of one neuron in one row

    Args:
      spikes: [batch, time, ...], or a pytree of such, one for each layer.
      most, least: spikes a step, in [0, 1].
      mask: bool [batch, time], the steps that count, or None where all do.

    Raises:
      ValueError: for no steps, and for bounds outside [0, 1].

    (Zenke and Vogels, The remarkable robustness of surrogate gradient learning, 2021.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.spike_penalty((jnp.ones((1, 2, 3)),), most=0.5).tolist()
    0.25
    """
    for bound, what in ((most, "most"), (least, "least")):
        check_number(bound, f"spike_penalty: {what}, spikes a step,", least=0, most=1)
    if not jax.tree.leaves(spikes):
        raise ValueError("spike_penalty takes spikes [batch, time, ...], got none.")
    total = jnp.zeros((), core.param_dtype(spikes))
    for leaf in jax.tree.leaves(spikes):
        y, there = _masked(core.at_least_float32(_steps(leaf, "spike_penalty")), mask)
        rate = pool_steps(y.reshape(*y.shape[:2], -1), there)
        over, under = jnp.maximum(rate - most, 0), jnp.maximum(least - rate, 0)
        total = total + jnp.mean(jnp.square(over) + jnp.square(under))
    return total


def _steps(y: Any, title: str) -> Any:
    """y, which must have steps."""
    if core.check_features(y, title).ndim < 3 or y.shape[1] == 0:
        raise ValueError(
            f"{title} takes [batch, time, ...] of at least one step, got {core.describe(y)}."
        )
    return y


def _masked(y: Any, mask: Any) -> tuple[Any, Any]:
    """y with zeros at the steps that do not count, and which do: None where all do."""
    if mask is None:
        return y, None
    y, there = split_mask((y, mask))
    return zero_masked(y, there), there


def _told(y: Any, labels: Any, title: str, mask: Any) -> tuple[Any, Any]:
    """y, which must have one label a row, in float32 at least, and its mask."""
    kind = getattr(labels, "dtype", None)
    whole = kind is not None and jnp.issubdtype(kind, jnp.integer)
    if not whole or _steps(y, title).ndim != 3 or labels.shape != y.shape[:1]:
        raise ValueError(
            f"{title} takes [batch, time, classes] and labels int [batch], got "
            f"{core.describe(y)} and {core.describe(labels)}."
        )
    check_labels(labels, y.shape[-1], title)
    return _masked(core.at_least_float32(y), mask)
