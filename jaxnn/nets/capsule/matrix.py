"""Matrix capsules: a pose of 4 x 4 and an activation each, routed by expectation maximisation.

A layer of them is a pair (poses, activations): [batch, height, width, types, 4, 4] and
[batch, height, width, types], or [batch, classes, 4, 4] and [batch, classes] at the end.

(Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018; what the paper leaves open, the
schedule of the inverse temperature among it, is as its authors answered their reviewers, gathered
by Gritzman, Avoiding implementation pitfalls of matrix capsules with EM routing, 2019.)
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.conv import conv
from jaxnn.nets.capsule.vector import present
from jaxnn.printing import factory

POSE = (4, 4)
NORMAL = jax.nn.initializers.normal(0.5)
SMALLEST = 1e-8  # of a sum that divides
VARIANCE = 1e-4  # added to a variance of votes, so that capsules with one child have a density


def inverse_temperature(iteration: int) -> float:
    """How sharply activations follow costs, at iterations 0, 1, ...: 0.01 (1 - 0.95^(t + 1))."""
    return 0.01 * (1 - 0.95 ** (iteration + 1))


@factory
def primary_matrix_capsules(types: int) -> Layer:
    """The first matrix capsules: poses and activations as linear maps of each place's features.

    Args:
      types: capsules at each place; x [batch, height, width, features] gives poses
        [batch, height, width, types, 4, 4] and activations [batch, height, width, types], which are
        sigmoids.

    Raises:
      ValueError: for fewer than one type, or x of another rank.
      TypeError: for features that are no floats.

    (Hinton, Sabour and Frosst, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.capsule.primary_matrix_capsules(8), jax.ShapeDtypeStruct((2, 6, 6, 16),
    ...     "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> tuple(y.shape for y in jax.eval_shape(net, params, x))
    ((2, 6, 6, 8, 4, 4), (2, 6, 6, 8))
    """
    types = core.check_int(types, "primary_matrix_capsules: types")

    def split(x):
        if x.ndim != 4:
            raise ValueError(
                "primary_matrix_capsules takes [batch, height, width, features], got "
                f"{core.describe(x)}."
            )
        poses, activations = jnp.split(x, [types * math.prod(POSE)], axis=-1)
        return poses.reshape(*x.shape[:-1], types, *POSE), jax.nn.sigmoid(activations)

    return serial(conv(types * (math.prod(POSE) + 1), 1), split)


@factory
def matrix_capsules(
    types: int,
    kernel_size: window.Sizes | None = None,
    *,
    stride: window.Sizes = 1,
    iterations: int = 3,
    inverse_temperature: Callable[[int], float] = inverse_temperature,
    w_init: Callable = NORMAL,
) -> Layer:
    """Matrix capsules that explain the votes of those below, by `route_by_em`.

    A capsule below with the pose M_i votes M_i w_ij. With a kernel_size, capsules see a window of
    places, w is the same at every place, and a capsule below shares itself among all capsules of
    all windows that see it. Without, there is one capsule a type, or class, which sees all places;
    w is the same for all of them, and the place of the capsule below, (row + 1/2) / height and
    (column + 1/2) / width, is added to the first two numbers of the vote's last column.

    Args:
      types: capsules of the output at each place, or classes.
      kernel_size, stride: of the window over (poses [batch, height, width, below, 4, 4],
        activations [batch, height, width, below]), without padding; gives poses
        [batch, *places, types, 4, 4] and activations [batch, *places, types], without places where
        there is no window. w is [*kernel_size, below, types, 4, 4], or [below, types, 4, 4].
      iterations: of `route_by_em`.
      inverse_temperature: (iteration from 0) -> the inverse temperature of it.
      w_init: initialiser of w; beta_u and beta_a [types] start as zeros.

    Raises:
      TypeError: for poses and activations that are no pair of floats.
      ValueError: for numbers less than 1; for a pair of other shapes; for params of other types;
        for a window larger than its input.

    (Hinton, Sabour and Frosst, 2018.)

    >>> import jax, jaxnn as nn
    >>> net = nn.serial(nn.capsule.primary_matrix_capsules(8), nn.capsule.matrix_capsules(10))
    >>> x = jax.ShapeDtypeStruct((2, 6, 6, 16), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> tuple(y.shape for y in jax.eval_shape(net, params, x))
    ((2, 10, 4, 4), (2, 10))
    """
    types = core.check_int(types, "matrix_capsules: types")
    iterations = core.check_int(iterations, "matrix_capsules: iterations")
    sharpness = [float(inverse_temperature(i)) for i in range(iterations)]
    names = "w", "beta_u", "beta_a"
    fit = None
    if kernel_size is not None:
        fit = window.sliding("matrix_capsules", "kernel_size", kernel_size, stride, 1, "VALID")

    def shape(x):
        _, activations = _pair(x)
        size = () if fit is None else fit(activations).size
        return *size, activations.shape[-1], types, *POSE

    def init(key, x):
        dtype = core.param_dtype(x)
        beta = jnp.zeros(types, dtype)
        return {"w": w_init(key, shape(x), dtype), "beta_u": beta, "beta_a": jnp.copy(beta)}, ()

    def apply(params, state, x, *, key=None, train=False):
        wanted = shape(x)
        wide = core.cast(x, core.param_dtype(x))  # sums over hundreds of votes
        w, beta_u, beta_a = core.unpack_params(params, wide[0], "matrix_capsules", *names)
        if w.shape != wanted:
            raise ValueError(
                f"matrix_capsules has w {list(w.shape)}, and needs {list(wanted)} for "
                f"{core.describe(x)}: feed what it was made for, or init with this x."
            )
        poses, activations = wide
        if fit is None:
            votes, seen, share = _everywhere(poses, activations, w)
        else:
            votes, seen, share = _windows(poses, activations, w, fit(activations))
        poses, activations, _ = route_by_em(votes, seen, beta_u, beta_a, sharpness, share)
        y = poses.reshape(*poses.shape[:-1], *POSE), activations
        return core.cast(y, core.float_dtype(x)), ()

    return Layer(init, apply)


def route_by_em(
    votes: jax.Array,
    activations: jax.Array,
    beta_u: jax.Array,
    beta_a: jax.Array,
    sharpness: Any,
    share: Callable = jax.nn.softmax,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Capsules above as Gaussians that are fitted to the votes of those below.

    From equal shares r_ij of each capsule below, for each inverse temperature l in turn:

    M: r_ij <- r_ij a_i; mu_j^h, (sigma_j^h)^2 the mean and variance of the votes V_ij^h under r_ij;
      a_j = sigmoid(l (beta_a - sum_h (beta_u + log sigma_j^h) sum_i r_ij))
    E: r_ij = a_j N(V_ij; mu_j, sigma_j) / sum_k a_k N(V_ik; mu_k, sigma_k), but not after the last.

    Args:
      votes: V, [..., below, above, 16].
      activations: a_i, [..., below].
      beta_u, beta_a: [above], learned: the price of a vote that is not explained, and of a capsule
        that is not active.
      sharpness: l for each iteration, at least one.
      share: logits [..., below, above] -> r, which sums to 1 over all capsules above that see one
        below; by default over the last axis.

    Returns:
      (mu [..., above, 16], a [..., above], r [..., below, above] of the last iteration).

    Raises:
      ValueError: for no iterations.

    (Hinton, Sabour and Frosst, 2018, procedure 1.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> votes, price = jnp.ones((2, 6, 3, 16)), jnp.ones(3)
    >>> [each.shape for each in nn.capsule.route_by_em(votes, votes[..., 0, 0], price, price,
    ...     [0.1])]
    [(2, 3, 16), (2, 3), (2, 6, 3)]
    """
    if not len(sharpness) or votes.shape[:-2] != activations.shape:
        wanted = "sharpness takes a number for each iteration, at least one, and activations fit"
        raise ValueError(f"route_by_em: {wanted}: {core.describe((votes, activations))}.")
    below, lead = activations[..., None], (1,) * (activations.ndim - 1)
    beta_u, beta_a = (beta.reshape(lead + beta.shape) for beta in (beta_u, beta_a))

    def maximise(r, sharp):
        total = jnp.sum(r := r * below, axis=-2) + SMALLEST
        mean = jnp.einsum("...ij,...ijh->...jh", r, votes) / total[..., None]
        spread = (votes - mean[..., None, :, :]) ** 2
        variance = jnp.einsum("...ij,...ijh->...jh", r, spread) / total[..., None] + VARIANCE
        entropy = 0.5 * jnp.sum(jnp.log(variance), axis=-1)  # sum_h log sigma^h
        cost = total * (votes.shape[-1] * beta_u + entropy)
        distance = jnp.sum(spread / (2 * variance[..., None, :, :]), axis=-1)
        return mean, sharp * (beta_a - cost), distance + entropy[..., None, :]

    def iterate(r, sharp):
        _, logit, surprise = maximise(r, sharp)
        return share(jax.nn.log_sigmoid(logit)[..., None, :] - surprise), None

    sharpness = jnp.asarray(sharpness, votes.dtype)
    r = share(jnp.zeros(votes.shape[:-1], votes.dtype))
    r, _ = jax.lax.scan(iterate, r, sharpness[:-1])
    mean, logit, _ = maximise(r, sharpness[-1])
    return mean, jax.nn.sigmoid(logit), r


@factory
def matrix_capsnet(
    classes: int,
    *,
    channels: int = 32,
    types: tuple[int, int, int] = (32, 32, 32),
    iterations: int = 3,
) -> Layer:
    """The reference network of matrix capsules: a convolution, primary capsules, and three layers.

    Its defaults are the paper's, for pictures of 32 x 32.

    Args:
      classes: x [batch, height, width, channels] gives poses [batch, classes, 4, 4] and activations
        [batch, classes] for `spread_loss`.
      channels: of the first convolution, 5 x 5 with stride 2.
      types: of the primary capsules, and of two layers with windows of 3 x 3 and strides 2 and 1.
      iterations: as in `matrix_capsules`.

    Raises:
      TypeError: for pictures that are no floats.
      ValueError: for numbers less than 1; for pictures smaller than the windows, or of other
        channels than the params.

    (Hinton, Sabour and Frosst, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.capsule.matrix_capsnet(5), jax.ShapeDtypeStruct((2, 32, 32, 1), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> tuple(y.shape for y in jax.eval_shape(net, params, x))
    ((2, 5, 4, 4), (2, 5))
    """
    primary, first, second = types
    return serial(
        conv(channels, 5, stride=2, w_init=jax.nn.initializers.he_normal()),
        jax.nn.relu,
        primary_matrix_capsules(primary),
        matrix_capsules(first, 3, stride=2, iterations=iterations),
        matrix_capsules(second, 3, iterations=iterations),
        matrix_capsules(classes, iterations=iterations),
    )


def spread_loss(activations: jax.Array, labels: jax.Array, margin: Any = 0.9) -> jax.Array:
    """Activations of other classes kept a margin below the label's t.

    sum_{i not t} max(0, margin - (a_t - a_i))^2, its mean over rows.

    Args:
      activations: [batch, classes], such as `matrix_capsules` gives.
      labels: integers [batch]; one outside of the classes has a_t = 0, so that all are lowered.
      margin: a number or scalar array; the paper's rises from 0.2 to 0.9 in training, which spares
        it dead capsules.

    Raises:
      ValueError: where there is not one integer label a row.

    (Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018, equation 3.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.capsule.spread_loss(jnp.array([[0.9, 0.2, 0.0]]), jnp.array([0])):.3f}"
    '0.040'
    """
    activations = core.at_least_float32(activations)
    there = present(activations, labels, "spread_loss")
    label = jnp.sum(there * activations, axis=-1, keepdims=True)
    excess = (1 - there) * jax.nn.relu(margin - (label - activations))
    return jnp.mean(jnp.sum(excess**2, axis=-1))


def _pair(x: Any) -> tuple[Any, Any]:
    """(poses, activations), checked."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise TypeError(
            f"matrix_capsules takes a pair (poses, activations), got {core.describe(x)}: put "
            "primary_matrix_capsules before it."
        )
    poses, activations = (core.check_features(each, "matrix_capsules") for each in x)
    if activations.ndim != 4 or poses.shape != (*activations.shape, *POSE):
        raise ValueError(
            "matrix_capsules takes poses [batch, height, width, types, 4, 4] and activations "
            f"[batch, height, width, types], got {core.describe(x)}."
        )
    return poses, activations


def _everywhere(poses, activations, w):
    """Votes and activations of the capsules at all places, and how they are shared."""
    batch, height, width, below = activations.shape
    votes = jnp.einsum("nyxikl,iclm->nyxickm", poses, w)
    sizes = (height, width)
    sides = ((jnp.arange(n, dtype=jnp.float32) + 0.5) / n for n in sizes)
    grid = jnp.meshgrid(*sides, indexing="ij")
    place = jnp.stack(grid, axis=-1).astype(w.dtype).reshape(1, height, width, 1, 1, 2)
    place = jnp.broadcast_to(place, (*votes.shape[:5], 2))
    votes = votes.at[..., :2, -1].add(place)
    count = height * width * below
    votes = votes.reshape(batch, count, w.shape[1], math.prod(POSE))
    return votes, activations.reshape(batch, count), jax.nn.softmax


def _windows(poses, activations, w, at: window.Window):
    """Votes and activations of the capsules in each window, and how they are shared by windows."""
    (*_, rows, columns, below), types = activations.shape, w.shape[-3]
    count = math.prod(at.size)

    def unfold(x):  # [batch, rows, columns, n] as [batch, *places, count, n]
        return jnp.stack(list(window.taps(x, at)), axis=3)

    def fold(x, merge, start):  # what the windows say of a place, merged
        size, stride = (rows, columns), at.stride
        merged = jnp.full((x.shape[0], rows, columns, below), start, x.dtype)
        for k in range(count):
            low = divmod(k, at.size[1])
            reach = [(n - 1) * s + 1 for n, s in zip(x.shape[1:3], stride, strict=True)]
            pads = [
                (a, n - a - r, s - 1) for a, n, r, s in zip(low, size, reach, stride, strict=True)
            ]
            here = jax.lax.pad(
                x[:, :, :, k], jnp.array(start, x.dtype), [(0, 0, 0), *pads, (0, 0, 0)]
            )
            merged = merge(merged, here)
        return merged

    def share(logits):
        each = logits.reshape(*logits.shape[:3], count, below, types)
        most = jax.lax.stop_gradient(each)
        most = unfold(fold(jnp.max(most, axis=-1), jnp.maximum, -jnp.inf))
        each = jnp.exp(each - most[..., None])
        total = unfold(fold(jnp.sum(each, axis=-1), jnp.add, 0.0))
        return (each / total[..., None]).reshape(logits.shape)

    flat = unfold(poses.reshape(*activations.shape[:3], below * math.prod(POSE)))
    flat = flat.reshape(*flat.shape[:4], below, *POSE)
    votes = jnp.einsum("nyxtikl,ticlm->nyxtickm", flat, w.reshape(count, *w.shape[2:]))
    votes = votes.reshape(*flat.shape[:3], count * below, types, math.prod(POSE))
    return votes, unfold(activations).reshape(votes.shape[:4]), share
