"""Generation: tokens drawn one by one from any cell that returns logits.

The prompt enters as one chunk and each new token as a chunk of one step, so that the same function
serves a cached transformer, an LSTM and every other cell: its carry is never inspected. It is
compiled once for the shapes that it is given, by itself or within the caller's `jax.jit`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core
from jaxnn.core import Cell, Tree
from jaxnn.sequences.masks import length_mask


class Generated(NamedTuple):
    """Tokens int32 [batch, steps] after the prompt, and how many of them count, [batch]."""

    tokens: jax.Array
    lengths: jax.Array


def generate(
    cell: Any,
    params: Tree,
    state: Tree,
    prompt: Any,
    *,
    steps: int,
    lengths: Any = None,
    key: Any = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | tuple[int, ...] = (),
    pad: int = 0,
    inputs: Callable | None = None,
    context: Tree = None,
    carry: Tree = None,
) -> Generated:
    """Draws tokens one after another, y_t ~ softmax(logits(prompt, y_1 .. y_t-1) / temperature).

    Args:
      cell: from tokens int [batch, time] to logits [batch, time, vocabulary]; with lengths, from
        (tokens, mask) to (logits, mask), as `stack` makes it. Its attention needs a capacity.
      params: the params of the cell.
      state: the state of the cell, which runs as in evaluation; () if it has none.
      prompt: tokens int [batch, time], padded at the end if lengths are given.
      steps: the largest number of tokens that follow; the loop ends when all rows have stopped.
      lengths: int [batch], the number of tokens of each prompt, at least one.
      key: the random key of the draws; not needed at temperature 0.
      temperature: of the draws; 0 takes the most likely token.
      top_k: the number of most likely tokens that are drawn from, see `keep_top_k`.
      top_p: the probability of the most likely tokens that are drawn from, see `keep_top_p`.
      stop: the token or tokens that end a row; they count.
      pad: the token that fills a row after its stop.
      inputs: (tokens, context) -> x, which makes the input of a cell that needs more than tokens.
        Pass the same function again: for a new one everything is compiled again.
      context: arrays [batch, ...] for inputs, such as the output of an encoder.
      carry: the carry of the cell after what came before the prompt; a fresh one by default.

    Returns:
      `Generated`. If logits are NaN, as they are beyond the capacity of a cache and after tokens
      that `embedding` does not know, a row ends with the token -1.

    Raises:
      TypeError: if the cell is not a cell, or the prompt or the lengths are not integers.
      ValueError: if a prompt is empty, padded at the front, or has a length outside [1, time] or a
        token outside the vocabulary (values that are traced are not checked); if the steps do not
        fit the cell, to which prompt and steps are shown as one chunk, so that it may refuse its
        shape; if a key is missing or an argument out of range.

    (Top-k: Fan et al., Hierarchical neural story generation, 2018; top-p: Holtzman et al., The
    curious case of neural text degeneration, 2020.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.serial(nn.embedding(5, 8), nn.lstm(8), nn.dense(5)), jax.numpy.ones((2, 3), int)
    >>> params, state = net.init(jax.random.key(0), x)
    >>> nn.generate(net, params, state, x, steps=4, key=jax.random.key(1)).tokens.shape
    (2, 4)
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(
            f"generate: temperature must be finite, 0 or more, got {temperature!r}: 0 takes the "
            "most likely token."
        )
    if temperature and key is None:
        raise ValueError(
            "generate draws tokens: pass key=jax.random.key(...), or temperature=0 for the most "
            "likely ones."
        )
    top_k = None if top_k is None else core.check_int(top_k, "generate: top_k")
    _share(1.0 if top_p is None else top_p, "generate: top_p")
    use = decode_spec("generate", cell, inputs, prompt, steps, stop, lengths)
    check_context(use, context, prompt)
    given = params, state, context
    begun = prefill(use, feed, given, prompt, lengths, carry)
    check_values(use, prompt, lengths, begun[1].shape[-1], pad)
    draw = (key, temperature, top_p) if temperature else None
    return _generate(use, top_k, given, begun, draw, pad)


def keep_top_k(logits: jax.Array, k: int) -> jax.Array:
    """The k largest logits of the last axis, and -inf for the others.

    Ties with the k-th are kept.

    >>> import jax.numpy as jnp
    >>> keep_top_k(jnp.array([1.0, 3.0, 2.0]), 2).tolist()
    [-inf, 3.0, 2.0]
    """
    if not 1 <= k <= logits.shape[-1]:
        raise ValueError(
            f"top_k must be within [1, {logits.shape[-1]}], the size of the vocabulary, got {k}."
        )
    least = jax.lax.top_k(logits, k)[0][..., -1:]
    return jnp.where(logits >= least, logits, -jnp.inf)


def keep_top_p(logits: jax.Array, p: Any) -> jax.Array:
    """The fewest largest logits whose probabilities sum to p or more, and -inf for the others.

    Ties with the smallest of them are kept.

    >>> import jax.numpy as jnp
    >>> jnp.isfinite(keep_top_p(jnp.log(jnp.array([0.2, 0.5, 0.3])), 0.6)).tolist()
    [False, True, True]
    """
    _share(p, "top_p")
    ordered = jnp.sort(logits, axis=-1, descending=True)
    probability = jax.nn.softmax(ordered, axis=-1)
    before = jnp.cumsum(probability, axis=-1) - probability
    # The first is kept even where p is so small that rounding would drop it.
    needed = (before < p).at[..., 0].set(True)
    least = jnp.where(needed, ordered, jnp.inf).min(axis=-1, keepdims=True)
    return jnp.where(logits >= least, logits, -jnp.inf)


# Running the cell


class DecodeSpec(NamedTuple):
    """What is static for a program: all but arrays."""

    title: str
    cell: Cell
    inputs: Callable | None
    time: int
    steps: int
    stop: tuple[int, ...]
    masked: bool


def decode_spec(title, cell, inputs, prompt, steps, stop, lengths) -> DecodeSpec:
    """Checks what is known before anything is traced; raises TypeError and ValueError."""
    if not isinstance(cell, Cell):
        raise TypeError(
            f"{title} takes a Cell, which remembers the tokens gone by, got {cell!r}: give its "
            "attention a capacity, and leave out unroll."
        )
    for each, what in ((prompt, "a prompt"), (lengths, "lengths")):
        if each is not None and not jnp.issubdtype(getattr(each, "dtype", float), jnp.integer):
            raise TypeError(f"{title} takes {what} of integers, got {core.describe(each)}.")
    if prompt.ndim != 2 or 0 in prompt.shape:
        raise ValueError(
            f"{title} takes a prompt [batch, time] of at least one token, got "
            f"{core.describe(prompt)}: begin with a token that stands for the start."
        )
    if lengths is not None and lengths.shape != prompt.shape[:1]:
        raise ValueError(
            f"{title} takes one length for each of {len(prompt)} rows, got "
            f"{core.describe(lengths)}."
        )
    steps = core.check_int(steps, f"{title}: steps")
    stops = stop if isinstance(stop, tuple | list) else (stop,)
    stops = tuple(core.check_int(each, f"{title}: stop", 0) for each in stops)
    return DecodeSpec(title, cell, inputs, prompt.shape[1], steps, stops, lengths is not None)


def check_values(use: DecodeSpec, prompt: Any, lengths: Any, vocabulary: int, pad: Any = 0) -> None:
    """Raises ValueError if tokens or lengths are out of range; traced ones are not checked."""
    if any(each >= vocabulary for each in use.stop):
        raise ValueError(
            f"{use.title}: stop {use.stop} is outside the vocabulary [0, {vocabulary})."
        )
    if core.traced((prompt, lengths)):
        return
    prompt = np.asarray(prompt)
    if lengths is not None:
        lengths = np.asarray(lengths)
        if lengths.min() < 1 or lengths.max() > use.time:
            raise ValueError(
                f"{use.title} takes prompts of 1 to {use.time} tokens, which are all there are, "
                f"got lengths of {lengths.min()} to {lengths.max()}."
            )
        short = lengths < use.time
        front = short & (prompt[:, 0] == pad) & (prompt[:, -1] != pad)
        if not core.traced(pad) and front.any():
            raise ValueError(
                f"{use.title}: row {front.argmax()} of the prompt is padded at the front: move its "
                "tokens to the front, and the padding behind them."
            )
        prompt = prompt[np.arange(use.time)[None] < lengths[:, None]]
    if prompt.min() < 0 or prompt.max() >= vocabulary:
        raise ValueError(
            f"{use.title}: the prompt holds tokens of {prompt.min()} to {prompt.max()}, the "
            f"vocabulary is [0, {vocabulary})."
        )


def check_context(use: DecodeSpec, context: Tree, prompt: Any) -> None:
    """Raises ValueError if a context does not have the rows of the prompt."""
    for leaf in jax.tree.leaves(context):
        if jnp.shape(leaf)[:1] != prompt.shape[:1]:
            raise ValueError(
                f"{use.title}: the context holds {core.describe(leaf)}: give arrays with the "
                f"{prompt.shape[0]} rows of the prompt."
            )


def feed(
    use: DecodeSpec, given: Tree, carry: Tree, tokens: jax.Array, mask: Any
) -> tuple[Tree, Any]:
    """(carry, logits [batch, time, vocabulary]) after a chunk; a carry of None is a fresh one."""
    params, state, context = given
    x = (tokens, mask) if use.masked else tokens
    x = x if use.inputs is None else use.inputs(x, context)
    fresh = use.cell.carry(params, x)
    carry = fresh if carry is None else carry
    core.check_same_spec(carry, fresh, f"{use.title} goes on from a carry of its cell and rows")
    (carry, y), _ = use.cell.apply(params, state, (carry, x))
    logits = y[0] if use.masked and type(y) is tuple else y
    if not core.floating(logits) or logits.shape[:-1] != tokens.shape:
        raise ValueError(
            f"{use.title} takes a cell from tokens [batch, time] to logits [batch, time, "
            f"vocabulary], got {core.describe(y)} from {core.describe(x)}."
        )
    return carry, logits.astype(core.param_dtype(logits))


@partial(jax.jit, static_argnums=(0, 1))
def prefill(
    use: DecodeSpec, run: Callable, given: Tree, prompt: Any, lengths: Any, carry: Tree = None
) -> tuple[Tree, Any]:
    """(carry, logits [batch, vocabulary]) after the prompt, which goes on from a carry."""
    prompt = jnp.asarray(prompt).astype(jnp.int32)
    mask = length_mask(lengths, use.time) if use.masked else None
    carry, logits = run(use, given, carry, prompt, mask)
    # Attention and positions refuse the shape of a chunk that is longer than they are.
    size = len(prompt), use.time + use.steps - 1
    try:
        jax.eval_shape(
            lambda carry: run(use, given, carry, jnp.zeros(size, jnp.int32), jnp.ones(size, bool)),
            carry,
        )
    except ValueError as error:
        raise ValueError(
            f"{use.title}: a prompt of {use.time} tokens and {use.steps} more do not fit: {error}"
        ) from error
    if not use.masked:
        return carry, logits[:, -1]
    last = jnp.take_along_axis(logits, jnp.maximum(lengths - 1, 0)[:, None, None], axis=1)[:, 0]
    return carry, jnp.where((lengths > 0)[:, None], last, jnp.nan)


@partial(jax.jit, static_argnums=(0, 1))
def _generate(
    use: DecodeSpec, top_k: Any, given: Tree, begun: Any, draw: Any, pad: Any
) -> Generated:
    def choose(i, logits):
        if draw is None:
            token = jnp.argmax(logits, axis=-1)
        else:
            key, temperature, top_p = draw
            # Below the largest, so that the coldest draws take it in place of infinity less itself.
            below = logits - logits.max(axis=-1, keepdims=True)
            kept = below / jnp.maximum(temperature, jnp.finfo(below.dtype).tiny)
            kept = kept if top_k is None else keep_top_k(kept, top_k)
            kept = kept if top_p is None else keep_top_p(kept, top_p)
            token = jax.random.categorical(jax.random.fold_in(key, i), kept)
        return jnp.where(jnp.isnan(logits).any(-1), -1, token.astype(jnp.int32))

    def record(i, logits, out, running):
        token = jnp.where(running, choose(i, logits), pad)
        out = Generated(out.tokens.at[:, i].set(token), out.lengths + running)
        return token, out, running & (token >= 0) & ~is_in(token, use.stop)

    def body(loop):
        i, carry, token, out, running = loop
        mask = running[:, None] if use.masked else None
        carry, logits = feed(use, given, carry, token[:, None], mask)
        return i + 1, carry, *record(i, logits[:, 0], out, running)

    carry, logits = begun
    batch = len(logits)
    blank = jnp.full((batch, use.steps), pad, jnp.int32), jnp.zeros((batch,), jnp.int32)
    first = record(0, logits, Generated(*blank), jnp.ones((batch,), bool))
    loop = jnp.int32(1), carry, *first
    return jax.lax.while_loop(lambda loop: (loop[0] < use.steps) & loop[-1].any(), body, loop)[3]


def is_in(token: jax.Array, stop: tuple[int, ...]) -> jax.Array:
    """Whether each token is a stop."""
    return jnp.isin(token, jnp.array(stop, jnp.int32))


def _share(p: Any, what: str) -> None:
    if not core.traced(p) and not 0 < p <= 1:
        raise ValueError(f"{what} is a share of the probability in (0, 1], got {p!r}.")
