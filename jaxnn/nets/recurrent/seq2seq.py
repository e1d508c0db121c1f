"""A sequence from another one: a decoder with attention to the source, and the pair of both."""

from typing import Any

import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import concatenate, wire
from jaxnn.layers.attention.attention import cross_attention
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.dense import dense
from jaxnn.layers.embed import embedding
from jaxnn.layers.noise import dropout as dropout_layer
from jaxnn.nets.recurrent.heads import check_body
from jaxnn.printing import factory
from jaxnn.sequences.masks import check_mask, pool_steps, split_mask
from jaxnn.sequences.unroll import unroll


@factory
def attention_decoder(
    body: Any, vocabulary: int, width: int, *, heads: int = 1, dropout: float = 0.0
) -> Net:
    """Logits of a target's next token, from its tokens so far and a memory of the source.

    h = body([embed(x), mean of the memory])
    c = cross_attention(h, memory)
    y = tanh([h, c] w) embed^T

    In training the input tokens are a start token and the target without its end, and the wanted
    output is the target: with this teacher forcing all steps run at once. To decode, use `generate`
    or `beam_search` with `inputs=lambda tokens, context: (tokens, *context)` and
    `context=(memory, mask)`.

    Args:
      body: a cell from vectors to vectors.
      vocabulary: the number of different tokens of the target.
      width: the width of a token's vector, which input and output share.
      heads: the heads of the attention. With one its logits are bilinear, "general" in the paper.
      dropout: the fraction dropped in training of the token vectors and of the output's input.

    Returns:
      A cell from (tokens, memory, mask) to logits [batch, time, vocabulary] of the memory's dtype,
      with tokens int [batch, time], or (tokens, mask of the tokens); memory
      [batch, keys, features], the same for every chunk; and mask bool [batch, keys], or None if all
      keys are valid.

    Raises:
      TypeError: if the body is not a cell.
      ValueError: if a number is out of range; at init, if the input is not such a triple.

    (Luong, Pham and Manning, Effective approaches to attention-based neural machine translation,
    2015, without feeding c back; the body starts from zeros, and sees the source at every step as
    in Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.unroll(nn.attention_decoder(nn.rnn(nn.gru, 8), 10, 8))
    >>> x = jnp.ones((4, 6), int), jnp.ones((4, 5, 16)), jnp.ones((4, 5), bool)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 10)
    """

    def flow(f, x):
        tokens, memory, memory_mask = _triple(x, "attention_decoder", "(tokens, memory, mask)")
        tokens, mask = split_mask(tokens, "attention_decoder", segments=True)
        e = f.input_dropout(f.embed(tokens).astype(memory.dtype))
        source = pool_steps(memory, memory_mask, "mean")[:, None]
        source = jnp.broadcast_to(source, (*e.shape[:2], source.shape[-1]))
        x = paired(concatenate((e, source)), mask)
        h, _ = split_mask(f.body(x), "attention_decoder", segments=True)
        c = f.attention((h, memory, memory_mask))
        y = jnp.tanh(f.mix(concatenate((h, c))))
        return paired(f.embed(f.dropout(y)), mask)

    return wire(
        flow,
        embed=embedding(vocabulary, width),
        input_dropout=dropout_layer(dropout),
        body=check_body(body, "attention_decoder"),
        attention=cross_attention(heads),
        mix=dense(width),
        dropout=dropout_layer(dropout),
    )


@factory
def seq2seq(encoder: Layer, decoder: Cell) -> Layer:
    """A sequence from another one, with teacher forcing.

    y = decoder(target, encoder(source))

    The params are {"encoder": ..., "decoder": ...}, so `encoder(params["encoder"], (source,
    lengths))` is the memory from which to decode.

    Args:
      encoder: a layer from (source, lengths) to a memory [batch, keys, features], such as
        `unroll(stack(embedding(...), rnn(...)))`.
      decoder: a cell of (target, memory, mask), such as `attention_decoder`.

    Returns:
      A layer from (source, lengths, target) or (source, mask, target) to the decoder's output
      [batch, time, ...], with source [batch, keys, ...] in every leaf; lengths int [batch], a mask
      bool [batch, keys], or None if nothing is padded; and target int [batch, time], the tokens
      that the decoder reads.

    Raises:
      TypeError: if the decoder is not a cell.
      ValueError: at init, if the input is not such a triple.

    (Sutskever, Vinyals and Le, Sequence to sequence learning with neural networks, 2014.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> body = nn.stack(nn.embedding(10, 8), nn.rnn(nn.gru, 8, bidirectional=True))
    >>> net = nn.seq2seq(nn.unroll(body), nn.attention_decoder(nn.rnn(nn.gru, 8), 12, 8))
    >>> x = jnp.ones((4, 5), int), jnp.array([5, 4, 2, 1]), jnp.ones((4, 6), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 12)
    """

    def flow(f, x):
        source, lengths, target = _triple(x, "seq2seq", "(source, lengths, target)")
        mask = check_mask(lengths, source, "seq2seq", lengths=True)
        return f.decoder((target, f.encoder(source if mask is None else (source, mask)), mask))

    return wire(flow, encoder=encoder, decoder=unroll(decoder))


def _triple(x: Any, title: str, form: str) -> tuple:
    if type(x) is not tuple or len(x) != 3:
        raise ValueError(f"{title} takes {form}, got {core.describe(x)}.")
    return x
