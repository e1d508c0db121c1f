"""Decoding: labels from the logits of each step, greedily or by a beam search over prefixes."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.nets.recurrent.ctc.labels import check_logits

NEVER = -1e30  # the log probability of an impossible event; its sum over all steps stays finite


def greedy(logits: jax.Array, lengths: Any = None) -> jax.Array:
    """The labels of the most likely alignment, which takes the largest logit of each step.

    Args:
      logits: floating point [batch, time, classes].
      lengths: the number of valid steps of each row, int [batch]; by default all.

    Returns:
      Labels, int32 [batch, time], with zeros after the last label.

    Raises:
      TypeError: if the logits are not floating point.
      ValueError: if the logits are not [batch, time, classes], or the lengths not [batch].

    (Graves et al., Connectionist temporal classification, 2006: best path decoding.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> logits = jax.nn.one_hot(jnp.array([[0, 3, 3, 0, 3, 5]]), 6)
    >>> nn.ctc.greedy(logits).tolist()
    [[3, 3, 5, 0, 0, 0]]
    """
    logits, mask = check_logits(logits, lengths, "ctc.greedy")
    best = jnp.where(mask, jnp.argmax(logits, axis=-1), 0).astype(jnp.int32)
    before = jnp.pad(best, ((0, 0), (1, 0)))[:, :-1]
    starts = (best != 0) & (best != before)
    # The position of each label in its row; steps that start no label go out of range.
    position = jnp.where(starts, jnp.cumsum(starts, axis=1) - 1, best.shape[1])

    def pack_row(best, position):
        return jnp.zeros_like(best).at[position].set(best, mode="drop")

    return jax.vmap(pack_row)(best, position)


def beam_search(
    logits: jax.Array, lengths: Any = None, *, beams: int = 16
) -> tuple[jax.Array, jax.Array]:
    """The most likely labels, summed over all their alignments, by a beam search over prefixes.

    After each step the `beams` most likely prefixes are kept, each with two probabilities: of its
    alignments that end in a blank, and of those that end in its last label. Alignments that fell
    out of the beam are not counted, so the result is a lower bound that a wider beam can raise.

    Args:
      logits: floating point [batch, time, classes].
      lengths: the number of valid steps of each row, int [batch]; by default all.
      beams: the number of prefixes to keep.

    Returns:
      (labels, log probability): labels int32 [batch, beams, time], the most likely first, with
      zeros after the last label; and their log probability [batch, beams], of float32 at least. If
      there are fewer labelings than beams, the remaining ones are empty with -inf.

    Raises:
      TypeError: if the logits are not floating point.
      ValueError: if the logits are not [batch, time, classes], the lengths not [batch], or `beams`
        is less than 1.

    (Graves, Sequence transduction with recurrent neural networks, 2012; prefixes merged as in
    Hannun et al., First-pass large vocabulary continuous speech recognition, 2014.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> logits = jnp.log(jnp.array([[[0.6, 0.4], [0.6, 0.4]]]))
    >>> nn.ctc.greedy(logits).tolist()  # the alignment 0 0 alone has 0.36
    [[0, 0]]
    >>> labels, log_probability = nn.ctc.beam_search(logits, beams=2)
    >>> labels[0, 0].tolist()  # 0 1, 1 0 and 1 1 together have 0.64
    [1, 0]
    >>> round(float(jnp.exp(log_probability[0, 0])), 2)
    0.64
    """
    logits, mask = check_logits(logits, lengths, "ctc.beam_search")
    beams = core.check_int(beams, "ctc.beam_search: beams")
    time, classes = logits.shape[1:]

    def search_row(log_probabilities, mask):
        def step(carry, inputs):
            log_probability, valid = inputs
            after = _extend(carry, log_probability, beams, classes)
            return jax.tree.map(lambda new, old: jnp.where(valid, new, old), after, carry), None

        never = jnp.full((beams,), NEVER, log_probabilities.dtype)
        start = (
            jnp.zeros((beams, time), jnp.int32),  # the prefixes
            jnp.zeros((beams,), jnp.int32),  # the length of each
            never.at[0].set(0),  # the log probability of its alignments that end in a blank
            never,  # and of those that end in its last label
        )
        (labels, _, blank, label), _ = jax.lax.scan(step, start, (log_probabilities, mask))
        total = jnp.logaddexp(blank, label)
        possible = total > NEVER / 2
        return jnp.where(possible[:, None], labels, 0), jnp.where(possible, total, -jnp.inf)

    return jax.vmap(search_row)(bounded_log_softmax(logits), mask)


def _extend(carry, log_probability, beams, classes):
    """The most likely prefixes after one more step with these log probabilities of the classes."""
    labels, length, blank, label = carry
    total, beam = jnp.logaddexp(blank, label), jnp.arange(beams, dtype=jnp.int32)
    last = jnp.where(length > 0, labels[beam, jnp.maximum(length - 1, 0)], 0)
    # A label can follow an equal label only if a blank separates them.
    repeated = last[:, None] == jnp.arange(classes, dtype=jnp.int32)[None]
    longer = jnp.where(repeated, blank[:, None], total[:, None]) + log_probability[None]
    # If prefix i is prefix j with one more label, the extension of j is i and no new prefix.
    within = jnp.arange(labels.shape[1], dtype=jnp.int32)[None] < (length - 1)[:, None]
    stem = jnp.where(within, labels, 0)
    extends = (stem[:, None] == labels[None]).all(-1) & (length[:, None] == length[None] + 1)
    extends &= (total > NEVER / 2)[:, None]
    gained = jnp.where(extends, longer[:, last].T, NEVER).max(axis=1)
    merged = (extends[:, :, None] & repeated[:, None]).any(axis=0)
    longer = jnp.where(merged, NEVER, longer)
    blank = total + log_probability[0]
    label = jnp.logaddexp(label + log_probability[last], gained)
    label = jnp.where(length > 0, label, NEVER)
    # Column 0, the blank's, holds the score of the unchanged prefix.
    scores = longer.at[:, 0].set(jnp.logaddexp(blank, label))
    best, index = jax.lax.top_k(scores.ravel(), beams)
    parent, new = index // classes, index % classes
    unchanged = new == 0
    labels, length = labels[parent], length[parent]
    labels = labels.at[beam, jnp.where(unchanged, labels.shape[1], length)].set(new, mode="drop")
    blank = jnp.where(unchanged, blank[parent], NEVER)
    label = jnp.where(unchanged, label[parent], best)
    return (
        labels,
        length + (~unchanged).astype(length.dtype),
        jnp.maximum(blank, NEVER),
        jnp.maximum(label, NEVER),
    )


def bounded_log_softmax(logits: jax.Array) -> jax.Array:
    """The log probabilities, in float32 at least and not below `NEVER`."""
    return jnp.maximum(jax.nn.log_softmax(logits.astype(core.param_dtype(logits))), NEVER)
