"""Beam search: the continuations of a prompt that a cell finds most likely, within a beam."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Tree
from jaxnn.sequences.generation import (
    DecodeSpec,
    check_context,
    check_values,
    decode_spec,
    feed,
    is_in,
    prefill,
)


class Beams(NamedTuple):
    """Continuations of each prompt, the best first.

    tokens: int32 [batch, beams, steps], of which lengths [batch, beams] count. scores: [batch,
    beams]; -inf if there are fewer continuations than beams.
    """

    tokens: jax.Array
    lengths: jax.Array
    scores: jax.Array


def beam_search(
    cell: Any,
    params: Tree,
    state: Tree,
    prompt: Any,
    *,
    steps: int,
    beams: int,
    lengths: Any = None,
    stop: int | tuple[int, ...] = (),
    length_penalty: float = 0.6,
    pad: int = 0,
    inputs: Callable | None = None,
    context: Tree = None,
    carry: Tree = None,
) -> Beams:
    """The continuations y of highest score that a beam finds: log p(y | prompt) / ((5 + |y|) /
    6)^penalty.

    At each step the most likely continuations, as many as there are beams, go on. The best of those
    that stopped are kept, and compete at the end with those that have not stopped. A row is done
    when none that goes on can score higher than those kept.

    Args:
      cell: as in `generate`. Beams are run by `jax.vmap` over batches of one row, so that they
        cannot see each other.
      params: as in `generate`.
      state: as in `generate`.
      prompt: as in `generate`.
      steps: as in `generate`.
      beams: the number of continuations that go on at each step.
      lengths: as in `generate`.
      stop: as in `generate`.
      length_penalty: 0 prefers the most likely continuation, larger values longer ones.
      pad: as in `generate`.
      inputs: as in `generate`.
      context: as in `generate`.
      carry: as in `generate`.

    Returns:
      `Beams`, with lengths that include the stop. Scores are NaN if logits are.

    Raises:
      TypeError: as `generate`.
      ValueError: as `generate`.

    (Graves, Sequence transduction with recurrent neural networks, 2012; the penalty: Wu et al.,
    Google's neural machine translation system, 2016.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.serial(nn.embedding(5, 8), nn.lstm(8), nn.dense(5)), jax.numpy.ones((2, 3), int)
    >>> params, state = net.init(jax.random.key(0), x)
    >>> nn.beam_search(net, params, state, x, steps=4, beams=3, stop=0).tokens.shape
    (2, 3, 4)
    """
    beams = core.check_int(beams, "beam_search: beams")
    if not 0 <= length_penalty < math.inf:
        raise ValueError(
            f"beam_search: length_penalty must be finite, 0 or more, got {length_penalty!r}."
        )
    use = decode_spec("beam_search", cell, inputs, prompt, steps, stop, lengths)
    check_context(use, context, prompt)
    given = params, state, context
    if carry is not None:
        carry = _by_rows(use, given, carry, prompt)
    begun = prefill(use, _alone, given, prompt, lengths, carry)
    check_values(use, prompt, lengths, begun[1].shape[-1], pad)
    return _beam_search(use, beams, given, begun, length_penalty, pad)


def _alone(
    use: DecodeSpec, given: Tree, carry: Tree, tokens: jax.Array, mask: Any
) -> tuple[Tree, Any]:
    """As `feed`, each row in a batch of its own: rows lead every leaf of the carry.

    Elsewhere a carry may have its rows on any axis, as that of `repeat` has, or on none.
    """
    *net, context = given

    def one(carry, *row):
        context, tokens, mask = jax.tree.map(lambda leaf: leaf[None], row)
        carry, logits = feed(use, (*net, context), carry, tokens, mask)
        return carry, logits[0]

    return jax.vmap(one)(carry, context, tokens, mask)


def _by_rows(use: DecodeSpec, given: Tree, carry: Tree, prompt: Any) -> Tree:
    """A carry of a batch as those of its rows, one each, with the rows before every leaf.

    The axis of rows in a leaf is the one whose size is another for another number of rows.
    """
    params, _, context = given
    rows = prompt.shape[0]

    def fresh(n):
        def spec(leaf):
            return jax.ShapeDtypeStruct((n, *jnp.shape(leaf)[1:]), jnp.result_type(leaf))

        tokens, context_ = spec(prompt), jax.tree.map(spec, context)
        x = (tokens, jax.ShapeDtypeStruct((n, use.time), bool)) if use.masked else tokens
        if use.inputs is not None:
            x = jax.eval_shape(use.inputs, x, context_)
        return jax.eval_shape(use.cell.carry, params, x)

    def lead(leaf, one, two):
        differ = [i for i in range(leaf.ndim) if one.shape[i] != two.shape[i]]
        if not differ:  # it holds nothing of rows
            return jnp.broadcast_to(leaf, (rows, *leaf.shape))
        return jnp.expand_dims(jnp.moveaxis(leaf, differ[0], 0), differ[0] + 1)

    core.check_same_spec(
        carry, fresh(rows), "beam_search goes on from a carry of its cell and rows"
    )
    return jax.tree.map(lead, carry, fresh(rows), fresh(rows + 1))


@partial(jax.jit, static_argnums=(0, 1))
def _beam_search(
    use: DecodeSpec, beams: int, given: Tree, begun: Any, penalty: Any, pad: Any
) -> Beams:
    carry, logits = begun
    rows, vocabulary = logits.shape
    drawn = min(beams * (1 + len(use.stop)), beams * vocabulary)  # enough, if all stops are there

    def score(total, length):
        return total / ((5 + jnp.asarray(length, total.dtype)) / 6) ** penalty

    def best(*kept):
        both = jax.tree.map(lambda *each: jnp.concatenate(each, axis=1), *kept)
        return _pick(both, jax.lax.top_k(both.scores, beams)[1])

    def grow(i, logits, going, done):
        total = going.scores[..., None] + jax.nn.log_softmax(logits)
        total, at = jax.lax.top_k(total.reshape(rows, -1), drawn)
        parent, token = at // vocabulary, at % vocabulary
        tokens = _pick(going.tokens, parent).at[..., i].set(token)
        lengths = jnp.full(token.shape, i + 1, jnp.int32)
        stopped = is_in(token, use.stop)
        done = best(done, Beams(tokens, lengths, jnp.where(stopped, score(total, i + 1), -jnp.inf)))
        total, chosen = jax.lax.top_k(jnp.where(stopped, -jnp.inf, total), beams)
        token, tokens, lengths, parent = _pick((token, tokens, lengths, parent), chosen)
        return token, parent, Beams(tokens, lengths, total), done

    def body(loop):
        i, carry, token, parent, going, done = loop
        carry = _pick(carry, parent)

        def one(carry, token):
            mask = jnp.ones((rows, 1), bool) if use.masked else None
            return _alone(use, given, carry, token[:, None], mask)

        carry, logits = jax.vmap(one, in_axes=1, out_axes=1)(carry, token)
        return i + 1, carry, *grow(i, logits[:, :, 0], going, done)

    def unfinished(loop):
        i, *_, going, done = loop
        hope = score(going.scores.max(axis=1), use.steps)  # no longer one can score higher
        return (i < use.steps) & (hope > done.scores.min(axis=1)).any()

    blank = jnp.full((rows, beams, use.steps), pad, jnp.int32), jnp.zeros((rows, beams), jnp.int32)
    none = jnp.full((rows, beams), -jnp.inf, logits.dtype)
    carry, logits = jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], beams, 1), (carry, logits))
    start = Beams(*blank, none.at[:, 0].set(0.0)), Beams(*blank, none)
    loop = jnp.int32(1), carry, *grow(0, logits, *start)
    *_, going, done = jax.lax.while_loop(unfinished, body, loop)
    done = best(done, going._replace(scores=score(going.scores, going.lengths)))
    lengths = jnp.where(jnp.isneginf(done.scores), 0, done.lengths)
    there = jnp.arange(use.steps)[None, None] < lengths[..., None]
    return Beams(jnp.where(there, done.tokens, pad), lengths, done.scores)


def _pick(tree: Tree, index: jax.Array) -> Tree:
    """leaf[row, index[row, i]] at [row, i] of every leaf."""
    return jax.tree.map(lambda leaf: jax.vmap(lambda each, at: each[at])(leaf, index), tree)
