"""Recurrent bodies: layers of cells, one on top of the other."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnn import core
from jaxnn.combine import repeat
from jaxnn.core import Cell, Net
from jaxnn.flow import residual
from jaxnn.layers.dense import dense
from jaxnn.layers.noise import dropout as dropout_layer
from jaxnn.layers.norm import layer_norm
from jaxnn.layers.recurrent.linear import lru
from jaxnn.printing import factory
from jaxnn.sequences.unroll import bidirectional as both_ways
from jaxnn.sequences.unroll import stack


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
    """Recurrent layers, each of which reads the outputs of the one below.

    h^l_t = cell(h^l_(t-1), h^(l-1)_t), with h^0 = x and y = h^depth

    Args:
      cell: a factory of cells, such as `elman`, `lstm` or `gru`; `partial(lstm, peepholes=True)`
        for one with options.
      width: the width of each layer.
      depth: the number of layers.
      bidirectional: whether each layer runs in both directions, with the outputs side by side. It
        then needs whole sequences.
      dropout: the fraction dropped between layers in training.
      norm: a factory of the norm after each layer, such as `layer_norm`; None for no norm.

    Returns:
      A cell from x [batch, time, features] to y [batch, time, width], or 2 width if it is
      bidirectional, of x's dtype; make it a layer of whole sequences with `unroll`.

    Raises:
      TypeError: if `cell` is not a factory of cells.
      ValueError: if a number is out of range.

    (Graves, Mohamed and Hinton, Speech recognition with deep recurrent neural networks, 2013;
    dropout only between layers: Zaremba, Sutskever and Vinyals, Recurrent neural network
    regularization, 2014.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.unroll(nn.rnn(nn.lstm, 8, 2, bidirectional=True, dropout=0.3))
    >>> x, lengths = jnp.ones((4, 6, 3)), jnp.array([6, 2, 1, 0])
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, (x, lengths)).shape
    (4, 6, 16)
    """
    if not callable(cell) or isinstance(cell, Cell):
        what = f"a cell, {cell.name}" if isinstance(cell, Cell) else repr(cell)
        raise TypeError(
            f"rnn takes a factory of cells, such as nn.gru, got {what}: use rnn(nn.gru, 32)."
        )
    layers: list = []
    make: Callable[[int], Any] = cell
    for i in range(core.check_int(depth, "rnn: depth")):
        layers += [dropout_layer(dropout)] if i and dropout else []
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
    """A dense layer, then linear recurrent layers with nonlinear layers between them.

    h <- h + dropout(GLU(dropout(gelu(cell(norm(h)))))), depth times, by `repeat`

    A recurrence that is linear in its memory runs over all steps at once; stacked without the
    nonlinear layers it would stay linear.

    Args:
      width: the width of h and y.
      depth: the number of layers.
      cell: a factory of cells, such as `lru`, `min_gru` or `min_lstm`.
      bidirectional: whether each layer runs in both directions. It then needs whole sequences.
      dropout: the fraction dropped in training, at both places.
      norm: a factory of the norm before each cell.

    Returns:
      A cell from x [batch, time, features] to y [batch, time, width] of x's dtype; make it a layer
      of whole sequences with `unroll`.

    Raises:
      ValueError: if a number is out of range.

    (Orvieto et al., Resurrecting recurrent neural networks for long sequences, 2023; GLU: Dauphin
    et al., Language modeling with gated convolutional networks, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.linear_rnn(8, 4)), jnp.ones((4, 6, 3))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 8)
    """
    depth = core.check_int(depth, "linear_rnn: depth")
    recurrent = both_ways(cell(width), cell(width)) if bidirectional else cell(width)
    drop = dropout_layer(dropout)
    layer = stack(norm(), recurrent, jax.nn.gelu, drop, dense(2 * width), jax.nn.glu, drop)
    return stack(dense(width), repeat(residual(layer), depth))
