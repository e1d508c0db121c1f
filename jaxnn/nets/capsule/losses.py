"""The losses of capsule networks, for vector capsules and for matrix capsules."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number


def margin_loss(
    lengths: jax.Array,
    labels: jax.Array,
    *,
    m_plus: float = 0.9,
    m_minus: float = 0.1,
    down_weight: float = 0.5,
) -> jax.Array:
    """The margin loss of capsule lengths: long for the class of the label, short for the others.

    sum_k T_k max(0, m_plus - |v_k|)^2 + down_weight (1 - T_k) max(0, |v_k| - m_minus)^2, averaged
    over rows, where T_k is 1 for the label and 0 for the others.

    Args:
      lengths: |v_k|, floats [batch, classes], such as the output of `capsule_lengths`.
      labels: integers [batch]; a row whose label is outside of the classes has none of them, and
        all its lengths are reduced.
      m_plus: the length above which the capsule of the label has no loss.
      m_minus: the length below which the other capsules have no loss.
      down_weight: the weight of the other capsules.

    Returns:
      A float [], in float32 at least.

    Raises:
      TypeError: if m_plus, m_minus or down_weight is not a number.
      ValueError: if labels is not one integer per row.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017, equation 4.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.capsule.margin_loss(jnp.array([[0.9, 0.3]]), jnp.array([0])):.3f}"
    '0.020'
    """
    lengths = core.at_least_float32(lengths)
    is_label = one_hot_labels(lengths, labels, "margin_loss")
    settings = {"m_plus": m_plus, "m_minus": m_minus, "down_weight": down_weight}
    upper, lower, weight = (
        jnp.asarray(check_number(value, f"margin_loss: {title}"), lengths.dtype)
        for title, value in settings.items()
    )
    too_short = is_label * jax.nn.relu(upper - lengths) ** 2
    too_long = (1 - is_label) * jax.nn.relu(lengths - lower) ** 2
    return jnp.mean(jnp.sum(too_short + weight * too_long, axis=-1))


def spread_loss(activations: jax.Array, labels: jax.Array, margin: Any = 0.9) -> jax.Array:
    """The spread loss of activations: the other classes at least a margin below that of the label.

    sum_{i != t} max(0, margin - (a_t - a_i))^2, averaged over rows, where t is the label.

    Args:
      activations: a, floats [batch, classes], such as those of `matrix_capsules`.
      labels: integers [batch]; a row whose label is outside of the classes has a_t = 0, and all its
        activations are reduced.
      margin: a number or scalar array. The paper raises it from 0.2 to 0.9 in training, which
        avoids dead capsules.

    Returns:
      A float [], in float32 at least.

    Raises:
      TypeError: if activations or labels is not an array.
      ValueError: if labels is not one integer per row.

    (Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018, equation 3.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.capsule.spread_loss(jnp.array([[0.9, 0.2, 0.0]]), jnp.array([0])):.3f}"
    '0.040'
    """
    activations = core.at_least_float32(activations)
    is_label = one_hot_labels(activations, labels, "spread_loss")
    of_label = jnp.sum(is_label * activations, axis=-1, keepdims=True)
    excess = (1 - is_label) * jax.nn.relu(margin - (of_label - activations))
    return jnp.mean(jnp.sum(excess**2, axis=-1))


def one_hot_labels(scores: jax.Array, labels: jax.Array, title: str) -> jax.Array:
    """1 for the label of each row and 0 for the other classes, in the shape of scores."""
    if labels.shape != scores.shape[:-1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"{title} takes one integer label per row, got {core.describe(labels)} for "
            f"{core.describe(scores)}: give labels {list(scores.shape[:-1])} of class indices."
        )
    return jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)
