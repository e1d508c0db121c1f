"""Recurrent nets for a task: an output for each step, one for each sequence, or the next token."""

from typing import Any

from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import wire
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.dense import dense
from jaxnn.layers.embed import embedding
from jaxnn.layers.noise import dropout as dropout_layer
from jaxnn.printing import factory
from jaxnn.sequences.masks import pool_steps, split_mask
from jaxnn.sequences.unroll import stack, unroll

POOLS = "last", "mean", "max"


@factory
def rnn_tagger(body: Any, outputs: int, *, dropout: float = 0.0) -> Net:
    """An output for each step of a sequence.

    y_t = h_t w + b, with h the outputs of the body

    Args:
      body: a cell; for tokens, `stack(embedding(...), rnn(...))`.
      outputs: the features of y: the number of classes, for logits, or of values to predict.
      dropout: the fraction of h dropped in training.

    Returns:
      A cell from x [batch, time, ...], the input of the body, to y [batch, time, outputs] of the
      body's dtype; make it a layer of whole sequences with `unroll`.

    Raises:
      TypeError: if the body is not a cell.
      ValueError: if `outputs` is less than 1, or if the dropout is not in [0, 1).

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.rnn_tagger(nn.rnn(nn.gru, 8), 5)), jnp.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape, sorted(params)
    ((4, 6, 5), ['body', 'dropout', 'head'])
    """
    return stack(
        body=check_body(body, "rnn_tagger"), dropout=dropout_layer(dropout), head=dense(outputs)
    )


@factory
def rnn_classifier(body: Any, outputs: int, *, pool: str = "last", dropout: float = 0.0) -> Layer:
    """An output for each sequence.

    y = pool_t(h_t) w + b, with h the outputs of the body

    Only valid steps are pooled, and the pool of a row without any is zero. The params are those of
    `rnn_tagger`, whose output at each step is that of a classifier (with pool "last") of the
    sequence so far.

    Args:
      body: a cell; for tokens, `stack(embedding(...), rnn(...))`.
      outputs: the features of y: the number of classes, for logits, or of values to predict.
      pool: "last", the last valid step, or "mean" or "max" over the valid steps. At the last step
        the backward direction of a bidirectional body has seen only that step, so use another pool
        for such a body.
      dropout: the fraction of the pooled features dropped in training.

    Returns:
      A layer from x [batch, time, ...], (x, lengths) or (x, mask), as `unroll` takes them, to
      y [batch, outputs] of the body's dtype.

    Raises:
      TypeError: if the body is not a cell.
      ValueError: if the pool is unknown, if `outputs` is less than 1, or if the dropout is not in
        [0, 1).

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> body = nn.stack(nn.embedding(10, 8), nn.rnn(nn.gru, 8, bidirectional=True))
    >>> net, tokens = nn.rnn_classifier(body, 2, pool="max"), jnp.ones((4, 6), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), tokens)
    >>> jax.eval_shape(net, params, (tokens, jnp.array([6, 2, 1, 0]))).shape
    (4, 2)
    """
    if pool not in POOLS:
        raise ValueError(f"rnn_classifier: pool is one of {POOLS}, got {pool!r}.")

    def flow(f, x):
        h = f.body(x)
        if pool != "last":
            h = pool_steps(h, split_mask(x, "rnn_classifier", lengths=True)[1], pool)
        return f.head(f.dropout(h))

    reader = unroll(check_body(body, "rnn_classifier"), last=pool == "last")
    return wire(flow, body=reader, dropout=dropout_layer(dropout), head=dense(outputs))


@factory
def rnn_language_model(
    body: Any, vocabulary: int, width: int, *, tied: bool = True, dropout: float = 0.0
) -> Net:
    """Logits of the next token, from the tokens so far.

    y_t = body(dropout(embed(x)))_t w^T, with w the embedding's weights

    `generate` and `beam_search` draw tokens from it.

    Args:
      body: a cell from vectors to vectors, such as `rnn(lstm, width, 2)`.
      vocabulary: the number of different tokens.
      width: the width of a token's vector; if w is tied, also that of the body's output.
      tied: whether input and output share w; otherwise the output has a dense layer of its own.
      dropout: the fraction dropped in training of the body's input and of its output.

    Returns:
      A cell from tokens int [batch, time], or (tokens, mask), to logits [batch, time, vocabulary]
      of the params' dtype.

    Raises:
      TypeError: if the body is not a cell.
      ValueError: if a number is out of range; at init, if w is tied and the body's output has
        another width.

    (Mikolov et al., Recurrent neural network based language model, 2010; tying: Press and Wolf,
    Using the output embedding to improve language models, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, tokens = nn.rnn_language_model(nn.rnn(nn.lstm, 8), 10, 8), jnp.ones((4, 6), int)
    >>> params, _ = net.init(jax.random.key(0), tokens)
    >>> nn.unroll(net)(params, tokens).shape
    (4, 6, 10)
    """

    title = "rnn_language_model"

    def flow(f, x):
        tokens, mask = split_mask(x, title, segments=True)
        h = f.input_dropout(f.embed(tokens))
        h = f.dropout(split_mask(f.body(paired(h, mask)), title, segments=True)[0])
        return paired(f.embed(h) if tied else f.head(h), mask)

    parts = {
        "embed": embedding(vocabulary, width),
        "input_dropout": dropout_layer(dropout),
        "body": check_body(body, title),
        "dropout": dropout_layer(dropout),
    }
    return wire(flow, **parts) if tied else wire(flow, **parts, head=dense(vocabulary))


def check_body(body: Any, title: str) -> Cell:
    """The body, if it is a cell; otherwise TypeError."""
    if not isinstance(body, Cell):
        raise TypeError(
            f"{title} takes a body that is a cell, such as rnn(lstm, 64), got {body!r}: leave out "
            "unroll."
        )
    return body
