"""Recurrences that are linear in their memory, h_t = a_t h_{t-1} + b_t, over all steps at once.

Since (a, b) followed by (a', b') is (a' a, a' b + b'), an associative scan finds every h in
logarithmic depth. On the CPU, where that only adds work, the steps run one after the other.
Whatever the dtype of x, memory and scan are float32 at least, which sums over thousands of steps
need.
"""

from collections.abc import Callable
from math import pi

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number
from jaxnn.core import Cell
from jaxnn.layers.recurrent.cells import affine, check_chunk, gates, matmul
from jaxnn.printing import factory
from jaxnn.sequences.chunks import chunkwise
from jaxnn.sequences.masks import broadcast_mask, zero_masked

# Real and imaginary parts share a variance of 1 / features in b, and have 1 / states each in c.
normal_b = jax.nn.initializers.variance_scaling(0.5, "fan_in", "normal")
normal_c = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def linear_scan(
    a: jax.Array,
    b: jax.Array,
    h: jax.Array,
    mask: jax.Array | None = None,
    starts: jax.Array | None = None,
) -> jax.Array:
    """All h_t = a_t h_{t-1} + b_t; h_t = h_{t-1} at masked steps, and h_t = b_t at starts.

    Args:
      a: [batch, time, ...], real or complex; axes of length 1 other than time are broadcast.
      b: [batch, time, ...].
      h: [batch, ...], the value before the first step.
      mask: bool [batch, time], false at padding, or None.
      starts: bool [batch, time], true where a document of a packed row begins, or None.

    Returns:
      h [batch, time, ...], of the dtype of the arguments.

    Raises:
      TypeError, ValueError: from JAX, if shapes or dtypes do not fit.

    >>> import jax, jaxnn as nn
    >>> a, b = jax.numpy.full((1, 4, 1), 0.5), jax.numpy.ones((1, 4, 1))
    >>> nn.linear_scan(a, b, jax.numpy.zeros((1, 1))).ravel().tolist()
    [1.0, 1.5, 1.75, 1.875]
    """
    if mask is not None:
        a = jnp.where(mask[..., None], a, jnp.ones_like(a))
        b = zero_masked(b, mask)
    if starts is not None:
        a = jnp.where(broadcast_mask(starts, b), jnp.zeros_like(a), a)
    return jax.lax.platform_dependent(a, b, h, cpu=_one_by_one, default=_at_once)


def _one_by_one(a, b, h):
    # Faster than the associative scan on the CPU, where that only adds work.
    def step(h, ab):
        h = ab[0] * h + ab[1]
        return h, h

    _, h = jax.lax.scan(step, h, (jnp.swapaxes(a, 0, 1), jnp.swapaxes(b, 0, 1)))
    return jnp.swapaxes(h, 0, 1)


def _at_once(a, b, h):
    def join(early, late):
        return late[0] * early[0], late[0] * early[1] + late[1]

    b = b.at[:, :1].add(a[:, :1] * h[:, None])
    return jax.lax.associative_scan(join, (a, b), axis=1)[1]


@factory
def min_gru(
    width: int,
    *,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
) -> Cell:
    """A GRU whose gate does not see its memory: h_t = (1 - z_t) h_{t-1} + z_t n_t, y_t = h_t.

    (z, n) = split(x_t w + b), with a sigmoid on z.

    Args:
      width: features of h and y.
      w_init: initializer of w [features, 2 width], for z and n separately; LeCun normal by default.
      b_init: initializer of b [2 width], for z and n separately; zeros by default.

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width] of x's dtype, whose
      carry is h [batch, width], float32 at least.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], or if the params take other features.

    (Feng et al., Were RNNs all we needed?, 2024.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.min_gru(8)), jnp.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((3, 16), (4, 6, 8))
    """

    def coefficients(z, n):
        return jax.nn.sigmoid(-z), jax.nn.sigmoid(z) * n

    return _minimal("min_gru", width, 2, coefficients, w_init, b_init)


@factory
def min_lstm(
    width: int,
    *,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
) -> Cell:
    """An LSTM whose gates do not see its memory: h_t = f_t h_{t-1} + i_t n_t, y_t = h_t.

    (i, f, n) = split(x_t w + b), with a sigmoid on i and f, which are then divided by their sum, so
    that f_t + i_t = 1.

    Args:
      width: features of h and y.
      w_init: initializer of w [features, 3 width], for i, f and n separately; LeCun normal by
        default.
      b_init: initializer of b [3 width], for i, f and n separately; zeros by default.

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width] of x's dtype, whose
      carry is h [batch, width], float32 at least.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], or if the params take other features.

    (Feng et al., Were RNNs all we needed?, 2024.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.min_lstm(8)), jnp.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((3, 24), (4, 6, 8))
    """

    def coefficients(i, f, n):
        # sigmoid(f) / (sigmoid(f) + sigmoid(i)) without a quotient of two vanishing numbers
        odds = jax.nn.softplus(-i) - jax.nn.softplus(-f)
        return jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * n

    return _minimal("min_lstm", width, 3, coefficients, w_init, b_init)


