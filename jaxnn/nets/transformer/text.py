"""Transformers over tokens: language models and encoders.

Tokens are integers [batch, time]. Padded ones are a pair (tokens, mask), with the mask bool
[batch, time] of those that are there; positions count these alone, so that a padded row gives what
it would without. Tokens outside the vocabulary give NaN, as `embedding` does. Translation is in
`jaxnn.nets.transformer.encoder_decoder`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import add, wire
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.attention.positions import rotary
from jaxnn.layers.dense import dense
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from jaxnn.layers.norm import layer_norm
from jaxnn.nets.transformer.block import (
    SMALL,
    blocks_of,
    couple,
    depth_scaled_init,
    through,
    transformer_block,
    uncouple,
    with_dropout,
)
from jaxnn.printing import factory
from jaxnn.sequences.masks import normalize_mask, split_mask, zero_masked
from jaxnn.sequences.unroll import chunkwise, unroll

BERT_NORM = partial(layer_norm, epsilon=1e-12)
EXACT_GELU = partial(jax.nn.gelu, approximate=False)


@factory
def language_model(
    vocabulary: int,
    width: int,
    depth: int,
    heads: int,
    *,
    length: int | None = None,
    positions: str | Callable = "learned",
    tied: bool = True,
    capacity: int | None = None,
    mlp_width: int | None = None,
    kv_heads: int | None = None,
    window: int | None = None,
    qk_norm: bool = False,
    norm: Callable = layer_norm,
    pre_norm: bool = True,
    activation: Callable = jax.nn.gelu,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    remat: bool = False,
    unroll: int = 1,
    implementation: str = "xla",
    w_init: Callable = SMALL,
    out_init: Callable | None = None,
) -> Net:
    """Logits of the next token from those so far: a transformer that looks back alone.

    h = norm(blocks(embed(tokens) + positions)), y = h embed^T, or h head where it is not tied.

    As it stands it is GPT-2. Llama is `language_model(..., positions=nn.rotary(theta), tied=False,
    norm=partial(nn.rms_norm, epsilon=1e-5), activation=jax.nn.silu, gated=True, bias=False)`.
    Params are those that there are of {"embed", "positions", "blocks", "norm", "head"}.

    Args:
      vocabulary: tokens int [batch, time] give y [batch, time, vocabulary]; (tokens, mask) give
        (y, mask), with zeros where no token is.
      width: features of a token.
      depth, heads: blocks, and heads of each.
      length: the longest sequence, and the longest chunk of a cell; learned positions need it.
      positions: "learned", "sinusoidal" (embeddings are then multiplied by sqrt(width)), "rotary",
        "alibi", or a function such as `rotary(500_000.0)`.
      tied: whether the output shares the embedding; else it has a weight "head" of its own.
      capacity: with it, it is a cell whose cache holds so many tokens, for `generate`.
      mlp_width: hidden features, 4 width by default.
      dropout: of embeddings too.
      kv_heads, window, qk_norm, norm, pre_norm, activation, gated, bias, attention_dropout, remat,
        unroll, implementation, w_init, out_init: those of `transformer`.

    Raises:
      TypeError: for tokens that are no integers.
      ValueError: for positions of another name, or learned ones without a length; for no token at
        all, or more than length; as `transformer` does.

    (Radford et al., Language models are unsupervised multitask learners, 2019; Touvron et al.,
    Llama 2, 2023.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.language_model(10, 8, 2, 2, length=16), jax.numpy.ones((2, 5), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape, sorted(params)
    ((2, 5, 10), ['blocks', 'embed', 'norm', 'positions'])
    """
    place = placement("language_model", positions, length, width)
    block = transformer_block(
        heads,
        4 * width if mlp_width is None else mlp_width,
        kv_heads=kv_heads,
        causal=True,
        window=window,
        capacity=capacity,
        rotary=place.rotary,
        alibi=place.alibi,
        qk_norm=qk_norm,
        norm=norm,
        pre_norm=pre_norm,
        activation=activation,
        gated=gated,
        bias=bias,
        dropout=dropout,
        attention_dropout=attention_dropout,
        implementation=implementation,
        w_init=w_init,
        out_init=depth_scaled_init(out_init, w_init, depth, pre_norm),
    )
    children = {"embed": embedding(vocabulary, width, w_init=w_init)}
    children |= positioned(place, capacity is not None)
    children |= blocks_of(block, depth, norm, pre_norm, remat, unroll)
    children["blocks"] = with_dropout(children["blocks"], dropout, before=True)
    if not tied:
        children["head"] = dense(vocabulary, bias=False, w_init=w_init)

    def flow(f, x):
        h, mask = uncouple(through(f, embedded(f.embed, getattr(f, "positions", None), x, place)))
        return paired(f.embed(h) if tied else f.head(h), mask)

    return wire(flow, **children)


@factory
def text_encoder(
    vocabulary: int,
    width: int,
    depth: int,
    heads: int,
    *,
    length: int | None = None,
    positions: str | Callable = "learned",
    types: int = 2,
    mlp_width: int | None = None,
    norm: Callable = BERT_NORM,
    pre_norm: bool = False,
    activation: Callable = EXACT_GELU,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    remat: bool = False,
    unroll: int = 1,
    implementation: str = "xla",
    w_init: Callable = SMALL,
) -> Layer:
    """Features of each token in the light of all others, before and after it.

    y = blocks(norm(embed(tokens) + positions + types)). As it stands it is BERT without its pooler.
    Params are those that there are of {"embed", "positions", "types", "embed_norm", "blocks",
    "norm"}.

    It takes tokens int [batch, time], (tokens, mask), (tokens, lengths) with lengths int [batch],
    or (tokens, mask, types) with types int [batch, time] and a mask that may be None. y is
    [batch, time, width], zeros where no token is.

    Args:
      vocabulary, width, depth, heads, length, positions, mlp_width: those of `language_model`.
      types: how many types of segment there are; type 0 where none are given. 0 for no types.
      norm, activation: by default layer norm with an epsilon of 1e-12, and the exact GELU.
      pre_norm, gated, bias, dropout, attention_dropout, remat, unroll, implementation,
        w_init: those of `transformer`.

    Raises:
      TypeError, ValueError: as `language_model` does; for types where there are none.

    (Devlin et al., BERT, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.text_encoder(10, 8, 2, 2, length=16), jax.numpy.ones((2, 5), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, (x, jax.numpy.array([5, 3]))).shape, sorted(params)
    ((2, 5, 8), ['blocks', 'embed', 'embed_norm', 'positions', 'types'])
    """
    title = "text_encoder"
    place = placement(title, positions, length, width)
    types = core.check_int(types, f"{title}: types", 0)
    block = transformer_block(
        heads,
        4 * width if mlp_width is None else mlp_width,
        rotary=place.rotary,
        alibi=place.alibi,
        norm=norm,
        pre_norm=pre_norm,
        activation=activation,
        gated=gated,
        bias=bias,
        dropout=dropout,
        attention_dropout=attention_dropout,
        implementation=implementation,
        w_init=w_init,
        out_init=depth_scaled_init(None, w_init, depth, pre_norm),
    )
    children = {"embed": embedding(vocabulary, width, w_init=w_init), **positioned(place, False)}
    if types:
        children["types"] = embedding(types, width, w_init=w_init)
    children |= {"embed_norm": norm(), **blocks_of(block, depth, norm, pre_norm, remat, unroll)}
    children["blocks"] = with_dropout(children["blocks"], dropout, before=True)

    def flow(f, x):
        tokens, mask, kinds = x if type(x) is tuple and len(x) == 3 else (x, None, None)
        tokens, mask = normalize_mask(couple(tokens, mask))
        if kinds is not None and not types:
            raise ValueError(f"{title} was built without types and got some: leave them out.")
        h, mask = uncouple(
            embedded(f.embed, getattr(f, "positions", None), couple(tokens, mask), place)
        )
        if types:
            kinds = jnp.zeros(h.shape[:2], jnp.int32) if kinds is None else kinds
            h = add((h, f.types(kinds)))
        return uncouple(through(f, couple(f.embed_norm(h), mask)))[0]

    return wire(flow, **children)


# Tokens and where they stand


class Placement(NamedTuple):
    """What positions ask of a net: `cell` adds them to embeddings times `scale`."""

    title: str
    length: int | None
    scale: float = 1.0
    cell: Cell | None = None
    rotary: Callable | None = None
    alibi: bool = False


def placement(title: str, positions: Any, length: int | None, width: int) -> Placement:
    """What these positions ask; raises ValueError where there are none of this name."""
    length = None if length is None else core.check_int(length, f"{title}: length")
    place = Placement(title, length)
    if positions == "learned":
        if length is None:
            raise ValueError(f"{title}: learned positions need a length: the longest sequence.")
        return place._replace(cell=_counting(learned_positions(length)))
    if positions == "sinusoidal":
        return place._replace(cell=_counting(sinusoidal_positions()), scale=width**0.5)
    if positions == "alibi":
        return place._replace(alibi=True)
    if positions == "rotary" or callable(positions):
        return place._replace(rotary=rotary() if positions == "rotary" else positions)
    raise ValueError(
        f'{title}: positions are "learned", "sinusoidal", "rotary", "alibi" or a function such as '
        f"nn.rotary(500_000.0), got {positions!r}."
    )


def positioned(place: Placement, cached: bool, name: str = "positions") -> dict[str, Net]:
    """The child that adds positions, where there is one."""
    if place.cell is None:
        return {}
    return {name: place.cell if cached else unroll(place.cell)}


def embedded(embed: Callable, positions: Callable | None, x: Any, place: Placement) -> Any:
    """Tokens as vectors at their positions, by the children for both, with the mask of x."""
    tokens, mask = _tokens(x, place)
    h = embed(tokens) * place.scale
    if positions is not None:
        h = uncouple(positions(couple(h, mask)))[0]
    return couple(h, mask)


def _tokens(x: Any, place: Placement) -> tuple[Any, Any]:
    """(tokens, mask), with token 0 where none is; raises for what are no tokens, or too many."""
    x, mask = split_mask(x)
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(
            f"{place.title} takes tokens, integers [batch, time], got {core.describe(x)}: cast "
            "them with x.astype(jnp.int32)."
        )
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"{place.title} takes tokens [batch, time], one a row at least, got "
            f"{core.describe(x)}: a prompt begins with a token, be it one that says so."
        )
    if place.length is not None and x.shape[1] > place.length:
        raise ValueError(
            f"{place.title} has a length of {place.length} and got {core.describe(x)}: cut the "
            "tokens, or build it longer."
        )
    return (x if mask is None else zero_masked(x, mask)), mask


def _counting(positions: Cell) -> Cell:
    """Positions that count the steps of (x, mask) that are there alone, as attention does."""

    def run(params, start, x, mask):
        (end, y), _ = positions.apply(params, (), (start, jnp.zeros_like(x)))
        if mask is not None:
            place = jnp.maximum(jnp.cumsum(mask, axis=1, dtype=jnp.int32) - 1, 0)
            y = jnp.take_along_axis(y, place[..., None], axis=1)
            end = start + mask.sum(axis=1, dtype=start.dtype)
        return end, x + y

    return chunkwise(positions.init, positions.carry, run)
