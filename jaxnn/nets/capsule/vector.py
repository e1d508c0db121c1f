"""Vector capsules, [batch, capsules, dimension], and their reference network.

(Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.)
"""

import math
from collections.abc import Callable

import jax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.convolution import window
from jaxnn.layers.convolution.conv import conv
from jaxnn.nets.capsule.length import check_capsules, squash
from jaxnn.nets.capsule.routing import cast_votes, route_by_agreement
from jaxnn.printing import factory

SMALL_NORMAL = jax.nn.initializers.normal(0.1)  # as in the authors' code


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

    y = squash(conv(x)), where each position has `types` capsules of `dimension` channels

    Args:
      types: the number of capsules at each position.
      dimension: the number of features of a capsule.
      kernel_size: the size of the convolution, a whole number or one for each spatial axis.
      stride: the stride of the convolution, a whole number or one for each spatial axis.
      padding: the padding of the convolution, as in `conv`.
      w_init: initializer of the weights.

    Returns:
      A layer from x [batch, *space, channels] to y [batch, positions * types, dimension] of x's
      dtype; the capsules of a position are consecutive.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if types or dimension is less than 1, or `conv` refuses the arguments or x.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.)

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
    w_init: Callable = SMALL_NORMAL,
) -> Layer:
    """A layer of capsules that combines the votes of the capsules below by `route_by_agreement`.

    y = route_by_agreement(u), with u_ij = x_i w_ij, a matrix for each pair of capsules

    The params are "w" [inputs, features, n, dimension].

    Args:
      n: the number of capsules of the output, or of classes.
      dimension: the number of features of a capsule of the output.
      iterations: the number of routing iterations, at least 1.
      stop_gradient: whether the routing weights are constants for the gradient, as in
        `route_by_agreement`.
      w_init: initializer of w, by default normal with standard deviation 0.1.

    Returns:
      A layer from x [batch, inputs, features] to y [batch, n, dimension] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if n, dimension or iterations is less than 1, x is not [batch, inputs, features],
        or the params are for other inputs or features.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.)

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
        inputs, features = check_capsules(x, "capsules").shape[1:]
        return {"w": w_init(key, (inputs, features, n, dimension), core.param_dtype(x))}, ()

    def apply(params, state, x, *, key=None, train=False):
        (w,) = core.unpack_params(params, check_capsules(x, "capsules"), "capsules", "w")
        if w.shape != (*x.shape[1:], n, dimension):
            raise ValueError(
                f"capsules has w {list(w.shape)}, and needs {[*x.shape[1:], n, dimension]} for "
                f"{core.describe(x)}: feed what it was made for, or init with this x."
            )
        return route_by_agreement(cast_votes(x, w), iterations, stop_gradient)[0], ()

    return Layer(init, apply)


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

    y = capsules(primary_capsules(relu(conv(x))))

    The defaults are the paper's, for images of 28 x 28: 6.8 million params and 1152 primary
    capsules. `serial(capsnet(10), capsule_lengths)` is a classifier for `margin_loss`.

    Args:
      classes: the number of classes.
      channels: the number of channels of the first convolution.
      kernel_size: the size of the first convolution.
      stride: the stride of the first convolution.
      types: the number of primary capsules at each position.
      dimension: the number of features of a primary capsule.
      primary_kernel: the size of the convolution of the primary capsules.
      primary_stride: the stride of the convolution of the primary capsules.
      width: the number of features of the capsule of a class.
      iterations: the number of routing iterations, at least 1.
      stop_gradient: whether the routing weights are constants for the gradient, as in
        `route_by_agreement`.

    Returns:
      A layer from x [batch, height, width, channels] to y [batch, classes, width] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a size is less than 1, the images are smaller than the kernels, or the params
        are for other channels or another image size.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.)

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
