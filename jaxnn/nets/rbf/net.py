"""Radial basis function networks: a hidden unit answers by how near x is to its centre.

The hidden layer is `rbf`, and the network is that and a dense layer, `rbf_net`. Where centres come
from stands in `jaxnn.nets.rbf.kmeans`; given them, the weights of the output are the solution of a
linear problem, `ridge`. Then all of it is tuned by the gradient, as any other net.
"""

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
from jaxnn.printing import factory

METRICS = ("net", "centre", "full")


# The kernels, of u = r^2, the square of the distance in widths


def gaussian_kernel(u: jax.Array) -> jax.Array:
    """exp(-r^2 / 2), of u = r^2.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> f"{nn.rbf.gaussian_kernel(jnp.array(2.0)):.4f}"
    '0.3679'
    """
    return jnp.exp(-u / 2)


def multiquadric_kernel(u: jax.Array) -> jax.Array:
    """sqrt(1 + r^2), of u = r^2; it grows with the distance. (Hardy, 1971.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.multiquadric_kernel(jnp.array([0.0, 3.0])).tolist()
    [1.0, 2.0]
    """
    return jnp.sqrt(1 + u)


def inverse_multiquadric_kernel(u: jax.Array) -> jax.Array:
    """1 / sqrt(1 + r^2), of u = r^2.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.inverse_multiquadric_kernel(jnp.array([0.0, 3.0])).tolist()
    [1.0, 0.5]
    """
    return 1 / jnp.sqrt(1 + u)


def thin_plate_kernel(u: jax.Array) -> jax.Array:
    """r^2 log r, of u = r^2, and 0 at 0: the surface of a bent plate. (Duchon, 1977.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.rbf.thin_plate_kernel(jnp.array([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    inside = u > 0
    return jnp.where(inside, u * jnp.log(jnp.where(inside, u, jnp.ones_like(u))) / 2, 0)


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

    net:    u_j = |x - c_j|^2 / w^2, one width for all
    centre: u_j = |x - c_j|^2 / w_j^2
    full:   u_j = |M_j (x - c_j)|^2, with a matrix a centre, at first the identity over the width

    Normalised: phi_j / sum_i phi_i, so that between the centres the nearest answers.

    Params are "centres" [centres, features], and "log_width", a number or [centres], or "metric"
    [centres, features, features].

    Args:
      centres: how many.
      kernel: of u; `gaussian_kernel`, `multiquadric_kernel`, `inverse_multiquadric_kernel`,
        `thin_plate_kernel`, or your own.
      metric: "net", "centre" or "full".
      width: at first, in units of x.
      normalised: whether the answers to one x add up to 1; not for `thin_plate_kernel`, which is
        zero and negative too.
      centre_init: initialiser of the centres; standard normal by default. Those chosen from data
        are put into the params: `params | {"centres": c}`.

    Raises:
      TypeError: for x that is no floats.
      ValueError: for no centres, a width that is not positive, another metric, `thin_plate_kernel`
        normalised, or x of another width.

    (Broomhead and Lowe, Multivariable functional interpolation and adaptive networks, 1988;
    Moody and Darken, Fast learning in networks of locally-tuned processing units, 1989.)

    >>> import jax, jaxnn as nn
    >>> layer, x = nn.rbf.rbf_layer(16, metric="centre"), jax.numpy.ones((4, 2))
    >>> params, _ = layer.init(jax.random.key(0), x)
    >>> layer(params, x).shape
    (4, 16)
    """
    title = "rbf"
    centres = core.check_int(centres, f"{title}: centres")
    check_choice(metric, f"{title}: metric", METRICS)
    width = float(check_number(width, f"{title}: width", above=0))
    for function, what in ((kernel, "kernel"), (centre_init, "centre_init")):
        check_function(function, f"{title}: {what}")
    kernel = inspect.unwrap(kernel)  # nn.rbf.gaussian_kernel looks at its argument first
    if normalised and kernel is thin_plate_kernel:
        raise ValueError(
            f"{title}: thin_plate_kernel is zero and negative too, so that its sum divides "
            "nothing; normalise another kernel."
        )
    shape = "metric" if metric == "full" else "log_width"

    def init(key, x):
        if core.check_features(x, title).ndim < 2 or not x.shape[-1]:
            raise ValueError(f"{title} takes [batch, ..., features], got {core.describe(x)}.")
        dtype, wide = core.param_dtype(x), x.shape[-1]
        at = centre_init(core.fold_in(key, 0), (centres, wide), dtype)
        if metric == "full":
            held = jnp.broadcast_to(jnp.eye(wide, dtype=dtype) / width, (centres, wide, wide))
        else:
            held = jnp.full((centres,) if metric == "centre" else (), jnp.log(width), dtype)
        return {"centres": at, shape: held}, ()

    def apply(params, state, x, *, key=None, train=False):
        at, held = core.unpack_params(
            params, core.check_features(x, title), title, "centres", shape
        )
        if x.shape[-1:] != at.shape[1:]:
            raise ValueError(
                f"{title} has centres of {at.shape[-1]} features, got {core.describe(x)}: feed "
                f"{at.shape[-1]}, or init with this x."
            )
        u = _through(x, at, held) if metric == "full" else _over(x, at, held)
        if not normalised:
            return kernel(u), ()
        if kernel is gaussian_kernel:
            # Far from every centre all of them are zero, and so is their sum.
            return jax.nn.softmax(-u / 2, axis=-1), ()
        y = kernel(u)
        return y / y.sum(axis=-1, keepdims=True), ()

    return Layer(init, apply)


