"""Transformers from one sequence of tokens to another: translation.

Train `net` on (source, source_mask, target) with teacher forcing; then encode once, and decode with
a cell that has the same params. Its carry holds nothing of the memory, which is passed with every
chunk:

    model = nn.seq2seq_transformer(..., capacity=64)
    memory = model.encode(params, (source, mask))
    found = nn.beam_search(
        model.decode, params, (), start, steps=63, beams=4, stop=end,
        inputs=lambda tokens, context: (tokens, *context), context=(memory, mask),
    )
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxnn import core
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import wire
from jaxnn.layers.attention.attention import attention, cross_attention
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.embed import embedding
from jaxnn.layers.feed_forward import feed_forward
from jaxnn.layers.norm import layer_norm
from jaxnn.nets.transformer.block import (
    couple,
    depth_scaled_init,
    is_triple,
    transformer,
    transformer_block,
    triple,
    with_dropout,
)
from jaxnn.nets.transformer.text import embedded, placement, positioned
from jaxnn.sequences.masks import check_mask, split_mask

GLOROT = jax.nn.initializers.glorot_uniform()


class EncoderDecoder(NamedTuple):
    """Three networks with the same params, which `net.init` makes.

    net: (source, source_mask, target) -> logits, for training.
    encode: source or (source, source_mask) -> memory.
    decode: (tokens, memory, memory_mask) -> logits; a cell if there is a cached decoder.
    """

    net: Layer
    encode: Layer
    decode: Net


def encoder_decoder(
    encoder: Layer,
    decoder: Layer,
    vocabulary: int,
    width: int,
    *,
    cached: Cell | None = None,
    source_vocabulary: int | None = None,
    length: int | None = None,
    positions: str | None = "sinusoidal",
    dropout: float = 0.0,
) -> EncoderDecoder:
    """Logits of the next token of a target, from the tokens before it and the whole source.

    memory = encoder(embed(source) + positions),
    y = decoder(embed(target) + positions, memory) embed^T

    Params are {"embed", "encoder", "decoder"}, with "source_embed" if there are two vocabularies,
    and "positions" and "source_positions" if positions are added. The mask of a source may also be
    lengths int [batch], or None if nothing is padded. The target may be a pair (target, mask); the
    logits then are one, too.

    Args:
      encoder: a network over features that looks both ways, such as `nn.transformer`.
      decoder: a causal network from (x, memory, memory_mask) to features, such as a transformer
        whose blocks have cross attention.
      vocabulary: the number of tokens of the target, and of the source if it has none of its own.
      width: features of an embedding.
      cached: the decoder with a capacity, which is a cell with the same params; it decodes step by
        step.
      source_vocabulary: the number of tokens of the source, which then has an embedding of its own.
      length: the longest sequence; learned positions need it.
      positions: "learned", "sinusoidal" or None, as in `language_model`.
      dropout: the fraction of the features that enter encoder and decoder dropped in training.

    Returns:
      The three networks.

    Raises:
      TypeError: if the tokens are not integers.
      ValueError: as `language_model`, and if x is not such a triple.

    (Vaswani et al., Attention is all you need, 2017.)

    >>> import jax, jaxnn as nn
    >>> hidden, look = nn.feed_forward(32), nn.cross_attention(2)
    >>> encoder = nn.transformer(nn.transformer_block(nn.attention(2), hidden), 2)
    >>> block = nn.transformer_block(nn.attention(2, causal=True), hidden, cross=look)
    >>> model = nn.encoder_decoder(encoder, nn.transformer(block, 2), 10, 8)
    >>> source, target = jax.numpy.ones((2, 5), int), jax.numpy.ones((2, 4), int)
    >>> params, _ = jax.eval_shape(model.net.init, jax.random.key(0), (source, None, target))
    >>> jax.eval_shape(model.net, params, (source, None, target)).shape, sorted(params)
    ((2, 4, 10), ['decoder', 'embed', 'encoder', 'positions', 'source_positions'])
    """
    title = "encoder_decoder"
    place = placement(title, positions, length, width)

    embed = source = {"embed": embedding(vocabulary, width)}
    if source_vocabulary is not None:
        source = {"source_embed": embedding(source_vocabulary, width)}

    def reader():
        where = positioned(place, False, "source_positions")
        return source | where | {"encoder": with_dropout(encoder, dropout, before=True)}

    def writer(decoder):
        where = positioned(place, isinstance(decoder, Cell))
        return embed | where | {"decoder": with_dropout(decoder, dropout, before=True)}

    def encode(f, x):
        (table,) = (getattr(f, name) for name in source)
        where = getattr(f, "source_positions", None)
        x = couple(*split_mask(x, title, lengths=True))
        return split_mask(f.encoder(embedded(table, where, x, place)), title)[0]

    def decode(f, x):
        tokens, memory, mask = triple(x)
        mask = check_mask(mask, memory, title, lengths=True)
        h = embedded(f.embed, getattr(f, "positions", None), tokens, place)
        h, mask = split_mask(f.decoder((h, memory, mask)), title, segments=True)
        return paired(f.embed(h), mask)

    def both(f, x):
        if not is_triple(x):
            raise ValueError(
                f"{title} takes (source, source_mask, target), with None for no padding, got "
                f"{core.describe(x)}."
            )
        text, mask, target = x
        return decode(f, (target, encode(f, couple(text, mask)), mask))

    return EncoderDecoder(
        wire(both, **(reader() | writer(decoder))),
        _part(wire(encode, **reader()), *reader()),
        _part(wire(decode, **writer(cached or decoder)), *writer(cached or decoder)),
    )


def seq2seq_transformer(
    vocabulary: int,
    width: int = 512,
    depth: int = 6,
    heads: int = 8,
    *,
    source_vocabulary: int | None = None,
    mlp_width: int | None = None,
    activation: Callable = jax.nn.relu,
    pre_norm: bool = True,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    capacity: int | None = None,
    unroll: int = 1,
) -> EncoderDecoder:
    """The transformer of the original paper, for translation.

    Args:
      vocabulary: the number of tokens of the target, and of the source if it has none of its own.
      width: features of a token.
      depth: the number of blocks of the encoder and of the decoder.
      heads: the heads of each attention.
      source_vocabulary: the number of tokens of the source, which then has an embedding of its own.
      mlp_width: hidden features of the feedforward networks; 4 width by default.
      activation: of the feedforward networks.
      pre_norm: whether norms come before each branch; the paper has them after the sums.
      dropout: the fraction of embeddings and branches dropped in training.
      attention_dropout: the fraction of attention weights dropped; as dropout by default.
      capacity: the number of tokens that the cache of the decoder holds, which is then a cell.
      unroll: the number of blocks that each iteration of the scan over depth writes out.

    Returns:
      An `EncoderDecoder`: the networks for training, for encoding and for decoding.

    Raises:
      ValueError: if a size is less than 1 or heads do not divide the width.

    (Vaswani et al., Attention is all you need, 2017.)

    >>> import jax, jaxnn as nn
    >>> model = nn.seq2seq_transformer(10, 8, 2, 2, capacity=16)
    >>> source, target = jax.numpy.ones((2, 5), int), jax.numpy.ones((2, 4), int)
    >>> params, _ = jax.eval_shape(model.net.init, jax.random.key(0), (source, None, target))
    >>> memory = jax.eval_shape(model.encode, params, source)
    >>> jax.eval_shape(model.net, params, (source, None, target)).shape, memory.shape
    ((2, 4, 10), (2, 5, 8))
    >>> jax.eval_shape(nn.unroll(model.decode), params, (target, memory, None)).shape
    (2, 4, 10)
    """
    last = depth_scaled_init(depth, GLOROT) if pre_norm else GLOROT
    options: dict[str, Any] = {
        "dropout": dropout if attention_dropout is None else attention_dropout,
        "w_init": GLOROT,
        "out_init": last,
    }
    hidden = feed_forward(
        mlp_width or 4 * width, activation=activation, w_init=GLOROT, out_init=last
    )
    norm = layer_norm if pre_norm else None

    def body(own: Layer | Cell, cross: Layer | None) -> Net:
        block = transformer_block(own, hidden, cross=cross, pre_norm=pre_norm, dropout=dropout)
        return transformer(block, depth, norm=norm, unroll=unroll)

    def decoder(capacity: int | None) -> Net:
        own = attention(heads, causal=True, capacity=capacity, **options)
        return body(own, cross_attention(heads, **options))

    return encoder_decoder(
        body(attention(heads, **options), None),
        decoder(None),
        vocabulary,
        width,
        cached=None if capacity is None else decoder(capacity),
        source_vocabulary=source_vocabulary,
        dropout=dropout,
    )


def _part(net: Layer | Cell, *names: str) -> Net:
    """A network that takes its own part of the params of a larger one."""

    def own(params):
        missing = [each for each in names if each not in params]
        if missing:
            raise ValueError(
                f"{net.name} misses the params {missing}: pass those of the whole network."
            )
        return {each: params[each] for each in names}

    def carry(params, x):
        return core.initial_carry(net, own(params), x)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        y, memory, state = core.apply_either(
            net, own(params), state, memory, x, key=key, train=train
        )
        return (memory, y), state

    return core.layer_or_cell("encoder_decoder", net.init, carry, apply, net)
