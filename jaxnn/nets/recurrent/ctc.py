"""Connectionist temporal classification: labels of a sequence, and no word on where each stands.

At each step a net puts out logits over the labels and a blank, class 0. An alignment names a class
for each step; equal neighbours are one label, and blanks part two equal ones and are left out:
0 3 3 0 3 5 says 3 3 5. A target has the probability of all alignments that say it. Labels are kept
int32 [batch, most], zeros after the last, so that `labels == 0` is their padding. The loss is
optax's, a number a row:

    optax.ctc_loss(logits, 1.0 - nn.length_mask(lengths, time), labels, 1.0 * (labels == 0))

For a target that no alignment can say it is about 1e5, and its gradient is of no use: `ctc_labels`
refuses such rows before training.

(Graves et al., Connectionist temporal classification: labelling unsegmented sequence data with
recurrent neural networks, 2006.)
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.arguments import check_public
from jaxnn.sequences.masks import length_mask

NEVER = -1e30  # the logarithm of no chance; sums of it over all steps are still finite


def pack_labels(
    labels: Sequence, lengths: Sequence[int], *, classes: int, most: int | None = None
) -> np.ndarray:
    """Checks the labels of each row and pads them to one number; on the host, before training.

    n labels, of which r equal the one before, need n + r steps: a blank parts two equal ones.

    Args:
      labels: for each row integers in [1, classes); a row may have none.
      lengths: steps of the net's output for each row.
      classes: how many there are, with the blank.
      most: labels a row; by default as many as the longest has.

    Returns:
      int32 [rows, most], zeros after the last label of a row.

    Raises:
      ValueError: for a label out of range, more labels than `most`, or more than fit into the
        steps of their row; names the row.

    >>> import jaxnn as nn
    >>> nn.ctc.pack_labels([[3, 3, 5], [2]], [4, 2], classes=6).tolist()
    [[3, 3, 5], [2, 0, 0]]
    """
    classes = core.check_int(classes, "ctc_labels: classes", 2)
    held = [np.asarray(each).reshape(-1) for each in labels]
    room = max([len(each) for each in held] + [1])
    room = room if most is None else core.check_int(most, "ctc_labels: most")
    packed = np.zeros((len(held), room), np.int32)
    for row, (each, steps) in enumerate(zip(held, lengths, strict=True)):
        whole = each.dtype.kind in "iu" or not each.size
        if not (whole and ((each > 0) & (each < classes)).all()):
            raise ValueError(
                f"row {row} has the labels {each.tolist()}: give integers in [1, {classes}), for 0 "
                "is the blank."
            )
        if len(each) > room:
            raise ValueError(f"row {row} has {len(each)} labels, more than most={room}: raise it.")
        repeats = int((each[1:] == each[:-1]).sum())
        if len(each) + repeats > steps:
            raise ValueError(
                f"row {row} has {len(each)} labels, {repeats} of them equal to the one before, and "
                f"{int(steps)} steps, where {len(each) + repeats} are needed: leave it out, or "
                "shorten time less."
            )
        packed[row, : len(each)] = each
    return packed


def greedy(logits: jax.Array, lengths: Any = None) -> jax.Array:
    """The labels that the likeliest alignment says, the largest logit of each step by itself.

    Args:
      logits: [batch, time, classes].
      lengths: int [batch], steps that count; all by default.

    Returns:
      int32 [batch, time], zeros after the last label.

    Raises:
      ValueError: for other shapes.

    >>> import jax, jaxnn as nn
    >>> logits = jax.nn.one_hot(jax.numpy.array([[0, 3, 3, 0, 3, 5]]), 6)
    >>> nn.ctc.greedy(logits).tolist()
    [[3, 3, 5, 0, 0, 0]]
    """
    logits, mask = _steps(logits, lengths, "ctc_greedy")
    best = jnp.where(mask, jnp.argmax(logits, axis=-1), 0).astype(jnp.int32)
    before = jnp.pad(best, ((0, 0), (1, 0)))[:, :-1]
    said = (best != 0) & (best != before)
    place = jnp.where(said, jnp.cumsum(said, axis=1) - 1, best.shape[1])  # or out of the row

    def row(best, place):
        return jnp.zeros_like(best).at[place].set(best, mode="drop")

    return jax.vmap(row)(best, place)


def beam_search(
    logits: jax.Array, lengths: Any = None, *, beams: int = 16
) -> tuple[jax.Array, jax.Array]:
    """The likeliest labels over all their alignments, by a beam search over prefixes.

    After each step the `beams` likeliest prefixes are kept, each with the probability of the
    alignments that say it and end in a blank, and of those that end in its last label. Alignments
    that fell out of the beam are not counted, so that a wider beam finds no less.

    Args:
      logits: [batch, time, classes].
      lengths: int [batch], steps that count; all by default.
      beams: how many prefixes are kept.

    Returns:
      Labels int32 [batch, beams, time], likeliest first, zeros after the last label; and the
      logarithm of their probability [batch, beams], float32 at least. Where there are fewer
      labellings than beams, the others are empty with -inf.

    Raises:
      ValueError: for other shapes.

    (Graves, Sequence transduction with recurrent neural networks, 2012; prefixes merged as in
    Hannun et al., First-pass large vocabulary continuous speech recognition, 2014.)

    >>> import jax, jaxnn as nn
    >>> logits = jax.numpy.log(jax.numpy.array([[[0.6, 0.4], [0.6, 0.4]]]))
    >>> nn.ctc.greedy(logits).tolist()  # 0 0 alone has 0.36
    [[0, 0]]
    >>> labels, chance = nn.ctc.beam_search(logits, beams=2)  # 0 1, 1 0 and 1 1 have 0.64
    >>> labels[0, 0].tolist(), round(float(jax.numpy.exp(chance[0, 0])), 2)
    ([1, 0], 0.64)
    """
    logits, mask = _steps(logits, lengths, "ctc_beam")
    beams = core.check_int(beams, "ctc_beam: beams")
    chances = _log_softmax(logits)
    time, classes = logits.shape[1:]

    def row(chances, mask):
        def step(memory, at):
            chance, there = at
            after = _grow(memory, chance, beams, classes)
            return jax.tree.map(lambda a, b: jnp.where(there, a, b), after, memory), None

        none = jnp.full((beams,), NEVER, chances.dtype)
        start = (
            jnp.zeros((beams, time), jnp.int32),  # the prefixes
            jnp.zeros((beams,), jnp.int32),  # how long each is
            none.at[0].set(0),  # of its alignments that end in a blank
            none,  # of those that end in its last label
        )
        (labels, _, blank, label), _ = jax.lax.scan(step, start, (chances, mask))
        total = jnp.logaddexp(blank, label)
        live = total > NEVER / 2
        return jnp.where(live[:, None], labels, 0), jnp.where(live, total, -jnp.inf)

    return jax.vmap(row)(chances, mask)


def _grow(memory, chance, beams, classes):
    """The likeliest prefixes after one more step, whose classes have these chances."""
    labels, length, blank, label = memory
    total, each = jnp.logaddexp(blank, label), jnp.arange(beams, dtype=jnp.int32)
    last = jnp.where(length > 0, labels[each, jnp.maximum(length - 1, 0)], 0)
    # A label after itself begins anew only where a blank parts the two.
    repeated = last[:, None] == jnp.arange(classes, dtype=jnp.int32)[None]
    longer = jnp.where(repeated, blank[:, None], total[:, None]) + chance[None]
    # Where prefix i is prefix j and one label more, j grown by it is i and no prefix of its own.
    within = jnp.arange(labels.shape[1], dtype=jnp.int32)[None] < (length - 1)[:, None]
    stem = jnp.where(within, labels, 0)
    grown = (stem[:, None] == labels[None]).all(-1) & (length[:, None] == length[None] + 1)
    grown &= (total > NEVER / 2)[:, None]
    gained = jnp.where(grown, longer[:, last].T, NEVER).max(axis=1)
    taken = (grown[:, :, None] & repeated[:, None]).any(axis=0)
    longer = jnp.where(taken, NEVER, longer)
    blank, label = total + chance[0], jnp.logaddexp(label + chance[last], gained)
    label = jnp.where(length > 0, label, NEVER)
    scores = longer.at[:, 0].set(jnp.logaddexp(blank, label))  # not to grow, in the blank's place
    best, index = jax.lax.top_k(scores.ravel(), beams)
    parent, new = index // classes, index % classes
    stays = new == 0
    labels, length = labels[parent], length[parent]
    labels = labels.at[each, jnp.where(stays, labels.shape[1], length)].set(new, mode="drop")
    blank = jnp.where(stays, blank[parent], NEVER)
    label = jnp.where(stays, label[parent], best)
    return (
        labels,
        length + (~stays).astype(length.dtype),
        jnp.maximum(blank, NEVER),
        jnp.maximum(label, NEVER),
    )


def align(logits: jax.Array, labels: jax.Array, lengths: Any = None) -> tuple[jax.Array, jax.Array]:
    """The likeliest of all alignments that say the labels: which label stands at which step.

    Args:
      logits: [batch, time, classes].
      labels: int [batch, most], zeros or negative numbers after the last label.
      lengths: int [batch], steps that count; all by default.

    Returns:
      int32 [batch, time]: the index of the step's label in `labels`, or -1 at blanks and padding;
      and the logarithm of the alignment's probability [batch], float32 at least. Where no
      alignment says the labels, -1 everywhere and -inf.

    Raises:
      TypeError, ValueError: for labels that are not integers, and for other shapes.

    (Viterbi, Error bounds for convolutional codes, 1967, over the states of Graves et al., 2006.)

    >>> import jax, jaxnn as nn
    >>> logits = 9 * jax.nn.one_hot(jax.numpy.array([[0, 3, 3, 0, 3, 5]]), 6)
    >>> nn.ctc.align(logits, jax.numpy.array([[3, 3, 5]]))[0].tolist()
    [[-1, 0, 0, -1, 1, 2]]
    """
    logits, mask = _steps(logits, lengths, "ctc_align")
    _labels(labels, logits.shape[0], "ctc_align", logits.shape[2])
    labels = jnp.maximum(labels, 0)
    states = 2 * labels.shape[1] + 1  # a blank before each label, and one after the last
    which = jnp.arange(states)

    def row(chances, labels, mask):
        said = jnp.zeros((states,), jnp.int32).at[1::2].set(labels.astype(jnp.int32))
        # From one label to the next without a blank between, unless they are equal.
        skips = (which % 2 == 1) & (said != jnp.roll(said, 2)) & (which > 1)

        def step(score, at):
            chance, there = at
            from_before = jnp.pad(score, (1, 0), constant_values=NEVER)[:-1]
            from_two = jnp.pad(score, (2, 0), constant_values=NEVER)[:-2]
            ways = jnp.stack([score, from_before, jnp.where(skips, from_two, NEVER)])
            after = ways.max(axis=0) + chance.at[said].get(mode="fill", fill_value=NEVER)
            back = jnp.where(there, jnp.argmax(ways, axis=0), 0).astype(jnp.int32)
            return jnp.where(there, after, score), back

        # Before the first step stands the first blank, which may last no step at all.
        start = jnp.full((states,), NEVER, chances.dtype).at[0].set(0)
        score, back = jax.lax.scan(step, start, (chances, mask))
        end = 2 * jnp.count_nonzero(labels).astype(jnp.int32)
        before = jnp.maximum(end - 1, 0)
        state = jnp.where(score[end] >= score[before], end, before)

        def trace(state, back):
            return state - back[state], state

        _, path = jax.lax.scan(trace, state, back, reverse=True)
        best = score[state]
        shown = mask & (path % 2 == 1) & (best > NEVER / 2)
        total = jnp.where(best > NEVER / 2, best, -jnp.inf)
        return jnp.where(shown, path // 2, -1).astype(jnp.int32), total

    return jax.vmap(row)(_log_softmax(logits), labels, mask)


def edit_distance(guess: jax.Array, truth: jax.Array) -> jax.Array:
    """How many labels to insert, to delete or to exchange, at least, to make one of the other.

    The error rate of many rows is the sum of their distances over the sum of the truth's lengths,
    (truth != 0).sum().

    Args:
      guess, truth: int [batch, n] and [batch, m], zeros or negative numbers after the last label.

    Returns:
      int32 [batch].

    Raises:
      TypeError, ValueError: for labels that are not integers, and for other shapes.

    (Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals, 1966.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.ctc.edit_distance(jnp.array([[1, 2, 3, 0]]), jnp.array([[2, 3, 4]])).tolist()
    [2]
    """
    _labels(guess, guess.shape[0], "edit_distance")
    _labels(truth, guess.shape[0], "edit_distance")
    guess, truth = (jnp.maximum(labels, 0) for labels in (guess, truth))
    places = jnp.arange(truth.shape[1] + 1, dtype=jnp.int32)

    def row(guess, truth):
        # From what was said so far to each prefix of the truth.
        def step(before, label):
            first = before[:1] + 1
            other = jnp.minimum(before[1:] + 1, before[:-1] + (label != truth).astype(jnp.int32))
            # An insertion costs 1 a place: a running minimum of what is left of it.
            after = jax.lax.cummin(jnp.concatenate([first, other]) - places) + places
            return jnp.where(label != 0, after, before), None

        distances, _ = jax.lax.scan(step, places, guess)
        return distances[jnp.count_nonzero(truth)]

    return jax.vmap(row)(guess, truth)


def _steps(logits: Any, lengths: Any, title: str) -> tuple[jax.Array, jax.Array]:
    """The logits, and the mask [batch, time] of the steps that count."""
    if core.check_features(logits, title).ndim != 3:
        raise ValueError(
            f"{title} takes logits [batch, time, classes], got {core.describe(logits)}."
        )
    batch, time, _ = logits.shape
    if lengths is None:
        return logits, jnp.ones((batch, time), bool)
    if jnp.shape(lengths) != (batch,):
        raise ValueError(
            f"{title} takes one length for each of {batch} rows, got {core.describe(lengths)}."
        )
    return logits, length_mask(lengths, time)


def _labels(labels: Any, rows: int, title: str, classes: int | None = None) -> None:
    """Raises where labels are not [batch, most], where one is no class, or follows padding."""
    if not jnp.issubdtype(jnp.result_type(labels), jnp.integer):
        raise TypeError(f"{title} takes integer labels, got {core.describe(labels)}.")
    if jnp.ndim(labels) != 2 or labels.shape[0] != rows:
        raise ValueError(
            f"{title} takes labels [batch, most] of {rows} rows, got {core.describe(labels)}."
        )
    if core.traced(labels):
        return
    values = np.asarray(labels)
    if classes is not None and (values >= classes).any():
        raise ValueError(f"{title}: {values.max()} is no label of {classes} classes.")
    if ((values[:, :-1] <= 0) & (values[:, 1:] > 0)).any():
        raise ValueError(
            f"{title}: a label follows padding: zeros, or negative numbers, come after the last."
        )


def _log_softmax(logits: jax.Array) -> jax.Array:
    chances = jax.nn.log_softmax(logits.astype(core.param_dtype(logits)))
    return jnp.maximum(chances, NEVER)


__all__ = ["align", "beam_search", "edit_distance", "greedy", "pack_labels"]

check_public(globals(), __all__)
