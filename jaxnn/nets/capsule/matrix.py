"""Matrix capsules: a pose of 4 x 4 and an activation each, routed by expectation maximization.

A layer of them is a pair (poses, activations): [batch, height, width, types, 4, 4] and
[batch, height, width, types], or [batch, classes, 4, 4] and [batch, classes] at the end.

(Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018.)
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.conv import conv
from jaxnn.nets.capsule.em_routing import inverse_temperature, route_by_em
from jaxnn.nets.capsule.matrix_votes import POSE, check_matrix_capsules, global_votes, window_votes
from jaxnn.printing import factory

NORMAL = jax.nn.initializers.normal(0.5)


@factory
def primary_matrix_capsules(types: int) -> Layer:
    """The first matrix capsules: poses and activations as linear maps of a position's features.

    M = W_M x + b_M, reshaped to 4 x 4, and a = sigmoid(W_a x + b_a)

    Args:
      types: the number of capsules at each position.

    Returns:
      A layer from x [batch, height, width, features] to (poses, activations) of x's dtype, poses
      [batch, height, width, types, 4, 4] and activations [batch, height, width, types].

    Raises:
      TypeError: if x is not floating point.
      ValueError: if types is less than 1, or x does not have four axes.

    (Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018.)

    >>> import jax, jaxnn as nn
    >>> net = nn.capsule.primary_matrix_capsules(8)
    >>> x = jax.ShapeDtypeStruct((2, 6, 6, 16), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> poses, activations = jax.eval_shape(net, params, x)
    >>> poses.shape, activations.shape
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
    """A layer of matrix capsules, fitted to the votes of those below by `route_by_em`.

    (M_j, a_j) = route_by_em(V_ij, a_i), with the votes V_ij = M_i w_ij

    With a kernel_size, each capsule sees a window of positions. The weights w are the same at every
    position, and a capsule below is shared among all capsules of all windows that see it. Without
    one, there is one capsule for each type, or class, which sees all positions; w is the same for
    all of them, and the position of the capsule below, (row + 1/2) / height and
    (column + 1/2) / width, is added to the first two entries of the last column of the vote.

    The params are "w" [*kernel_size, below, types, 4, 4], or [below, types, 4, 4] without a
    kernel_size, and "beta_u" and "beta_a" [types], initially zero.

    Args:
      types: the number of capsules of the output at each position, or of classes.
      kernel_size: the size of the window, a whole number or one for each spatial axis; None for
        one that covers all positions.
      stride: the stride of the window, a whole number or one for each spatial axis.
      iterations: the number of routing iterations, at least 1.
      inverse_temperature: a function from the iteration, from 0, to its inverse temperature.
      w_init: initializer of w, by default normal with standard deviation 0.5.

    Returns:
      A layer from (poses [batch, height, width, below, 4, 4], activations
      [batch, height, width, below]) to (poses [batch, *positions, types, 4, 4], activations
      [batch, *positions, types]) of the dtype of its input. The window has no padding; without a
      window, *positions is empty.

    Raises:
      TypeError: if the input is not a pair, or is not floating point.
      ValueError: if a size or iterations is less than 1, the pair has other shapes, the window is
        larger than the input, or the params are for other types or another window.

    (Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018.)

    >>> import jax, jaxnn as nn
    >>> net = nn.serial(nn.capsule.primary_matrix_capsules(8), nn.capsule.matrix_capsules(10))
    >>> x = jax.ShapeDtypeStruct((2, 6, 6, 16), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> poses, activations = jax.eval_shape(net, params, x)
    >>> poses.shape, activations.shape
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
        _, activations = check_matrix_capsules(x, "matrix_capsules")
        size = () if fit is None else fit(activations).size
        return *size, activations.shape[-1], types, *POSE

    def init(key, x):
        dtype = core.param_dtype(x)
        beta = jnp.zeros(types, dtype)
        return {"w": w_init(key, shape(x), dtype), "beta_u": beta, "beta_a": jnp.copy(beta)}, ()

    def apply(params, state, x, *, key=None, train=False):
        wanted = shape(x)
        wide = core.cast(x, core.param_dtype(x))  # since it sums over hundreds of votes
        w, beta_u, beta_a = core.unpack_params(params, wide[0], "matrix_capsules", *names)
        if w.shape != wanted:
            raise ValueError(
                f"matrix_capsules has w {list(w.shape)}, and needs {list(wanted)} for "
                f"{core.describe(x)}: feed what it was made for, or init with this x."
            )
        poses, activations = wide
        if fit is None:
            votes, seen, share = global_votes(poses, activations, w)
        else:
            votes, seen, share = window_votes(poses, activations, w, fit(activations))
        poses, activations, _ = route_by_em(votes, seen, beta_u, beta_a, sharpness, share)
        y = poses.reshape(*poses.shape[:-1], *POSE), activations
        return core.cast(y, core.float_dtype(x)), ()

    return Layer(init, apply)


@factory
def matrix_capsnet(
    classes: int,
    *,
    channels: int = 32,
    types: tuple[int, int, int] = (32, 32, 32),
    iterations: int = 3,
) -> Layer:
    """The reference network of matrix capsules: a convolution, primary capsules and three layers.

    relu(conv 5 x 5, stride 2) - primary capsules - capsules 3 x 3, stride 2 - capsules 3 x 3 -
    capsules of the classes

    The defaults are the paper's, for images of 32 x 32.

    Args:
      classes: the number of classes.
      channels: the number of channels of the convolution.
      types: the numbers of capsule types of the primary capsules and of the two layers with
        windows.
      iterations: the number of routing iterations, at least 1.

    Returns:
      A layer from x [batch, height, width, channels] to (poses, activations) of x's dtype, poses
      [batch, classes, 4, 4] and activations [batch, classes] for `spread_loss`.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size is less than 1, the images are smaller than the windows, or the params
        are for other channels.

    (Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.capsule.matrix_capsnet(5), jax.ShapeDtypeStruct((2, 32, 32, 1), "float32")
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> poses, activations = jax.eval_shape(net, params, x)
    >>> poses.shape, activations.shape
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
