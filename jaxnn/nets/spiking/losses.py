"""Losses on spike counts, membranes and latencies; the rate of spikes, and a penalty on it.

A loss maps (y, labels) to one number for each row, as `training.supervised` takes it, with y
[batch, time, classes] and labels int [batch] in [0, classes); `nn.ignore_label` leaves out rows by
their label. If steps are padding, mask=bool [batch, time] says which count: `unroll` returns zeros
for the others, which would lower every rate.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxnn import core
from jaxnn.checks import check_choice, check_labels, check_number
from jaxnn.sequences.masks import check_mask, pool_steps, zero_masked

OVER_TIME = "mean", "max", "each"


def count_loss(
    spikes: jax.Array,
    labels: jax.Array,
    *,
    correct: float = 0.8,
    wrong: float = 0.05,
    mask: jax.Array | None = None,
) -> jax.Array:
    """The squared error of spike rates: mean over classes of (1/time sum_t s_t - target)^2.

    Args:
      spikes: floats [batch, time, classes], the spikes of one neuron for each class.
      labels: int [batch].
      correct: the target rate of the label's neuron, in spikes per step.
      wrong: the target rate of the other neurons, in spikes per step.
      mask: bool [batch, time], the steps that count, or None if all do.

    Returns:
      [batch], in float32 at least.

    Raises:
      TypeError: if spikes are not floating point.
      ValueError: if there are no steps, if shapes do not agree, if a label is out of range, or if a
        target is outside [0, 1].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> spikes = jnp.array([[[1.0, 0.0], [1.0, 1.0]]])
    >>> nn.spiking.count_loss(spikes, jnp.array([0]), correct=1.0, wrong=0.0).tolist()
    [0.125]
    """
    for target, what in ((correct, "correct"), (wrong, "wrong")):
        check_number(target, f"count_loss: {what}, spikes per step,", least=0, most=1)
    y, mask = _check_labeled(spikes, labels, "count_loss", mask)
    is_label = jax.nn.one_hot(labels, y.shape[-1], dtype=y.dtype)
    return jnp.square(pool_steps(y, mask) - wrong - (correct - wrong) * is_label).mean(axis=-1)


def count_cross_entropy(
    spikes: jax.Array, labels: jax.Array, *, mask: jax.Array | None = None
) -> jax.Array:
    """The cross entropy with spike counts as logits: -log softmax(sum_t s_t)[label].

    Args:
      spikes: floats [batch, time, classes].
      labels: int [batch].
      mask: bool [batch, time], the steps that count, or None if all do.

    Returns:
      [batch], in float32 at least.

    Raises:
      TypeError: if spikes are not floating point.
      ValueError: if there are no steps, if shapes do not agree, or if a label is out of range.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.count_cross_entropy(jnp.zeros((1, 3, 2)), jnp.array([0]))
    Array([0.6931472], dtype=float32)
    """
    y, _ = _check_labeled(spikes, labels, "count_cross_entropy", mask)
    return optax.softmax_cross_entropy_with_integer_labels(y.sum(axis=1), labels)


def membrane_loss(
    membrane: jax.Array,
    labels: jax.Array,
    *,
    over: str = "mean",
    mask: jax.Array | None = None,
) -> jax.Array:
    """The cross entropy with membranes as logits, -log softmax(u)[label], reduced over time.

    Args:
      membrane: floats [batch, time, classes], of a `leaky_integrator`, or of neurons with
        membrane=True.
      labels: int [batch].
      over: "mean" for the cross entropy of the mean of u over time, "max" for that of its maximum,
        "each" for the mean over time of the cross entropy of each step.
      mask: bool [batch, time], the steps that count, or None if all do.

    Returns:
      [batch], in float32 at least.

    Raises:
      TypeError: if membranes are not floating point.
      ValueError: if there are no steps, if shapes do not agree, if a label is out of range, or if
        over is unknown.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.membrane_loss(jnp.zeros((1, 3, 2)), jnp.array([0]), over="each")
    Array([0.6931472], dtype=float32)
    """
    check_choice(over, "membrane_loss: over", OVER_TIME)
    y, mask = _check_labeled(membrane, labels, "membrane_loss", mask)
    entropy = optax.softmax_cross_entropy_with_integer_labels
    if over == "each":
        repeated = jnp.broadcast_to(labels[:, None], y.shape[:2])
        return pool_steps(entropy(y, repeated)[..., None], mask)[:, 0]
    return entropy(pool_steps(y, mask, over), labels)


def first_spikes(spikes: jax.Array, mask: jax.Array | None = None) -> jax.Array:
    """The step of each neuron's first spike, or time if it does not spike.

    sum_t prod_{k <= t} (1 - s_k)

    As a sum of products it has a gradient: an earlier spike removes the steps that it saves.

    Args:
      spikes: 0 or 1 as floats, [batch, time, ...].
      mask: bool [batch, time], the steps that count, or None if all do; time is their number.

    Returns:
      [batch, ...], in float32 at least.

    Raises:
      TypeError: if spikes are not floating point.
      ValueError: if there are no steps, or if the mask is not bool [batch, time].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.first_spikes(jnp.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])).tolist()
    [[1.0, 3.0]]
    """
    y, mask = _masked(
        core.at_least_float32(_check_steps(spikes, "first_spikes")), mask, "first_spikes"
    )
    silent = jnp.cumprod(1 - y, axis=1)
    return (silent if mask is None else zero_masked(silent, mask)).sum(axis=1)


def latency_loss(
    spikes: jax.Array,
    labels: jax.Array,
    *,
    scale: float = 1.0,
    mask: jax.Array | None = None,
) -> jax.Array:
    """The cross entropy with earliness as logits: -log softmax(-scale first_spikes)[label].

    Args:
      spikes: floats [batch, time, classes].
      labels: int [batch].
      scale: logits per step, above 0.
      mask: bool [batch, time], the steps that count, or None if all do.

    Returns:
      [batch], in float32 at least.

    Raises:
      TypeError: if spikes are not floating point.
      ValueError: if there are no steps, if shapes do not agree, if a label is out of range, or if
        scale is not above 0.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> spikes = jnp.array([[[1.0, 0.0], [0.0, 0.0]]])
    >>> nn.spiking.latency_loss(spikes, jnp.array([0]))
    Array([0.12692805], dtype=float32)

    (Mostafa, Supervised learning based on temporal coding in spiking neural networks, 2018.)
    """
    scale = float(check_number(scale, "latency_loss: scale", above=0))
    y, mask = _check_labeled(spikes, labels, "latency_loss", mask)
    return optax.softmax_cross_entropy_with_integer_labels(-scale * first_spikes(y, mask), labels)


def spike_penalty(
    spikes: Any, *, most: float = 0.0, least: float = 0.0, mask: jax.Array | None = None
) -> jax.Array:
    """A penalty on neurons that spike more often than `most`, or less often than `least`.

    sum over layers of the mean over rows and neurons of max(0, r - most)^2 + max(0, least - r)^2,
    where r is the rate of one neuron in one row, in spikes per step

    Args:
      spikes: floats [batch, time, ...], or a pytree of such arrays, one for each layer.
      most: the highest rate without a penalty, in [0, 1].
      least: the lowest rate without a penalty, in [0, 1].
      mask: bool [batch, time], the steps that count, or None if all do.

    Returns:
      A scalar, in float32 at least.

    Raises:
      TypeError: if spikes are not floating point.
      ValueError: if there are no spikes or no steps, or if a bound is outside [0, 1].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.spike_penalty((jnp.ones((1, 2, 3)),), most=0.5).tolist()
    0.25

    (Zenke and Vogels, The remarkable robustness of surrogate gradient learning, 2021.)
    """
    for bound, what in ((most, "most"), (least, "least")):
        check_number(bound, f"spike_penalty: {what}, spikes per step,", least=0, most=1)
    if not jax.tree.leaves(spikes):
        raise ValueError("spike_penalty takes spikes [batch, time, ...], got none.")
    total = jnp.zeros((), core.param_dtype(spikes))
    for leaf in jax.tree.leaves(spikes):
        wide = core.at_least_float32(_check_steps(leaf, "spike_penalty"))
        y, steps = _masked(wide, mask, "spike_penalty")
        rate = pool_steps(y.reshape(*y.shape[:2], -1), steps)
        over, under = jnp.maximum(rate - most, 0), jnp.maximum(least - rate, 0)
        total = total + jnp.mean(jnp.square(over) + jnp.square(under))
    return total


def spike_rate(spikes: Any, mask: Any = None) -> jax.Array:
    """The mean number of spikes per neuron and step, over all leaves together.

    Args:
      spikes: floats [batch, time, ...], or a pytree of such arrays.
      mask: bool [batch, time], the steps that count, or None if all do.

    Returns:
      A scalar, in float32 at least; NaN if there are no steps.

    Raises:
      TypeError: if spikes are not floating point.
      ValueError: if there are no spikes, if they are not [batch, time, ...], or if the mask is not
        bool [batch, time].

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.spike_rate((jnp.ones((1, 2, 3)), jnp.zeros((1, 2, 1)))).tolist()
    0.75
    """
    leaves = jax.tree.leaves(spikes)
    for leaf in leaves:
        if core.check_features(leaf, "spike_rate").ndim < 2:
            raise ValueError(f"spike_rate takes [batch, time, ...], got {core.describe(leaf)}.")
    if not leaves:
        raise ValueError("spike_rate takes spikes [batch, time, ...], got none.")
    total, count = jnp.float32(0), jnp.float32(0)
    for leaf in core.at_least_float32(leaves):
        leaf, valid = _masked(leaf, mask, "spike_rate")
        neurons = math.prod(leaf.shape[2:])
        steps = leaf.shape[0] * leaf.shape[1] if valid is None else valid.sum()
        total, count = total + leaf.sum(), count + jnp.asarray(steps, jnp.float32) * neurons
    return total / count.astype(total.dtype)


def _check_steps(y: Any, title: str) -> Any:
    """y, which must be floats [batch, time, ...] of at least one step."""
    if core.check_features(y, title).ndim < 3 or y.shape[1] == 0:
        raise ValueError(
            f"{title} takes [batch, time, ...] of at least one step, got {core.describe(y)}."
        )
    return y


def _masked(y: Any, mask: Any, title: str) -> tuple[Any, Any]:
    """y with zeros at the steps that do not count, and the mask; None if all count."""
    if mask is None:
        return y, None
    mask = check_mask(mask, y, title)
    return zero_masked(y, mask), mask


def _check_labeled(y: Any, labels: Any, title: str, mask: Any) -> tuple[Any, Any]:
    """y, which must have one label for each row, in float32 at least, and its mask."""
    dtype = getattr(labels, "dtype", None)
    integers = dtype is not None and jnp.issubdtype(dtype, jnp.integer)
    if not integers or _check_steps(y, title).ndim != 3 or labels.shape != y.shape[:1]:
        raise ValueError(
            f"{title} takes [batch, time, classes] and labels int [batch], got "
            f"{core.describe(y)} and {core.describe(labels)}."
        )
    check_labels(labels, y.shape[-1], title)
    return _masked(core.at_least_float32(y), mask, title)
