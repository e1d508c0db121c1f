"""The hidden layer of radial basis functions, and the network of it and a dense layer."""

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer
from jaxnn.flow import serial
from jaxnn.layers.dense import dense
from jaxnn.layers.distance import squared_distances
from jaxnn.nets.rbf.kernels import gaussian_kernel, thin_plate_kernel
from jaxnn.printing import factory

METRICS = ("net", "centre", "full")


@factory
def rbf_layer(
    centres: int,
    *,
    kernel: Callable = gaussian_kernel,
    metric: str = "net",
    width: float = 1.0,
    normalised: bool = False,
    centre_init: Callable = jax.random.normal,
) -> Layer:
    """A hidden layer of radial basis functions: phi_j(x) = kernel(u_j).

    net:    u_j = |x - c_j|^2 / w^2, with one width w for all centers
    centre: u_j = |x - c_j|^2 / w_j^2, with a width for each center
    full:   u_j = |M_j (x - c_j)|^2, with a matrix for each center, initially the identity / width

    If normalised, the output is phi_j / sum_i phi_i, so that between the centers the nearest one
    dominates.

    The params are "centres" [centres, features] and "log_width" [] (net) or [centres] (centre), or
    "metric" [centres, features, features] (full). Centers chosen from data replace the initial ones
    by `params | {"centres": c}`.

    Args:
      centres: the number of centers, at least 1.
      kernel: a function of u, such as `gaussian_kernel`, `multiquadric_kernel`,
        `inverse_multiquadric_kernel` or `thin_plate_kernel`.
      metric: "net", "centre" or "full".
      width: the initial width, positive, in units of x.
      normalised: whether the outputs for one x sum to 1; not possible for `thin_plate_kernel`,
        which is zero and negative at some distances.
      centre_init: initializer of the centers, by default standard normal.

    Returns:
      A layer from x [batch, ..., features] to [batch, ..., centres] of x's dtype.

    Raises:
      TypeError: if x is not floating point, or kernel or centre_init is not a function.
      ValueError: if centres is less than 1, width is not positive, metric is none of the three,
        `thin_plate_kernel` is normalised, or x does not have the features of the centers.

    (Broomhead and Lowe, Multivariable functional interpolation and adaptive networks, 1988;
    Moody and Darken, Fast learning in networks of locally-tuned processing units, 1989.)

    >>> import jax, jaxnn as nn
    >>> layer, x = nn.rbf.rbf_layer(16, metric="centre"), jax.numpy.ones((4, 2))
    >>> params, _ = layer.init(jax.random.key(0), x)
    >>> layer(params, x).shape
    (4, 16)
    """
    title = "rbf_layer"
    centres = core.check_int(centres, f"{title}: centres")
    check_choice(metric, f"{title}: metric", METRICS)
    width = float(check_number(width, f"{title}: width", above=0))
    check_function(kernel, f"{title}: kernel")
    check_function(centre_init, f"{title}: centre_init")
    kernel = inspect.unwrap(kernel)  # the public nn.rbf.gaussian_kernel also checks its argument
    if normalised and kernel is thin_plate_kernel:
        raise ValueError(
            f"{title}: thin_plate_kernel is zero and negative at some distances, so that its sum "
            "cannot normalize it; normalize another kernel."
        )
    scale_name = "metric" if metric == "full" else "log_width"

    def init(key, x):
        if core.check_features(x, title).ndim < 2 or not x.shape[-1]:
            raise ValueError(f"{title} takes [batch, ..., features], got {core.describe(x)}.")
        dtype, features = core.param_dtype(x), x.shape[-1]
        initial = centre_init(core.fold_in(key, 0), (centres, features), dtype)
        if metric == "full":
            identity = jnp.eye(features, dtype=dtype)
            scale = jnp.broadcast_to(identity / width, (centres, features, features))
        else:
            scale = jnp.full((centres,) if metric == "centre" else (), jnp.log(width), dtype)
        return {"centres": initial, scale_name: scale}, ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_features(x, title)
        c, scale = core.unpack_params(params, x, title, "centres", scale_name)
        if x.shape[-1:] != c.shape[1:]:
            raise ValueError(
                f"{title} has centres of {c.shape[-1]} features, got {core.describe(x)}: "
                f"feed {c.shape[-1]} features, or init with this x."
            )
        distances = _full_distances if metric == "full" else _scaled_distances
        u = distances(x, c, scale)
        if not normalised:
            return kernel(u), ()
        if kernel is gaussian_kernel:
            # Far from every center all Gaussians are zero, and their sum could not divide.
            return jax.nn.softmax(-u / 2, axis=-1), ()
        y = kernel(u)
        return y / y.sum(axis=-1, keepdims=True), ()

    return Layer(init, apply)


