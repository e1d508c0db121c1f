"""Plain and gated recurrent cells, which compute all gates of a step in one matmul.

Each takes chunks [batch, time, features], or a pair (x, mask) as in `jaxnn.sequences.masks`, and
returns [batch, time, width]; output and carry have x's dtype. PyTorch has one bias for the input
and one for the hidden state; only their sum matters, so there is one bias here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell
from jaxnn.printing import factory
from jaxnn.sequences.chunks import recurrent

orthogonal = jax.nn.initializers.orthogonal()


@factory
def elman(
    width: int,
    *,
    activation: Callable = jnp.tanh,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    u_init: Callable = orthogonal,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Cell:
    """The plain recurrent network: h_t = activation(x_t w + h_{t-1} u + b), y_t = h_t.

    Args:
      width: features of h and y.
      activation: an elementwise function.
      w_init: initializer of w [features, width]; LeCun normal by default, as in `dense`.
      u_init: initializer of u [width, width]; orthogonal by default (Saxe et al., Exact solutions
        to the nonlinear dynamics of learning, 2014).
      b_init: initializer of b [width]; zeros by default.

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width] of x's dtype, whose
      carry is h [batch, width].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], or if the params take other features.

    (Elman, Finding structure in time, 1990.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> cell, x = nn.elman(8), jnp.ones((4, 6, 3))
    >>> params, state = cell.init(jax.random.key(0), x)
    >>> (carry, y), _ = cell.apply(params, state, (cell.carry(params, x), x))
    >>> carry.shape, y.shape
    ((4, 8), (4, 6, 8))
    """
    width = core.check_int(width, "elman: width")

    def init(key, x):
        return init_gates(key, check_chunk(x, "elman"), 1, width, width, w_init, u_init, b_init), ()

    def step(params, h, z):
        h = activation(z + jnp.matmul(h, params["u"]))
        return h, h

    return recurrent(
        init, partial(zeros, "elman", width), step, affine("elman", width, "w", "u", "b")
    )


@factory
def gru(
    width: int,
    *,
    reset_after: bool = True,
    activation: Callable = jnp.tanh,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    u_init: Callable = orthogonal,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Cell:
    """The gated recurrent unit: h_t = z h_{t-1} + (1 - z) n, y_t = h_t.

    r and z are sigmoids of their parts of x_t w + h_{t-1} u + b, and n is one of

        activation(x_t w_n + b_n + r (h_{t-1} u_n + b_h))    if the reset comes after the matmul
        activation(x_t w_n + b_n + (r h_{t-1}) u_n)          if it comes before it

    Args:
      width: features of h and y.
      reset_after: whether the reset gate is applied after the matmul.
      activation: an elementwise function, applied to n.
      w_init: initializer of w [features, 3 width], for each of r, z and n separately; LeCun normal
        by default, as in `dense`.
      u_init: initializer of u [width, 3 width], for each of r, z and n separately; orthogonal by
        default (Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014).
      b_init: initializer of b [3 width], for each of r, z and n separately; zeros by default. It
        also initializes "b_h" [width] if reset_after.

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width] of x's dtype, whose
      carry is h [batch, width].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], or if the params take other features.

    (Cho et al., Learning phrase representations using RNN encoder-decoder, 2014, which resets
    before the matmul; after it is the form of cuDNN, PyTorch, Keras and Flax, and needs one matmul
    a step.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> cell, x = nn.gru(8), jnp.ones((4, 6, 3))
    >>> params, _ = cell.init(jax.random.key(0), x)
    >>> params["w"].shape, nn.unroll(cell)(params, x).shape
    ((3, 24), (4, 6, 8))
    """
    width = core.check_int(width, "gru: width")
    names = ("w", "u", "b", "b_h") if reset_after else ("w", "u", "b")
    gates_end = 2 * width  # the column where n begins

    def init(key, x):
        params = init_gates(key, check_chunk(x, "gru"), 3, width, width, w_init, u_init, b_init)
        if reset_after:
            params["b_h"] = b_init(core.fold_in(key, 3), (width,), core.param_dtype(x))
        return params, ()

    def end(h, x, of_gates, of_n):
        r, z = jnp.split(jax.nn.sigmoid(x[:, :gates_end] + of_gates(h)), 2, axis=-1)
        n = activation(x[:, gates_end:] + (r * of_n(h) if reset_after else of_n(r * h)))
        h = n + z * (h - n)
        return h, h

    def step(params, h, x):
        u = params["u"]
        if reset_after:
            z, b = jnp.matmul(h, u), params["b_h"][None]
            return end(h, x, lambda _: z[:, :gates_end], lambda _: z[:, gates_end:] + b)
        u, u_n = u[:, :gates_end], u[:, gates_end:]
        return end(h, x, lambda h: jnp.matmul(h, u), lambda rh: jnp.matmul(rh, u_n))

    def fused(params):
        # Separate matmuls for the gates and for n are faster than one for all.
        of_x, of_gates = (
            concat_weights(params["w"], params["b"][None]),
            concat_weights(params["u"][:, :gates_end]),
        )
        b_h = (params["b_h"][None],) if reset_after else ()
        of_n = concat_weights(params["u"][:, gates_end:], *b_h)

        def once(h, x):
            one = jnp.ones((x.shape[0], 1), x.dtype)
            ones = (one,) if reset_after else ()
            return end(h, of_x(x, one), of_gates, lambda h: of_n(h, *ones))

        return once

    return recurrent(
        init, partial(zeros, "gru", width), step, affine("gru", 3 * width, *names), fused
    )


@factory
def mgu(
    width: int,
    *,
    activation: Callable = jnp.tanh,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    u_init: Callable = orthogonal,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Cell:
    """The minimal gated unit, a GRU with one gate: h_t = (1 - f) h_{t-1} + f n, y_t = h_t.

        f = sigmoid(x_t w_f + h_{t-1} u_f + b_f)
        n = activation(x_t w_n + (f h_{t-1}) u_n + b_n)

    Args:
      width: features of h and y.
      activation: an elementwise function, applied to n.
      w_init: initializer of w [features, 2 width], for f and n separately; LeCun normal by default,
        as in `dense`.
      u_init: initializer of u [width, 2 width], for f and n separately; orthogonal by default (Saxe
        et al., Exact solutions to the nonlinear dynamics of learning, 2014).
      b_init: initializer of b [2 width], for f and n separately; zeros by default.

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width] of x's dtype, whose
      carry is h [batch, width].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], or if the params take other features.

    (Zhou et al., Minimal gated unit for recurrent neural networks, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> cell, x = nn.mgu(8), jnp.ones((4, 6, 3))
    >>> params, _ = cell.init(jax.random.key(0), x)
    >>> params["w"].shape, nn.unroll(cell)(params, x).shape
    ((3, 16), (4, 6, 8))
    """
    width = core.check_int(width, "mgu: width")

    def init(key, x):
        return init_gates(key, check_chunk(x, "mgu"), 2, width, width, w_init, u_init, b_init), ()

    def step(params, h, x):
        (x_f, x_n), (u_f, u_n) = jnp.split(x, 2, axis=-1), jnp.split(params["u"], 2, axis=-1)
        f = jax.nn.sigmoid(x_f + jnp.matmul(h, u_f))
        h = h + f * (activation(x_n + jnp.matmul(f * h, u_n)) - h)
        return h, h

    return recurrent(
        init, partial(zeros, "mgu", width), step, affine("mgu", 2 * width, "w", "u", "b")
    )


# What the cells share


def check_chunk(x: Any, title: str) -> Any:
    """x, which must be floating point [batch, time, features]."""
    if core.check_features(x, title).ndim != 3:
        raise ValueError(
            f"{title} takes [batch, time, features], got {core.describe(x)}: one step is a chunk "
            "of length 1, x[:, None]."
        )
    return x


def zeros(title: str, width: int, params: Any, x: Any) -> jax.Array:
    """The carry [batch, width] before the first step, in x's dtype."""
    return jnp.zeros((check_chunk(x, title).shape[0], width), x.dtype)


def init_gates(key: Any, x: Any, n: int, width: int, out: int, *inits: Callable) -> dict[str, Any]:
    """w, u and b of n gates; out is the width of what u multiplies."""
    shapes = (x.shape[-1], width), (out, width), (width,)
    named = dict(zip("wub", zip(inits, shapes, strict=True), strict=True))
    return gates(key, named, n, core.param_dtype(x))


def gates(key: Any, named: dict[str, tuple], n: int, dtype: Any) -> dict[str, Any]:
    """Params of n gates side by side, each gate initialized separately, since initializers use its
    shape.
    """
    params = {}
    for i, (name, (init, shape)) in enumerate(named.items()):
        keys = [core.fold_in(core.fold_in(key, i), gate) for gate in range(n)]
        params[name] = jnp.concatenate([init(each, shape, dtype) for each in keys], axis=-1)
    return params


def matmul(x: Any, w: Any, title: str) -> Any:
    """x w over the last axis; raises ValueError if the number of features differs."""
    if x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"{title} has params for {w.shape[0]} features, got {core.describe(x)}: feed "
            f"{w.shape[0]} features, or init with an example of {x.shape[-1]}."
        )
    # With leading axes flattened the weight gradient contracts one axis, which is faster.
    return jnp.matmul(x.reshape(-1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[1])


def concat_weights(*weights: Any) -> Callable:
    """A function of pieces [batch, features]: `side_by_side` of weights, concatenated once."""
    whole, turned = jnp.concatenate(weights), tuple(weight.T for weight in weights)
    return lambda *pieces: side_by_side(pieces, turned, whole)


@jax.custom_jvp
def side_by_side(pieces: tuple, turned: tuple, whole: Any) -> jax.Array:
    """The sum of pieces [batch, features] times their weights [features, width], as one matmul.

    `whole` is the weights concatenated along their rows, `turned` the transpose of each, both
    computed once for many steps. The gradient of a piece is then a matmul of its own, in the order
    that is fast on XLA:CPU; it is skipped if nothing is learned from it, and no matmul has an odd
    width.
    """
    return jnp.matmul(jnp.concatenate(pieces, axis=-1), whole)


@partial(side_by_side.defjvp, symbolic_zeros=True)
def _side_by_side_jvp(primals, tangents):
    (pieces, turned, whole), (changes, _, of_whole) = primals, tangents
    zero, row = jax.custom_derivatives.SymbolicZero, jnp.concatenate(pieces, axis=-1)
    pairs = [pair for pair in zip(changes, turned, strict=True) if type(pair[0]) is not zero]
    terms = [jax.lax.dot_general(a, b, (((1,), (1,)), ((), ()))) for a, b in pairs]
    if type(of_whole) is not zero:
        terms.append(jnp.matmul(row, of_whole))
    y = jnp.matmul(row, whole)
    return y, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(y)


def affine(title: str, columns: int, *names: str) -> Callable:
    """A function for the part of a step without memory, x w + b, for x [..., features].

    columns: the columns of w, those of all gates; other params are refused.
    """

    def project(params, x):
        weights = dict(zip(names, core.unpack_params(params, x, title, *names), strict=True))
        if weights["w"].shape[-1] != columns:
            raise ValueError(
                f"{title} takes w with {columns} columns, got {core.describe(weights['w'])}: these "
                "are the params of a cell of another width."
            )
        b = weights["b"].reshape((1,) * (x.ndim - 1) + (-1,))
        return matmul(x, weights["w"], title) + b

    return project
