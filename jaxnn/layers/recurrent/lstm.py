"""Long short-term memory, over vectors and over images."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell
from jaxnn.layers.recurrent.cells import (
    affine,
    check_chunk,
    concat_weights,
    gates,
    init_gates,
    orthogonal,
    zeros,
)
from jaxnn.printing import factory
from jaxnn.sequences.chunks import recurrent


@factory
def lstm(
    width: int,
    *,
    peepholes: bool = False,
    projection: int | None = None,
    coupled: bool = False,
    forget_bias: float = 1.0,
    activation: Callable = jnp.tanh,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    u_init: Callable = orthogonal,
    b_init: Callable = jax.nn.initializers.zeros,
    peephole_init: Callable = jax.nn.initializers.zeros,
    projection_init: Callable = jax.nn.initializers.lecun_normal(),
) -> Cell:
    """Long short-term memory, whose carry is (h, c) and whose output is h.

        (i, f, g, o) = split(x_t w + h_{t-1} u + b)
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) activation(g)
        h_t = sigmoid(o) activation(c_t), or that times the matrix "projection"

    Args:
      width: features of c, and of h and y if there is no projection.
      peepholes: whether the gates see the memory: i and f gain c_{t-1} p, o gains c_t p, where
        "peepholes" holds the rows p [width] of i, f and o (Gers & Schmidhuber, Recurrent nets that
        time and count, 2000).
      projection: features of h and y, if they differ from width (Sak et al., Long short-term memory
        based recurrent neural network architectures for large scale acoustic modeling, 2014).
      coupled: whether the input gate is 1 - sigmoid(f); then the gates are f, g and o only.
      forget_bias: added to the forget gate's part of b at initialization (1.0: Jozefowicz et al.,
        An empirical exploration of recurrent network architectures, 2015).
      activation: an elementwise function, applied to g and c.
      w_init: initializer of w [features, 4 width], for each gate separately; LeCun normal by
        default, as in `dense`.
      u_init: initializer of u [width, 4 width], for each gate separately; orthogonal by default
        (Saxe et al., Exact solutions to the nonlinear dynamics of learning, 2014).
      b_init: initializer of b [4 width], for each gate separately; zeros by default.
      peephole_init: initializer of the peepholes; zeros by default.
      projection_init: initializer of the projection; LeCun normal by default.

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width or projection] of x's
      dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], or if the params take other features.

    (Hochreiter & Schmidhuber, Long short-term memory, 1997; with the forget gate of Gers et al.,
    Learning to forget, 2000; variants as in Greff et al., LSTM: a search space odyssey, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> cell, x = nn.lstm(8, projection=5), jnp.ones((4, 6, 3))
    >>> params, _ = cell.init(jax.random.key(0), x)
    >>> [leaf.shape for leaf in cell.carry(params, x)], nn.unroll(cell)(params, x).shape
    ([(4, 5), (4, 8)], (4, 6, 5))
    """
    width = core.check_int(width, "lstm: width")
    out = width if projection is None else core.check_int(projection, "lstm: projection")
    size = 3 if coupled else 4
    extra = ("peepholes",) * peepholes + ("projection",) * (projection is not None)

    def init(key, x):
        params = init_gates(key, check_chunk(x, "lstm"), size, width, out, w_init, u_init, b_init)
        dtype, forget = core.param_dtype(x), slice((size - 3) * width, (size - 2) * width)
        params["b"] = params["b"].at[forget].add(forget_bias)
        if peepholes:
            params["peepholes"] = peephole_init(core.fold_in(key, 3), (size - 1, width), dtype)
        if projection is not None:
            params["projection"] = projection_init(core.fold_in(key, 4), (width, out), dtype)
        return params, ()

    def carry(params, x):
        return zeros("lstm", out, params, x), zeros("lstm", width, params, x)

    def end(params, z, c):
        h, c = remember(z, c, activation, coupled, params.get("peepholes"))
        h = h if projection is None else jnp.matmul(h, params["projection"])
        return (h, c), h

    def step(params, memory, z):
        h, c = memory
        return end(params, z + jnp.matmul(h, params["u"]), c)

    def fused(params):
        # x, h and a one for the bias in one matmul, for half of the gates at a time where they are
        # wide, which is faster at 128 units and slower at 64.
        w, u, b = params["w"], params["u"], params["b"][None]
        halves = slice(2 * width), slice(2 * width, None)
        cuts = halves if width > 64 else (slice(None),)
        products = [concat_weights(w[:, at], u[:, at], b[:, at]) for at in cuts]

        def once(memory, x):
            h, c = memory
            one = jnp.ones((x.shape[0], 1), x.dtype)
            z = jnp.concatenate([product(x, h, one) for product in products], axis=-1)
            return end(params, z, c)

        return once

    project = affine("lstm", size * width, "w", "u", "b", *extra)
    return recurrent(init, carry, step, project, fused)


@factory
def conv_lstm(
    width: int,
    kernel_size: int | Sequence[int],
    *,
    forget_bias: float = 1.0,
    activation: Callable = jnp.tanh,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    u_init: Callable = orthogonal,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Cell:
    """An LSTM over images: z_t = conv(x_t, w) + conv(h_{t-1}, u) + b, with the gates of `lstm`.

    The carry is (h, c), each [batch, *space, width], and the output is h. There are one, two or
    three spatial axes, which keep their sizes ("SAME" padding).

    Args:
      width: channels of h, c and y.
      kernel_size: size of both kernels, one integer, or one for each spatial axis.
      forget_bias: added to the forget gate's part of b at initialization.
      activation: an elementwise function, applied to the gate g and to c.
      w_init: initializer of w [*kernel_size, channels, 4 width], for each of the gates i, f, g and
        o separately; LeCun normal by default.
      u_init: initializer of u [*kernel_size, width, 4 width], for each gate separately; orthogonal
        by default.
      b_init: initializer of b [4 width], for each gate separately; zeros by default.

    Returns:
      A cell from chunks x [batch, time, *space, channels] to y [batch, time, *space, width] of x's
      dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, *space, channels], if the kernel has another number of
        axes, or if the params take other channels.

    (Shi et al., Convolutional LSTM network: a machine learning approach for precipitation
    nowcasting, 2015, without its peepholes, as in Keras.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.conv_lstm(8, 3)), jnp.ones((4, 6, 5, 5, 1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((3, 3, 1, 32), (4, 6, 5, 5, 8))
    """
    width = core.check_int(width, "conv_lstm: width")
    sizes: Any = (kernel_size,) if hasattr(kernel_size, "__index__") else kernel_size
    sizes = tuple(core.check_int(size, "conv_lstm: kernel_size") for size in sizes)

    def window(x):
        space = core.check_features(x, "conv_lstm").ndim - 3
        if space not in (1, 2, 3) or len(sizes) not in (1, space):
            raise ValueError(
                f"conv_lstm of kernel_size {kernel_size} takes [batch, time, *space, channels] "
                f"with one to three spatial axes, one for each size, got {core.describe(x)}."
            )
        return sizes * space if len(sizes) == 1 else sizes

    def init(key, x):
        w, u = (*window(x), x.shape[-1], width), (*window(x), width, width)
        named = {"w": (w_init, w), "u": (u_init, u), "b": (b_init, (width,))}
        params = gates(key, named, 4, core.param_dtype(x))
        params["b"] = params["b"].at[width : 2 * width].add(forget_bias)
        return params, ()

    def carry(params, x):
        window(x)
        h = jnp.zeros((x.shape[0], *x.shape[2:-1], width), x.dtype)
        return h, h

    def project(params, x):
        w, _, b = core.unpack_params(params, x, "conv_lstm", "w", "u", "b")
        return _conv(x, w) + b.reshape((1,) * (x.ndim - 1) + (-1,))

    def step(params, memory, z):
        h, c = memory
        h, c = remember(z + _conv(h, params["u"]), c, activation)
        return (h, c), h

    return recurrent(init, carry, step, project)


def _conv(x: Any, w: Any) -> Any:
    """A convolution that keeps the size of images [..., *space, channels]."""
    if x.shape[-1] != w.shape[-2]:
        raise ValueError(
            f"conv_lstm has params for {w.shape[-2]} channels, got {core.describe(x)}: feed "
            f"{w.shape[-2]} channels, or init with an example of {x.shape[-1]}."
        )
    axes = "DHW"[-(w.ndim - 2) :]
    y = jax.lax.conv_general_dilated(
        x.reshape(-1, *x.shape[-(w.ndim - 1) :]),
        w,
        window_strides=(1,) * len(axes),
        padding="SAME",
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )
    return y.reshape(*x.shape[:-1], w.shape[-1])


def remember(
    z: Any, c: Any, activation: Callable, coupled: bool = False, peepholes: Any = None
) -> tuple[Any, Any]:
    """(h, c) of a long short-term memory from the gates' inputs z and the previous c."""
    *i, f, g, o = jnp.split(z, 3 if coupled else 4, axis=-1)

    def gate(z, row, c):
        return jax.nn.sigmoid(z if peepholes is None else z + peepholes[row][None] * c)

    f = gate(f, -2, c)
    i = 1 - f if coupled else gate(i[0], 0, c)
    c = f * c + i * activation(g)
    return gate(o, -1, c) * activation(c), c
