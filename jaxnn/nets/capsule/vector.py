"""Capsule networks: groups of features whose length says that a thing is there, and whose direction
how it is, with routing by agreement between layers of them.

Capsules are [batch, capsules, dimension]. Their lengths [batch, classes] are the scores that the
losses and `jaxnn.accuracy` take. Pictures are drawn from capsules in `capsule_decoder`, and matrix
capsules are in `matrix_capsule`.

(Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.)
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.distance import root
from jaxnn.printing import factory

SMALL = jax.nn.initializers.normal(0.1)  # as in the authors' program


def capsule_lengths(x: jax.Array) -> jax.Array:
    """The length of each capsule, sqrt(sum_d x_d^2): [..., dimension] gives [...].

    The gradient at a capsule of zeros, where there is none, is zero.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.capsule.capsule_lengths(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    return _length(core.check_features(x, "capsule_lengths")).astype(x.dtype)


def squash(x: jax.Array) -> jax.Array:
    """Capsules brought to lengths below 1, their directions kept: y = |x|^2 / (1 + |x|^2) x / |x|.

    Args:
      x: [..., dimension]; a capsule of zeros stays one, and has a gradient of zero.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.capsule.squash(jnp.array([0.0, 1.0])).tolist()
    [0.0, 0.5]
    """
    length = _length(core.check_features(x, "squash"))
    # The same as length / (1 + length^2), and finite where the square is not.
    share = 1 / (length + 1 / jnp.where(length == 0, 1, length))
    share = jnp.where(length == 0, 0, share)
    return (x.astype(share.dtype) * share[..., None]).astype(x.dtype)


def _length(x: jax.Array) -> jax.Array:
    """The length in float32 at least, in which squares of half precision do not overflow."""
    x = core.at_least_float32(x)
    # Of parts of the largest, whose squares are within range where those of x are not.
    most = jax.lax.stop_gradient(jnp.abs(x).max(axis=-1, keepdims=True))
    most = jnp.where(most > 0, most, 1)
    return most[..., 0] * root(jnp.sum(jnp.square(x / most), axis=-1))


@factory
def primary_capsules(
    types: int,
    dimension: int,
    kernel_size: window.Sizes,
    *,
    stride: window.Sizes = 1,
    padding: window.Padding = "VALID",
    w_init: Callable = jax.nn.initializers.lecun_normal(),
) -> Layer:
    """The first capsules: a convolution whose channels are squashed in groups of `dimension`.

    Args:
      types: capsules at each place; x [batch, *space, channels] gives y
        [batch, places * types, dimension], the types of a place side by side.
      dimension: features of a capsule.
      kernel_size, stride, padding, w_init: as in `conv`.

    Raises:
      ValueError: for fewer than one type or dimension, and as `conv` does.
      TypeError: for pictures that are no floats.

    (Sabour, Frosst and Hinton, 2017.)

    >>> import jax, jaxnn as nn
    >>> net = nn.capsule.primary_capsules(2, 8, 3, stride=2)
    >>> x = jax.ShapeDtypeStruct((4, 9, 9, 1), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 32, 8)
    """
    types = core.check_int(types, "primary_capsules: types")
    dimension = core.check_int(dimension, "primary_capsules: dimension")

    def grouped(x):
        return squash(x.reshape(x.shape[0], math.prod(x.shape[1:-1]) * types, dimension))

    features = conv(types * dimension, kernel_size, stride=stride, padding=padding, w_init=w_init)
    return serial(features, grouped)


@factory
def capsules(
    n: int,
    dimension: int,
    *,
    iterations: int = 3,
    stop_gradient: bool = False,
    w_init: Callable = SMALL,
) -> Layer:
    """Capsules that gather from those below what these agree on, by `route_by_agreement`.

    Capsule i below votes for capsule j by a matrix of its own: u_ij = x_i w_ij.

    Args:
      n: capsules of the output, or classes; x [batch, inputs, features] gives y
        [batch, n, dimension], and w is [inputs, features, n, dimension].
      dimension: features of a capsule of the output.
      iterations, stop_gradient: as in `route_by_agreement`.
      w_init: initialiser of w, by default normal of deviation 0.1.

    Raises:
      TypeError: for capsules that are no floats.
      ValueError: for fewer than one capsule, dimension or iteration; for x that is not
        [batch, inputs, features]; for params of other inputs or features.

    (Sabour, Frosst and Hinton, 2017.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.capsule.capsules(10, 16), jax.ShapeDtypeStruct((4, 32, 8), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 10, 16)
    """
    n = core.check_int(n, "capsules: n")
    dimension = core.check_int(dimension, "capsules: dimension")
    iterations = core.check_int(iterations, "capsules: iterations")

    def init(key, x):
        inputs, features = checked(x, "capsules").shape[1:]
        return {"w": w_init(key, (inputs, features, n, dimension), core.param_dtype(x))}, ()

    def apply(params, state, x, *, key=None, train=False):
        (w,) = core.unpack_params(params, checked(x, "capsules"), "capsules", "w")
        if w.shape != (*x.shape[1:], n, dimension):
            raise ValueError(
                f"capsules has w {list(w.shape)}, and needs {[*x.shape[1:], n, dimension]} for "
                f"{core.describe(x)}: feed what it was made for, or init with this x."
            )
        return route_by_agreement(votes(x, w), iterations, stop_gradient)[0], ()

    return Layer(init, apply)


def votes(x: jax.Array, w: jax.Array) -> jax.Array:
    """What each capsule below says each one above is: u_bjid = sum_f x_bif w_ifjd.

    Args:
      x: [batch, inputs, features].
      w: [inputs, features, n, dimension]; gives [batch, n, inputs, dimension].
    """
    inputs, features, n, dimension = w.shape
    # One matmul a capsule below. Votes for one capsule lie together, so that routing is one, too.
    each = jnp.matmul(x.transpose(1, 0, 2), w.reshape(inputs, features, n * dimension))
    return each.reshape(inputs, x.shape[0], n, dimension).transpose(1, 2, 0, 3)


def route_by_agreement(
    votes: jax.Array, iterations: int = 3, stop_gradient: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Capsules above from the votes of those below, which turn to those that agree with them.

    From logits b_ij = 0, `iterations` times, each but the last ending with the update of b:

    c_ij = exp(b_ij) / sum_k exp(b_ik), y_j = squash(sum_i c_ij u_ij), b_ij <- b_ij + u_ij . y_j

    Args:
      votes: u, [batch, n, inputs, dimension].
      iterations: 1 weighs all capsules above alike; the paper has 3.
      stop_gradient: whether the routing weights c are constants to the gradient, which then flows
        through the last sum alone. The paper and its authors' program differentiate through all of
        it; many programs after them do not (Liao, CapsNet-Tensorflow, 2017), and are faster.

    Returns:
      (y [batch, n, dimension], c [batch, n, inputs], whose sum over n is 1).

    Raises:
      ValueError: for fewer than one iteration, or votes of another rank.

    (Sabour, Frosst and Hinton, 2017, procedure 1.)

    >>> import jax, jaxnn as nn
    >>> y, c = nn.capsule.route_by_agreement(jax.random.normal(jax.random.key(0), (2, 4, 6, 8)), 1)
    >>> y.shape, c.shape, c[0, 0, 0].item()
    ((2, 4, 8), (2, 4, 6), 0.25)
    """
    iterations = core.check_int(iterations, "route_by_agreement: iterations")
    if core.check_features(votes, "route_by_agreement").ndim != 4:
        raise ValueError(
            "route_by_agreement takes votes [batch, n, inputs, dimension], got "
            f"{core.describe(votes)}."
        )
    seen = jax.lax.stop_gradient(votes) if stop_gradient else votes

    def weigh(total):
        # The logits are the votes times the sum of what was gathered, far smaller than they are.
        return jax.nn.softmax(jnp.einsum("bjid,bjd->bji", seen, total), axis=1)

    def gather(c, votes):
        return squash(jnp.einsum("bji,bjid->bjd", c, votes))

    def agree(total, _):
        return total + gather(weigh(total), seen), None

    n = votes.shape[1]
    c = jnp.full(votes.shape[:3], 1 / n, votes.dtype)
    if iterations > 1:
        start = squash(jnp.sum(seen, axis=2) / n)  # the first iteration, whose weights are equal
        total, _ = jax.lax.scan(agree, start, length=iterations - 2, unroll=2)
        c = weigh(total)
    return gather(c, votes), c


@factory
def capsnet(
    classes: int,
    *,
    channels: int = 256,
    kernel_size: int = 9,
    stride: int = 1,
    types: int = 32,
    dimension: int = 8,
    primary_kernel: int = 9,
    primary_stride: int = 2,
    width: int = 16,
    iterations: int = 3,
    stop_gradient: bool = False,
) -> Layer:
    """The reference capsule network: a convolution, primary capsules, and a capsule for each class.

    Its defaults are the paper's, for pictures of 28 x 28: 6.8 million numbers with 1152 primary
    capsules. `serial(capsnet(10), capsule_lengths)` is a classifier for `margin_loss`.

    Args:
      classes: x [batch, height, width, channels] gives y [batch, classes, width].
      channels, kernel_size, stride: of the first convolution.
      types, dimension, primary_kernel, primary_stride: of the primary capsules.
      width: features of the capsule of a class.
      iterations, stop_gradient: as in `route_by_agreement`.

    Raises:
      TypeError: for pictures that are no floats.
      ValueError: for sizes less than 1; for pictures smaller than the kernels, or of other channels
        than the params.

    (Sabour, Frosst and Hinton, 2017.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.capsule.capsnet(10), jax.ShapeDtypeStruct((4, 28, 28, 1), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 10, 16)
    """
    he = jax.nn.initializers.he_normal()
    return serial(
        conv(channels, kernel_size, stride=stride, padding="VALID", w_init=he),
        jax.nn.relu,
        primary_capsules(types, dimension, primary_kernel, stride=primary_stride),
        capsules(classes, width, iterations=iterations, stop_gradient=stop_gradient),
    )


def margin_loss(
    lengths: jax.Array,
    labels: jax.Array,
    *,
    m_plus: float = 0.9,
    m_minus: float = 0.1,
    down_weight: float = 0.5,
) -> jax.Array:
    """Long capsules for the class that is there, short ones for the others, by margins.

    sum_k T_k max(0, m_plus - |v_k|)^2 + down_weight (1 - T_k) max(0, |v_k| - m_minus)^2, its mean
    over rows, where T_k is 1 for the label and 0 for the others.

    Args:
      lengths: |v_k|, [batch, classes], such as `capsule_lengths` gives.
      labels: integers [batch]; one outside of the classes is a row without any: all are shortened.

    Raises:
      ValueError: where there is not one integer label a row.

    (Sabour, Frosst and Hinton, 2017, equation 4.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.capsule.margin_loss(jnp.array([[0.9, 0.3]]), jnp.array([0])):.3f}"
    '0.020'
    """
    lengths = core.at_least_float32(lengths)
    there = present(lengths, labels, "margin_loss")
    settings = {"m_plus": m_plus, "m_minus": m_minus, "down_weight": down_weight}
    upper, lower, weight = (
        jnp.asarray(check_number(value, f"margin_loss: {title}"), lengths.dtype)
        for title, value in settings.items()
    )
    long = there * jax.nn.relu(upper - lengths) ** 2
    short = (1 - there) * jax.nn.relu(lengths - lower) ** 2
    return jnp.mean(jnp.sum(long + weight * short, axis=-1))


def checked(x: Any, title: str) -> Any:
    """x, which must be capsules [batch, capsules, dimension]; raises where it is not."""
    if core.check_features(x, title).ndim != 3:
        raise ValueError(
            f"{title} takes capsules [batch, capsules, dimension], got {core.describe(x)}: reshape "
            "it, or put primary_capsules before it."
        )
    return x


def present(scores: jax.Array, labels: jax.Array, title: str) -> jax.Array:
    """1 for the label of each row, 0 for the other classes, as scores [batch, classes]."""
    if labels.shape != scores.shape[:-1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"{title} takes one integer label a row, got {core.describe(labels)} for "
            f"{core.describe(scores)}: give labels {list(scores.shape[:-1])} of class indices."
        )
    return jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)
