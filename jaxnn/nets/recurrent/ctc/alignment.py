"""The most likely alignment of a sequence with its labels."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.nets.recurrent.ctc.decoding import NEVER, bounded_log_softmax
from jaxnn.nets.recurrent.ctc.labels import check_labels, check_logits


def align(logits: jax.Array, labels: jax.Array, lengths: Any = None) -> tuple[jax.Array, jax.Array]:
    """The most likely alignment that spells the labels: which label is at which step.

    Args:
      logits: floating point [batch, time, classes].
      labels: integers [batch, most], with zeros or negative numbers after the last label.
      lengths: the number of valid steps of each row, int [batch]; by default all.

    Returns:
      (index, log probability): for each step the index of its label in `labels`, or -1 at blanks
      and padding, int32 [batch, time]; and the log probability of the alignment [batch], of float32
      at least. If no alignment spells the labels, they are -1 everywhere and -inf.

    Raises:
      TypeError: if the logits are not floating point, or if the labels are not integers.
      ValueError: if a shape is wrong, if a label is out of range, or if one follows padding; values
        are checked only outside `jax.jit`.

    (Viterbi, Error bounds for convolutional codes, 1967, over the states of Graves et al., 2006.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> logits = 9 * jax.nn.one_hot(jnp.array([[0, 3, 3, 0, 3, 5]]), 6)
    >>> index, log_probability = nn.ctc.align(logits, jnp.array([[3, 3, 5]]))
    >>> index.tolist()
    [[-1, 0, 0, -1, 1, 2]]
    """
    logits, mask = check_logits(logits, lengths, "ctc.align")
    check_labels(labels, logits.shape[0], "ctc.align", logits.shape[2])
    labels = jnp.maximum(labels, 0)
    states = 2 * labels.shape[1] + 1  # a blank before each label, and one after the last
    index = jnp.arange(states)

    def align_row(log_probabilities, labels, mask):
        classes = jnp.zeros((states,), jnp.int32).at[1::2].set(labels.astype(jnp.int32))
        # A path may skip the blank between two labels, unless they are equal.
        may_skip = (index % 2 == 1) & (classes != jnp.roll(classes, 2)) & (index > 1)

        def step(score, inputs):
            log_probability, valid = inputs
            from_before = jnp.pad(score, (1, 0), constant_values=NEVER)[:-1]
            from_two = jnp.pad(score, (2, 0), constant_values=NEVER)[:-2]
            scores = jnp.stack([score, from_before, jnp.where(may_skip, from_two, NEVER)])
            gain = log_probability.at[classes].get(mode="fill", fill_value=NEVER)
            after = scores.max(axis=0) + gain
            back = jnp.where(valid, jnp.argmax(scores, axis=0), 0).astype(jnp.int32)
            return jnp.where(valid, after, score), back

        # Every path starts in the first blank, which may last for no step at all.
        start = jnp.full((states,), NEVER, log_probabilities.dtype).at[0].set(0)
        score, back = jax.lax.scan(step, start, (log_probabilities, mask))
        end = 2 * jnp.count_nonzero(labels).astype(jnp.int32)
        before = jnp.maximum(end - 1, 0)
        state = jnp.where(score[end] >= score[before], end, before)

        def trace(state, back):
            return state - back[state], state

        _, path = jax.lax.scan(trace, state, back, reverse=True)
        best = score[state]
        at_label = mask & (path % 2 == 1) & (best > NEVER / 2)
        total = jnp.where(best > NEVER / 2, best, -jnp.inf)
        return jnp.where(at_label, path // 2, -1).astype(jnp.int32), total

    return jax.vmap(align_row)(bounded_log_softmax(logits), labels, mask)
