"""Transformers over tokens: language models and encoders.

Tokens are integers [batch, time]. Padded ones are a pair (tokens, mask), with a mask bool
[batch, time] that is true where a token is present; positions count these tokens only, so that a
padded row gives what it would give without padding. Tokens outside the vocabulary give NaN, as
`embedding` does. Ready networks are in `jaxnn.nets.transformer.ready`, translation is in
`jaxnn.nets.transformer.encoder_decoder`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import add, wire
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.dense import dense
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from jaxnn.layers.norm import layer_norm
from jaxnn.nets.transformer.block import SMALL, couple, is_triple, with_dropout
from jaxnn.printing import factory
from jaxnn.sequences.chunks import chunkwise
from jaxnn.sequences.masks import first_steps, split_mask, zero_masked
from jaxnn.sequences.unroll import unroll


@factory
def language_model(
    body: Layer | Cell,
    vocabulary: int,
    width: int,
    *,
    length: int | None = None,
    positions: str | None = "learned",
    tied: bool = True,
    dropout: float = 0.0,
    w_init: Callable = SMALL,
) -> Net:
    """Logits of the next token: embeddings of the tokens, a causal body, and a projection.

    h = body(embed(tokens) + positions), y = h embed^T, or y = h head if it is not tied. Params are
    {"embed", "body"}, with "positions" if these are learned and "head" if it is not tied.

    Args:
      body: a causal network over features, such as `nn.transformer(block, depth)`; a cell, such as
        a transformer whose attention has a capacity, makes a cell, which `generate` takes.
      vocabulary: the number of different tokens.
      width: features of an embedding.
      length: the longest sequence, and the longest chunk of a cell; learned positions need it.
      positions: "learned", "sinusoidal" (embeddings are then multiplied by sqrt(width)), or None if
        the attention knows positions itself (`rotary`, `alibi`).
      tied: whether the output shares the embedding.
      dropout: the fraction of the features that enter the body that is dropped in training.
      w_init: the initializer of the embedding and the head.

    Returns:
      A layer (or a cell) from tokens int [batch, time] to logits [batch, time, vocabulary] in
      float32; (tokens, mask) gives (logits, mask), with zeros where the mask is false.

    Raises:
      TypeError: if the tokens are not integers.
      ValueError: if positions is another word, or learned without a length; if a sequence is empty
        or longer than length.

    (Radford et al., Language models are unsupervised multitask learners, 2019.)

    >>> import jax, jaxnn as nn
    >>> block = nn.transformer_block(nn.attention(2, causal=True), nn.feed_forward(32))
    >>> net, x = nn.language_model(nn.transformer(block, 2), 10, 8, length=16), [[1, 2, 3]]
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.array(x))
    >>> net(params, jax.numpy.array(x)).shape, sorted(params)
    ((1, 3, 10), ['body', 'embed', 'positions'])
    """
    place = placement("language_model", positions, length, width)
    children = {"embed": embedding(vocabulary, width, w_init=w_init)}
    children |= positioned(place, isinstance(body, Cell))
    children["body"] = with_dropout(body, dropout, before=True)
    if not tied:
        children["head"] = dense(vocabulary, bias=False, w_init=w_init)

    def flow(f, x):
        h = f.body(embedded(f.embed, getattr(f, "positions", None), x, place))
        h, mask = split_mask(h, "language_model", segments=True)
        return paired(f.embed(h) if tied else f.head(h), mask)

    return wire(flow, **children)


@factory
def text_encoder(
    body: Layer,
    vocabulary: int,
    width: int,
    *,
    length: int | None = None,
    positions: str | None = "learned",
    types: int = 0,
    norm: Callable = layer_norm,
    dropout: float = 0.0,
    w_init: Callable = SMALL,
) -> Layer:
    """Features of each token from all tokens of its text.

    y = body(norm(embed(tokens) + positions + types)). Params are {"embed", "embed_norm", "body"},
    with "positions" if these are learned and "types" if there are any.

    Args:
      body: a network over features that looks both ways, such as `nn.transformer(block, depth)`.
      vocabulary: the number of different tokens.
      width: features of an embedding.
      length: the longest sequence; learned positions need it.
      positions: "learned", "sinusoidal" or None, as in `language_model`.
      types: the number of segment types, or 0 for none; type 0 if no types are given.
      norm: a function that makes the norm of the embeddings.
      dropout: the fraction of the features that enter the body that is dropped in training.
      w_init: the initializer of the embeddings.

    Returns:
      A layer from tokens int [batch, time], (tokens, mask), (tokens, lengths) with lengths int
      [batch], or (tokens, mask, types) with types int [batch, time] and a mask that may be None, to
      features [batch, time, width] in float32, which are zero where the mask is false.

    Raises:
      TypeError: if the tokens are not integers.
      ValueError: as `language_model`, and if types are given to a network without any.

    (Devlin et al., BERT: Pre-training of deep bidirectional transformers, 2018.)

    >>> import jax, jaxnn as nn
    >>> block = nn.transformer_block(nn.attention(2), nn.feed_forward(32), pre_norm=False)
    >>> net = nn.text_encoder(nn.transformer(block, 2, norm=None), 10, 8, length=16)
    >>> x = jax.numpy.ones((2, 5), int), jax.numpy.array([5, 3])
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape, sorted(params)
    ((2, 5, 8), ['body', 'embed', 'embed_norm', 'positions'])
    """
    title = "text_encoder"
    place = placement(title, positions, length, width)
    types = core.check_int(types, f"{title}: types", 0)
    children = {"embed": embedding(vocabulary, width, w_init=w_init), **positioned(place, False)}
    if types:
        children["types"] = embedding(types, width, w_init=w_init)
    children |= {"embed_norm": norm(), "body": with_dropout(body, dropout, before=True)}
    pair = partial(split_mask, title=title, segments=True)

    def flow(f, x):
        tokens, mask, kinds = x if is_triple(x) else (x, None, None)
        tokens, mask = pair(couple(tokens, mask), lengths=True)
        if kinds is not None and not types:
            raise ValueError(f"{title} was built without types and got some: leave them out.")
        tokens = couple(tokens, mask)
        h, mask = pair(embedded(f.embed, getattr(f, "positions", None), tokens, place))
        if types:
            kinds = jnp.zeros(h.shape[:2], jnp.int32) if kinds is None else kinds
            h = add((h, f.types(kinds)))
        return pair(f.body(couple(f.embed_norm(h), mask)))[0]

    return wire(flow, **children)


# Tokens and their positions


class Placement(NamedTuple):
    """How positions enter a network: `cell` adds them to embeddings times `scale`."""

    title: str
    length: int | None
    scale: float = 1.0
    cell: Cell | None = None


def placement(title: str, positions: Any, length: int | None, width: int) -> Placement:
    """How these positions enter; raises ValueError if there are none of this name."""
    length = None if length is None else core.check_int(length, f"{title}: length")
    place = Placement(title, length)
    if positions == "learned":
        if length is None:
            raise ValueError(f"{title}: learned positions need a length: the longest sequence.")
        return place._replace(cell=_counting(learned_positions(length)))
    if positions == "sinusoidal":
        return place._replace(cell=_counting(sinusoidal_positions()), scale=width**0.5)
    if positions is not None:
        raise ValueError(
            f'{title}: positions are "learned", "sinusoidal" or None, got {positions!r}; rotary '
            "positions and ALiBi belong to the attention: nn.attention(heads, rotary=nn.rotary())."
        )
    return place


def positioned(place: Placement, cached: bool, name: str = "positions") -> dict[str, Net]:
    """The child that adds positions, if there is one."""
    if place.cell is None:
        return {}
    return {name: place.cell if cached else unroll(place.cell)}  # pyright: ignore


def embedded(embed: Callable, positions: Callable | None, x: Any, place: Placement) -> Any:
    """The embeddings of tokens at their positions, with the mask of x."""
    tokens, mask = _tokens(x, place)
    h = embed(tokens) * place.scale
    if positions is not None:
        h = split_mask(positions(couple(h, mask)), place.title, segments=True)[0]
    return couple(h, mask)


def _tokens(x: Any, place: Placement) -> tuple[Any, Any]:
    """(tokens, mask), with token 0 where the mask is false; raises if they are not tokens."""
    x, mask = split_mask(x, place.title, segments=True)
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(
            f"{place.title} takes tokens, integers [batch, time], got {core.describe(x)}: cast "
            "them with x.astype(jnp.int32)."
        )
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"{place.title} takes tokens [batch, time] with at least one step, got "
            f"{core.describe(x)}: begin a prompt with a token, such as one for the start."
        )
    if place.length is not None and x.shape[1] > place.length:
        raise ValueError(
            f"{place.title} has a length of {place.length} and got {core.describe(x)}: cut the "
            "tokens, or build it longer."
        )
    return (x if mask is None else zero_masked(x, mask)), mask


def _counting(positions: Cell) -> Cell:
    """Positions that count only the steps whose mask is true, as attention does."""

    def run(params, start, x, mask, starts):
        (end, y), _ = positions.apply(params, (), (start, jnp.zeros_like(x)))
        if mask is None:
            return end, x + y
        place = jnp.maximum(jnp.cumsum(mask, axis=1, dtype=jnp.int32) - 1, 0)
        if starts is None:
            y = jnp.take_along_axis(y, place[..., None], axis=1)
            return start + mask.sum(axis=1, dtype=start.dtype), x + y
        # A document that goes on from the chunk before has its first step there.
        first = first_steps(starts, place)
        steps = mask.sum(axis=1, dtype=start.dtype)
        latest = first.max(axis=1, initial=0)
        end = jnp.where(starts.any(axis=1), steps - latest, start + steps)
        (_, anew), _ = positions.apply(params, (), (jnp.zeros_like(start), jnp.zeros_like(x)))
        place = (place - first)[..., None]
        y, anew = (jnp.take_along_axis(each, place, axis=1) for each in (y, anew))
        return end, x + jnp.where((jnp.cumsum(starts, axis=1) > 0)[..., None], anew, y)

    return chunkwise(positions.init, positions.carry, run, restarts=True)
