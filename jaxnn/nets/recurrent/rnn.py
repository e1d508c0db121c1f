"""Recurrent networks: bodies of stacked cells, and what they are for.

A body is any `Cell` from vectors to vectors, `rnn` or `linear_rnn`, or `stack` of an embedding and
one of these. On a body stand `rnn_tagger` (an output a step), `rnn_classifier` (one a sequence),
`rnn_language_model` (the next token) and, with `seq2seq`, `attention_decoder` (a sequence from
another); for labels without alignment see `jaxnn.nets.recurrent.ctc`. All but the classifier are
cells: give whole sequences to `unroll` of them, with lengths or a mask where they are padded, and
to be served feed them step by step; both give the same.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.combine import repeat
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import concatenate, residual, wire
from jaxnn.layers.attention.attention import cross_attention
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.dense import dense
from jaxnn.layers.embed import embedding
from jaxnn.layers.noise import dropout as dropped
from jaxnn.layers.norm import layer_norm
from jaxnn.layers.recurrent.linear import lru
from jaxnn.printing import factory
from jaxnn.sequences.masks import normalize_mask, pool_steps, split_mask
from jaxnn.sequences.unroll import bidirectional as both_ways
from jaxnn.sequences.unroll import stack, unroll

POOLS = "last", "mean", "max"


@factory
def rnn(
    cell: Any,
    width: int,
    depth: int = 1,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
    norm: Callable | None = None,
) -> Net:
    """Recurrent layers one on the other: each reads what the one below puts out.

    Args:
      cell: a factory of cells, such as `elman`, `lstm` or `gru`; `partial(lstm, peepholes=True)`
        for one with options.
      width: of each layer, and of y; y is twice as wide with both directions.
      depth: how many layers.
      bidirectional: whether each layer runs both ways, its outputs side by side. It then takes
        whole sequences.
      dropout: the fraction dropped between layers in training.
      norm: a factory, such as `layer_norm`, of what follows each layer.

    Raises:
      ValueError: for a depth of zero; for what `cell` and `dropout` refuse.

    (Graves, Mohamed and Hinton, Speech recognition with deep recurrent neural networks, 2013;
    dropout between layers alone: Zaremba, Sutskever and Vinyals, Recurrent neural network
    regularization, 2014.)

    >>> import jax, jaxnn as nn
    >>> net = nn.unroll(nn.rnn(nn.lstm, 8, 2, bidirectional=True, dropout=0.3))
    >>> x, lengths = jax.numpy.ones((4, 6, 3)), jax.numpy.array([6, 2, 1, 0])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, (x, lengths)).shape
    (4, 6, 16)
    """
    if not callable(cell) or isinstance(cell, Cell):
        what = f"a cell, {cell.name}" if isinstance(cell, Cell) else repr(cell)
        raise TypeError(
            f"rnn takes a factory of cells, such as nn.gru, got {what}: rnn(nn.gru, 32)."
        )
    layers: list = []
    make: Callable[[int], Any] = cell
    for i in range(core.check_int(depth, "rnn: depth")):
        layers += [dropped(dropout)] if i and dropout else []
        layers += [both_ways(make(width), make(width)) if bidirectional else make(width)]
        layers += [] if norm is None else [norm()]
    return stack(*layers)


@factory
def linear_rnn(
    width: int,
    depth: int = 1,
    *,
    cell: Callable[[int], Cell] = lru,
    bidirectional: bool = False,
    dropout: float = 0.0,
    norm: Callable = layer_norm,
) -> Net:
    """Linear recurrent layers with what is not linear between them, after a dense layer.

    h <- h + dropout(GLU(dropout(gelu(cell(norm(h)))))), depth times, by `repeat`

    A recurrence that is linear in its memory runs over all steps at once, and stacked by itself it
    would be linear still.

    Args:
      width: of h and y.
      depth: how many layers.
      cell: a factory of cells, such as `lru`, `min_gru` or `min_lstm`.
      bidirectional: whether each layer runs both ways. It then takes whole sequences.
      dropout: the fraction dropped in training, at both places.
      norm: a factory of what is before each cell.

    Raises:
      ValueError: for a depth of zero; for what `cell` and `dropout` refuse.

    (Orvieto et al., Resurrecting recurrent neural networks for long sequences, 2023; GLU: Dauphin
    et al., Language modeling with gated convolutional networks, 2017.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.linear_rnn(8, 4)), jax.numpy.ones((4, 6, 3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 8)
    """
    depth = core.check_int(depth, "linear_rnn: depth")
    one = both_ways(cell(width), cell(width)) if bidirectional else cell(width)
    drop = dropped(dropout)
    layer = stack(norm(), one, jax.nn.gelu, drop, dense(2 * width), jax.nn.glu, drop)
    return stack(dense(width), repeat(residual(layer), depth))


@factory
def rnn_tagger(body: Any, outputs: int, *, dropout: float = 0.0) -> Net:
    """An output for each step: y_t = h_t w + b, where h are the outputs of a body.

    Args:
      body: a cell; for tokens `stack(embedding(...), rnn(...))`.
      outputs: features of y: classes, whose logits they are, or numbers to foresee.
      dropout: the fraction of h dropped in training.

    Raises:
      TypeError: for a body that is no cell.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.rnn_tagger(nn.rnn(nn.gru, 8), 5)), jax.numpy.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape, sorted(params)
    ((4, 6, 5), ['body', 'dropout', 'head'])
    """
    return stack(body=_body(body, "rnn_tagger"), dropout=dropped(dropout), head=dense(outputs))


@factory
def rnn_classifier(body: Any, outputs: int, *, pool: str = "last", dropout: float = 0.0) -> Layer:
    """An output for each sequence: y = pool_t(h_t) w + b, where h are the outputs of a body.

    It takes x, (x, lengths) or (x, mask), as `unroll` does; only valid steps are pooled, and where
    a row has none zeros are. Its params are those of `rnn_tagger`, which puts out at each step what
    the classifier of the last step says of the sequence so far.

    Args:
      body: a cell; for tokens `stack(embedding(...), rnn(...))`.
      outputs: features of y [batch, outputs]: classes, whose logits they are, or numbers.
      pool: "last", the last valid step, "mean" or "max" over the valid steps. The last step of a
        bidirectional body has seen only one step backwards: take another for it.
      dropout: the fraction of what is pooled that is dropped in training.

    Raises:
      TypeError: for a body that is no cell.
      ValueError: for another pool.

    >>> import jax, jaxnn as nn
    >>> body = nn.stack(nn.embedding(10, 8), nn.rnn(nn.gru, 8, bidirectional=True))
    >>> net, x = nn.rnn_classifier(body, 2, pool="max"), jax.numpy.ones((4, 6), int)
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, (x, jax.numpy.array([6, 2, 1, 0]))).shape
    (4, 2)
    """
    if pool not in POOLS:
        raise ValueError(f"rnn_classifier: pool is one of {POOLS}, got {pool!r}.")

    def flow(f, x):
        h = f.body(x)
        return f.head(f.dropout(h if pool == "last" else pool_steps(h, normalize_mask(x)[1], pool)))

    reader = unroll(_body(body, "rnn_classifier"), last=pool == "last")
    return wire(flow, body=reader, dropout=dropped(dropout), head=dense(outputs))


@factory
def rnn_language_model(
    body: Any, vocabulary: int, width: int, *, tied: bool = True, dropout: float = 0.0
) -> Net:
    """Logits of the next token: y_t = body(dropout(embed(x)))_t w^T, with w the embedding's.

    A cell of tokens int [batch, time], or (tokens, mask), to logits [batch, time, vocabulary] in
    the dtype of the params; `generate` draws from it.

    Args:
      body: a cell of vectors, such as `rnn(lstm, width, 2)`.
      vocabulary: how many tokens there are.
      width: of a token's vector, and of what the body puts out where w is tied.
      tied: whether input and output share w; else the output has a dense layer of its own.
      dropout: the fraction dropped in training of what enters the body and of what leaves it.

    Raises:
      TypeError: for a body that is no cell.
      ValueError: for a body of another width, where w is tied.

    (Mikolov et al., Recurrent neural network based language model, 2010; tying: Press and Wolf,
    Using the output embedding to improve language models, 2017.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.rnn_language_model(nn.rnn(nn.lstm, 8), 10, 8), jax.numpy.ones((4, 6), int)
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> nn.unroll(net)(params, x).shape
    (4, 6, 10)
    """

    def flow(f, x):
        tokens, mask = split_mask(x)
        h = f.input_dropout(f.embed(tokens))
        h = f.dropout(split_mask(f.body(paired(h, mask)))[0])
        return paired(f.embed(h) if tied else f.head(h), mask)

    parts = {
        "embed": embedding(vocabulary, width),
        "input_dropout": dropped(dropout),
        "body": _body(body, "rnn_language_model"),
        "dropout": dropped(dropout),
    }
    return wire(flow, **parts) if tied else wire(flow, **parts, head=dense(vocabulary))


@factory
def attention_decoder(
    body: Any, vocabulary: int, width: int, *, heads: int = 1, dropout: float = 0.0
) -> Net:
    """Logits of the next token of a target, from those before it and a memory of the source.

    h = body([embed(x), mean of the memory]), c = cross_attention(h, memory)
    y = tanh([h, c] w) embed^T

    A cell of (tokens int [batch, time], memory [batch, keys, features], mask bool [batch, keys]),
    with None for a mask where all keys count, and (tokens, mask) for tokens where some do not. The
    memory comes with every chunk, the same each time. In training the tokens are a start and
    the target without its end, and what is wanted is the target: teacher forcing, so that all steps
    run at once. To decode, tokens are drawn from it: `generate` and `beam_search` with
    `inputs=lambda tokens, context: (tokens, *context), context=(memory, mask)`.

    Args:
      body: a cell of vectors.
      vocabulary: of the target.
      width: of a token's vector, which the output shares.
      heads: of the attention. With one its logits are bilinear, "general" in the paper.
      dropout: the fraction dropped in training of the vectors and of what the output sees.

    Raises:
      TypeError: for a body that is no cell.
      ValueError: for x that is not such a triple.

    (Luong, Pham and Manning, Effective approaches to attention-based neural machine translation,
    2015, without feeding c back; the body starts from zeros, and sees the source at every step as
    in Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.)

    >>> import jax, jaxnn as nn
    >>> net = nn.unroll(nn.attention_decoder(nn.rnn(nn.gru, 8), 10, 8))
    >>> x = jax.numpy.ones((4, 6), int), jax.numpy.ones((4, 5, 16)), jax.numpy.ones((4, 5), bool)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 10)
    """

    def flow(f, x):
        tokens, memory, memory_mask = _triple(x, "attention_decoder", "(tokens, memory, mask)")
        tokens, mask = split_mask(tokens)
        e = f.input_dropout(f.embed(tokens).astype(memory.dtype))
        source = pool_steps(memory, memory_mask, "mean")[:, None]
        source = jnp.broadcast_to(source, (*e.shape[:2], source.shape[-1]))
        h, _ = split_mask(f.body(paired(concatenate((e, source)), mask)))
        c = f.attention((h, memory, memory_mask))
        y = jnp.tanh(f.mix(concatenate((h, c))))
        return paired(f.embed(f.dropout(y)), mask)

    return wire(
        flow,
        embed=embedding(vocabulary, width),
        input_dropout=dropped(dropout),
        body=_body(body, "attention_decoder"),
        attention=cross_attention(heads),
        mix=dense(width),
        dropout=dropped(dropout),
    )


@factory
def seq2seq(encoder: Layer, decoder: Cell) -> Layer:
    """A sequence from another: y = decoder(target, encoder(source)), with teacher forcing.

    It takes (source, lengths, target), or (source, mask, target): the source, every leaf
    [batch, keys, ...], with lengths int [batch] or a mask bool [batch, keys], or None where nothing
    is padded, and the tokens that the decoder sees, int [batch, time].

    Args:
      encoder: a layer of (source, lengths) to a memory [batch, keys, features], such as
        `unroll(stack(embedding(...), rnn(...)))`; params are {"encoder": ..., "decoder": ...}, so
        that `encoder(params["encoder"], (source, lengths))` is the memory to decode from.
      decoder: a cell of (target, memory, mask), such as `attention_decoder`.

    Raises:
      TypeError: for a decoder that is no cell.
      ValueError: for x that is not such a triple.

    (Sutskever, Vinyals and Le, Sequence to sequence learning with neural networks, 2014.)

    >>> import jax, jaxnn as nn
    >>> body = nn.stack(nn.embedding(10, 8), nn.rnn(nn.gru, 8, bidirectional=True))
    >>> net = nn.seq2seq(nn.unroll(body), nn.attention_decoder(nn.rnn(nn.gru, 8), 12, 8))
    >>> x = jax.numpy.ones((4, 5), int), jax.numpy.array([5, 4, 2, 1]), jax.numpy.ones((4, 6), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 12)
    """

    def flow(f, x):
        source, lengths, target = _triple(x, "seq2seq", "(source, lengths, target)")
        if lengths is None:
            return f.decoder((target, f.encoder(source), None))
        source, mask = normalize_mask((source, lengths))
        return f.decoder((target, f.encoder((source, mask)), mask))

    return wire(flow, encoder=encoder, decoder=unroll(decoder))


def _body(body: Any, title: str) -> Cell:
    if not isinstance(body, Cell):
        raise TypeError(
            f"{title} takes a body that is a cell, such as rnn(lstm, 64), got {body!r}: leave out "
            "unroll."
        )
    return body


def _triple(x: Any, title: str, wanted: str) -> tuple:
    if type(x) is not tuple or len(x) != 3:
        raise ValueError(f"{title} takes {wanted}, got {core.describe(x)}.")
    return x