def _over(x: jax.Array, centres: jax.Array, log_width: jax.Array) -> jax.Array:
    """Squared distances over squared widths, [..., centres]."""
    u = squared_distances(x, centres)
    scale = jnp.exp(-2 * jnp.asarray(log_width, u.dtype))
    return (u * jnp.broadcast_to(scale, u.shape)).astype(x.dtype)


def _through(x: jax.Array, centres: jax.Array, metric: jax.Array) -> jax.Array:
    """Squared distances, each through the matrix of its centre, [..., centres]."""
    rows = x.reshape(-1, x.shape[-1])

    def one(centre, matrix):
        apart = rows - jnp.broadcast_to(centre, rows.shape)
        return jnp.square(jnp.matmul(apart, matrix.T, precision="highest")).sum(axis=-1)

    u = jax.vmap(one, out_axes=-1)(centres, metric)
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
    """A layer of radial basis functions and a dense one: y = phi(x) W + b.

    Args:
      outputs: numbers foreseen, or logits of classes.
      centres, kernel, metric, width, normalised: see `rbf`; its params are params["rbf"], and those
        of the dense layer params["head"].

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


def ridge(features: jax.Array, targets: jax.Array, penalty: float) -> dict[str, jax.Array]:
    """The params of a dense layer that has the least squared error, in closed form.

    W, b minimise |features W + b - targets|^2 + penalty |W|^2

    Solved by the singular values of the centred features, those of rounding alone left out: half as
    many digits are lost as by the normal equations, and none where features repeat, however small
    the penalty.

    Args:
      features: floats [rows, features], such as what `rbf` gives.
      targets: floats [rows, outputs]; for classes, `jax.nn.one_hot(labels, classes)`.
      penalty: positive; on W and not on b.

    Raises:
      ValueError: for shapes that do not fit, no rows, or a penalty that is not positive.

    (Hoerl and Kennard, Ridge regression, 1970.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> fitted = nn.rbf.ridge(x, 3 * x + 1, 1e-6)
    >>> fitted["w"].round(2).tolist(), fitted["b"].round(2).tolist()
    ([[3.0]], [1.0])
    """
    wrong = [core.check_features(each, "ridge").ndim != 2 for each in (features, targets)]
    if any(wrong) or features.shape[0] != targets.shape[0]:
        raise ValueError(
            "ridge takes features [rows, features] and targets [rows, outputs], got "
            f"{core.describe(features)} and {core.describe(targets)}."
        )
    if not features.shape[0]:
        raise ValueError("ridge: there are no rows to learn from.")
    check_number(penalty, "ridge: penalty", above=0)
    penalty = penalty if isinstance(penalty, jax.Array) else float(penalty)
    given = jnp.asarray(features), jnp.asarray(targets)
    if not core.traced(given) and not all(bool(jnp.isfinite(each).all()) for each in given):
        raise ValueError("ridge: features or targets are NaN or infinite: leave those rows out.")
    features, targets = core.at_least_float32(given)
    middle, level = features.mean(axis=0), targets.mean(axis=0)
    left = features - jnp.broadcast_to(middle, features.shape)
    right = targets - jnp.broadcast_to(level, targets.shape)
    with jax.default_matmul_precision("highest"):
        q, r = jnp.linalg.qr(left)
        u, s, vt = jnp.linalg.svd(r, full_matrices=False)
        rounding = jnp.finfo(s.dtype).eps * max(features.shape) * s[0]
        share = jnp.where(s > rounding, s / (jnp.square(s) + penalty), 0).astype(s.dtype)
        w = vt.T @ (share[:, None] * (u.T @ (q.T @ right)))
        return {"w": w, "b": level - middle @ w}
