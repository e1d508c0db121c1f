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
from jaxnn.sequences.unroll import recurrent


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
      width: of c, and of h and y without a projection.
      peepholes: whether the gates see the memory: i and f gain c_{t-1} p, o gains c_t p, with
        "peepholes" the rows p [width] of i, f and o (Gers & Schmidhuber, Recurrent nets that time
        and count, 2000).
      projection: the width of h and y, if it differs (Sak et al., Long short-term memory based
        recurrent neural network architectures for large scale acoustic modeling, 2014).
      coupled: whether the input gate is 1 - sigmoid(f); then there are the gates f, g and o alone.
      forget_bias: added to the forget gate's part of b at the start (1.0: Jozefowicz et al., An
        empirical exploration of recurrent network architectures, 2015).
      activation: elementwise, of g and c.
      w_init, u_init, b_init: as in `elman`, for each gate apart.
      peephole_init, projection_init: zeros and LeCun normal by default.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for x that is not [batch, time, features], or params that take other features.

    (Hochreiter & Schmidhuber, Long short-term memory, 1997; with the forget gate of Gers et al.,
    Learning to forget, 2000; variants as in Greff et al., LSTM: a search space odyssey, 2017.)

    >>> import jax, jaxnn as nn
    >>> cell, x = nn.lstm(8, projection=5), jax.numpy.ones((4, 6, 3))
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
        # x, h and a one for the bias in one product, of half of the gates at a time: a step of
        # training takes 0.95 of what all gates at once take, 128 wide, and 1.08 of it, 64 wide.
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
    """An LSTM over images: z_t = conv(x_t, w) + conv(h_{t-1}, u) + b, and the gates of `lstm`.

    The carry is (h, c), each [batch, *space, width], and the output is h. Space has one, two or
    three axes, and keeps its size ("SAME" padding).

    Args:
      width: channels of h, c and y.
      kernel_size: of both kernels along each axis of space, or one number for all.
      forget_bias: added to the forget gate's part of b at the start.
      activation: elementwise, of the gate g and of c.
      w_init, u_init, b_init: initialisers of w [*kernel_size, channels, 4 width], LeCun normal, of
        u [*kernel_size, width, 4 width], orthogonal, and of b [4 width], zeros; for each of the
        gates i, f, g and o apart.

    Raises:
      TypeError: for channels that are no floats.
      ValueError: for x that is not [batch, time, *space, channels], a kernel of another number of
        axes, or params that take other channels.

    (Shi et al., Convolutional LSTM network: a machine learning approach for precipitation
    nowcasting, 2015, without its peepholes, as in Keras.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unroll(nn.conv_lstm(8, 3)), jax.numpy.ones((4, 6, 5, 5, 1))
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
                f"with one, two or three axes of space, one for each size, got {core.describe(x)}."
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
    """A convolution that keeps the size of images, whatever leads [..., *space, channels]."""
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
    """(h, c) of a long short-term memory, from the inputs z of its gates and its last c."""
    *i, f, g, o = jnp.split(z, 3 if coupled else 4, axis=-1)

    def gate(z, row, c):
        return jax.nn.sigmoid(z if peepholes is None else z + peepholes[row][None] * c)

    f = gate(f, -2, c)
    i = 1 - f if coupled else gate(i[0], 0, c)
    c = f * c + i * activation(g)
    return gate(o, -1, c) * activation(c), c