@factory
def lru(
    width: int,
    states: int | None = None,
    *,
    r_min: float = 0.0,
    r_max: float = 1.0,
    max_phase: float = 2 * pi,
    b_init: Callable = normal_b,
    c_init: Callable = normal_c,
    d_init: Callable = jax.nn.initializers.lecun_normal(),
) -> Cell:
    """The linear recurrent unit: h_t = lambda h_{t-1} + exp(gamma) (x_t b), with complex h_t.

        lambda = exp(-exp(nu) + i exp(theta))
        y_t = Re(h_t c) + x_t d

    The params, all real, can take any value and |lambda| stays below 1: "b" [features, 2 states]
    and "c" [2 states, width] hold the real part and then the imaginary part, that of c with its
    sign flipped. The carry is h [batch, states], complex.

    Args:
      width: features of y.
      states: number of complex values of memory; width by default.
      r_min: lower end of |lambda| at initialization, which is drawn uniformly over the area of the
        ring between r_min and r_max; at least 0.9 for long memories.
      r_max: upper end of |lambda| at initialization.
      max_phase: the largest angle of lambda at initialization, in radians.
      b_init: initializer of b; normal by default, as in the paper.
      c_init: initializer of c; normal by default, as in the paper.
      d_init: initializer of d [features, width]; LeCun normal by default. gamma starts as log
        sqrt(1 - |lambda|^2).

    Returns:
      A cell from chunks x [batch, time, features] to y [batch, time, width] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if x is not [batch, time, features], if the params take other features, or unless
        0 <= r_min < r_max <= 1.

    (Orvieto et al., Resurrecting recurrent neural networks for long sequences, 2023.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.unroll(nn.lru(8, 16, r_min=0.9)), jnp.ones((4, 6, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["b"].shape, net(params, x).shape
    ((3, 32), (4, 6, 8))
    """
    names = "nu", "theta", "gamma", "b", "c", "d"
    width = core.check_int(width, "lru: width")
    states = width if states is None else core.check_int(states, "lru: states")
    check_number(max_phase, "lru: max_phase", above=0)
    if not 0 <= r_min < r_max <= 1:
        raise ValueError(f"lru: take 0 <= r_min < r_max <= 1, got {r_min} and {r_max}.")

    def init(key, x):
        shape, dtype = check_chunk(x, "lru").shape[-1:], core.param_dtype(x)
        keys = [core.fold_in(key, i) for i in range(5)]
        # Away from both ends, where logarithms are infinite.
        ring, angle = (jax.random.uniform(k, (states,), dtype, 1e-6, 1 - 1e-6) for k in keys[:2])
        decay = -0.5 * jnp.log(r_min**2 + ring * (r_max**2 - r_min**2))
        return {
            "nu": jnp.log(decay),
            "theta": jnp.log(max_phase * angle),
            "gamma": 0.5 * jnp.log(-jnp.expm1(-2 * decay)),
            "b": b_init(keys[2], (*shape, 2 * states), dtype),
            "c": c_init(keys[3], (2 * states, width), dtype),
            "d": d_init(keys[4], (*shape, width), dtype),
        }, ()

    def carry(params, x):
        real = jnp.zeros((check_chunk(x, "lru").shape[0], states), core.param_dtype(x))
        return jax.lax.complex(real, real)

    def run(params, h, x, mask, starts):
        wide = x.astype(core.param_dtype(x))  # |lambda| would round to 1 in half precision
        nu, theta, gamma, *_ = core.unpack_params(params, wide, "lru", *names)
        *_, b, c, d = core.unpack_params(params, x, "lru", *names)
        size, angle = jnp.exp(-jnp.exp(nu)), jnp.exp(theta)
        a = jax.lax.complex(size * jnp.cos(angle), size * jnp.sin(angle))
        a = jnp.broadcast_to(a[None, None], (1, x.shape[1], states))
        u = matmul(x, b, "lru").astype(wide.dtype) * jnp.exp(jnp.tile(gamma, 2))[None, None]
        seen = linear_scan(a, jax.lax.complex(*jnp.split(u, 2, axis=-1)), h, mask, starts)
        y = jnp.concatenate([seen.real, seen.imag], axis=-1).astype(x.dtype)
        return _end(h, seen), matmul(y, c, "lru") + matmul(x, d, "lru")

    return chunkwise(init, carry, run, restarts=True)


def _minimal(title, width, size, coefficients, w_init, b_init) -> Cell:
    """The cell of h_t = a h_{t-1} + b, where (a, b) depend on x only, through one matmul."""
    width = core.check_int(width, f"{title}: width")

    def init(key, x):
        made = {"w": (w_init, (check_chunk(x, title).shape[-1], width)), "b": (b_init, (width,))}
        return gates(key, made, size, core.param_dtype(x)), ()

    def carry(params, x):
        return jnp.zeros((check_chunk(x, title).shape[0], width), core.param_dtype(x))

    def run(params, h, x, mask, starts):
        z = project(params, x).astype(h.dtype)
        a, b = coefficients(*jnp.split(z, size, axis=-1))
        seen = linear_scan(a, b, h, mask, starts)
        return _end(h, seen), seen.astype(x.dtype)

    project = affine(title, size * width, "w", "b")
    return chunkwise(init, carry, run, restarts=True, name=title)


def _end(h: jax.Array, seen: jax.Array) -> jax.Array:
    """The memory after a chunk, which may have no steps."""
    return seen[:, -1] if seen.shape[1] else h