def _scaled_distances(x: jax.Array, centres: jax.Array, log_width: jax.Array) -> jax.Array:
    """Squared distances over squared widths, [..., centres]."""
    u = squared_distances(x, centres)
    scale = jnp.exp(-2 * jnp.asarray(log_width, u.dtype))
    return (u * jnp.broadcast_to(scale, u.shape)).astype(x.dtype)


def _full_distances(x: jax.Array, centres: jax.Array, metric: jax.Array) -> jax.Array:
    """Squared distances, each through the matrix of its center, [..., centres]."""
    rows = x.reshape(-1, x.shape[-1])

    def distances(centre, matrix):
        offsets = rows - jnp.broadcast_to(centre, rows.shape)
        return jnp.square(jnp.matmul(offsets, matrix.T, precision="highest")).sum(axis=-1)

    u = jax.vmap(distances, out_axes=-1)(centres, metric)
    return u.reshape(*x.shape[:-1], len(centres))


@factory
def rbf_net(
    centres: int,
    outputs: int,
    *,
    kernel: Callable = gaussian_kernel,
    metric: str = "net",
    width: float = 1.0,
    normalised: bool = False,
) -> Layer:
    """A layer of radial basis functions followed by a dense layer: y = phi(x) W + b.

    Its params are {"rbf": those of the `rbf_layer`, "head": those of the dense layer}.

    Args:
      centres: the number of centers, at least 1.
      outputs: the number of predicted values, or of classes for logits.
      kernel: a function of the squared distance u, as in `rbf_layer`.
      metric: "net", "centre" or "full", as in `rbf_layer`.
      width: the initial width, positive, in units of x.
      normalised: whether the outputs of the `rbf_layer` sum to 1.

    Returns:
      A layer from x [batch, ..., features] to [batch, ..., outputs] of x's dtype.

    Raises:
      TypeError: if x is not floating point, or kernel is not a function.
      ValueError: if outputs is less than 1, or the other arguments are not those of `rbf_layer`.

    (Broomhead and Lowe, Multivariable functional interpolation and adaptive networks, 1988.)

    >>> import jax, jaxnn as nn
    >>> x = jax.random.normal(jax.random.key(0), (64, 2))
    >>> y = jax.numpy.sin(x).sum(axis=1, keepdims=True)
    >>> net, hidden = nn.rbf.rbf_net(16, 1), nn.rbf.rbf_layer(16)
    >>> params, _ = net.init(jax.random.key(1), x)
    >>> params["rbf"]["centres"] = nn.rbf.kmeans(jax.random.key(2), x, 16).centres
    >>> params["head"] = nn.rbf.ridge(hidden(params["rbf"], x), y, 1e-4)
    >>> bool(nn.mse(net(params, x), y) < 1e-2)
    True
    """
    hidden = rbf_layer(centres, kernel=kernel, metric=metric, width=width, normalised=normalised)
    outputs = core.check_int(outputs, "rbf_net: outputs")
    return serial(rbf=hidden, head=dense(outputs))
