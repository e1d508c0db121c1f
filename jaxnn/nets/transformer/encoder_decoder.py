"""Transformers from one sequence of tokens to another: translation.

Train `net` on (source, source_mask, target) with teacher forcing; then encode once, and decode with
a cell of the same params. Its carry holds nothing of the memory, which comes with every chunk, the
same each time:

    model = nn.encoder_decoder(..., capacity=64)
    memory = model.encode(params, (source, mask))
    found = nn.beam_search(
        model.decode, params, (), start, steps=63, beams=4, stop=end,
        inputs=lambda tokens, context: (tokens, *context), context=(memory, mask),
    )
"""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxnn import core
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import wire
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.embed import embedding
from jaxnn.layers.norm import layer_norm
from jaxnn.nets.transformer.block import couple, transformer, triple, uncouple, with_dropout
from jaxnn.nets.transformer.text import embedded, placement, positioned
from jaxnn.sequences.masks import normalize_mask

GLOROT = jax.nn.initializers.glorot_uniform()


class EncoderDecoder(NamedTuple):
    """Three nets of the same params, as `net.init` makes them.

    net: (source, source_mask, target) -> logits, for training.
    encode: source or (source, source_mask) -> memory.
    decode: (tokens, memory, memory_mask) -> logits; a cell where there is a capacity.
    """

    net: Layer
    encode: Layer
    decode: Net


def encoder_decoder(
    vocabulary: int,
    width: int,
    depth: int,
    heads: int,
    *,
    source_vocabulary: int | None = None,
    decoder_depth: int | None = None,
    length: int | None = None,
    positions: str | Callable = "sinusoidal",
    capacity: int | None = None,
    mlp_width: int | None = None,
    kv_heads: int | None = None,
    qk_norm: bool = False,
    norm: Callable = layer_norm,
    pre_norm: bool = True,
    activation: Callable = jax.nn.relu,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    remat: bool = False,
    unroll: int = 1,
    implementation: str = "xla",
    w_init: Callable = GLOROT,
    out_init: Callable | None = None,
) -> EncoderDecoder:
    """Logits of the next token of a target, from those before it and the whole source.

    memory = encoder(embed(source) + positions),
    y = decoder(embed(target) + positions, memory) embed^T

    Params are {"embed", "encoder", "decoder"}, with "source_embed" where there are two
    vocabularies, and "positions" and "source_positions" where positions are added. Encoder and
    decoder are each a `transformer`. For a mask of the source there may be lengths int [batch], or
    None if nothing is padded. The target may be a pair (target, mask), and so are then the logits.

    Args:
      vocabulary: of the target, and of the source where it has none of its own.
      width: features of a token.
      depth, heads: blocks of the encoder and of the decoder, and heads of each.
      source_vocabulary: with it, source and target have an embedding each.
      decoder_depth: blocks of the decoder; depth by default.
      length, positions, mlp_width: those of `language_model`.
      capacity: how many tokens the cache of the decoder holds, which is then a cell.
      kv_heads, qk_norm, norm, pre_norm, activation, gated, bias, dropout, attention_dropout, remat,
        unroll, implementation, w_init, out_init: those of `transformer`.

    Raises:
      TypeError, ValueError: as `language_model` does; for x that is not such a triple.

    (Vaswani et al., Attention is all you need, 2017, whose norms come after.)

    >>> import jax, jaxnn as nn
    >>> model = nn.encoder_decoder(10, 8, 2, 2, capacity=16)
    >>> source, target = jax.numpy.ones((2, 5), int), jax.numpy.ones((2, 4), int)
    >>> params, _ = jax.eval_shape(model.net.init, jax.random.key(0), (source, None, target))
    >>> memory = jax.eval_shape(model.encode, params, source)
    >>> jax.eval_shape(model.net, params, (source, None, target)).shape, memory.shape
    ((2, 4, 10), (2, 5, 8))
    >>> jax.eval_shape(nn.unroll(model.decode), params, (target, memory, None)).shape
    (2, 4, 10)
    """
    title = "encoder_decoder"
    place = placement(title, positions, length, width)

    def body(depth, capacity, decodes):
        net = transformer(
            depth,
            heads,
            4 * width if mlp_width is None else mlp_width,
            kv_heads=kv_heads,
            causal=decodes,
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
            cross=decodes,
            remat=remat,
            unroll=unroll,
            implementation=implementation,
            w_init=w_init,
            out_init=out_init,
        )
        return with_dropout(net, dropout, before=True)

    embed = source = {"embed": embedding(vocabulary, width)}
    if source_vocabulary is not None:
        source = {"source_embed": embedding(source_vocabulary, width)}

    def reader():
        where = positioned(place, False, "source_positions")
        return source | where | {"encoder": body(depth, None, False)}

    def writer(capacity):
        where = positioned(place, capacity is not None)
        blocks = depth if decoder_depth is None else decoder_depth
        return embed | where | {"decoder": body(blocks, capacity, True)}

    def encode(f, x):
        (table,) = (getattr(f, name) for name in source)
        where = getattr(f, "source_positions", None)
        return uncouple(f.encoder(embedded(table, where, couple(*normalize_mask(x)), place)))[0]

    def decode(f, x):
        tokens, memory, mask = triple(x)
        mask = mask if mask is None else normalize_mask((memory, mask))[1]
        h = embedded(f.embed, getattr(f, "positions", None), tokens, place)
        h, mask = uncouple(f.decoder((h, memory, mask)))
        return paired(f.embed(h), mask)

    def both(f, x):
        if type(x) is not tuple or len(x) != 3:
            raise ValueError(
                f"{title} takes (source, source_mask, target), with None for no padding, got "
                f"{core.describe(x)}."
            )
        text, mask, target = x
        return decode(f, (target, encode(f, couple(text, mask)), mask))

    return EncoderDecoder(
        wire(both, **(reader() | writer(None))),
        _part(wire(encode, **reader()), *reader()),
        _part(wire(decode, **writer(capacity)), *writer(capacity)),
    )


def _part(net: Layer | Cell, *names: str) -> Net:
    """A net that takes what is its own of the params of a larger one."""

    def own(params):
        missing = [each for each in names if each not in params]
        if missing:
            raise ValueError(f"{net.name} misses the params {missing}: take those of net.")
        return {each: params[each] for each in names}

    def carry(params, x):
        return core.initial_carry(net, own(params), x)

    def apply(params, state, x, *, key=None, train=False):
        memory, x = x
        y, memory, state = core.apply_either(
            net, own(params), state, memory, x, key=key, train=train
        )
        return (memory, y), state

    return core.layer_or_cell("encoder_decoder", net.init, carry, apply, net)
