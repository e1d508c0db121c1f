"""Linear least squares for radial basis functions: output weights, and a choice of centers."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number


def ridge(features: jax.Array, targets: jax.Array, penalty: float) -> dict[str, jax.Array]:
    """The params of the dense layer with the least squared error, in closed form.

    W, b = argmin |features W + b - targets|^2 + penalty |W|^2

    It is solved by the singular values of the centered features, without those at the level of
    rounding. This loses half as many digits as the normal equations, and none if features repeat,
    however small the penalty is.

    Args:
      features: floats [rows, features], such as the output of `rbf_layer`.
      targets: floats [rows, outputs]; for classes, `jax.nn.one_hot(labels, classes)`.
      penalty: a positive number, which applies to W and not to b.

    Returns:
      {"w": [features, outputs], "b": [outputs]}, in float32 at least.

    Raises:
      TypeError: if features or targets are not floating point.
      ValueError: if features and targets differ in rows or have none, are not finite, or penalty is
        not positive.

    (Hoerl and Kennard, Ridge regression, 1970.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> fitted = nn.rbf.ridge(x, 3 * x + 1, 1e-6)
    >>> fitted["w"].round(2).tolist(), fitted["b"].round(2).tolist()
    ([[3.0]], [1.0])
    """
    _check_shapes(features, targets, "ridge", "[rows, features]")
    if not features.shape[0]:
        raise ValueError("ridge: features and targets have no rows to learn from.")
    check_number(penalty, "ridge: penalty", above=0)
    penalty = penalty if isinstance(penalty, jax.Array) else float(penalty)
    features, targets = _finite(features, targets, "ridge", ": leave those rows out")
    feature_mean, target_mean = features.mean(axis=0), targets.mean(axis=0)
    a = features - jnp.broadcast_to(feature_mean, features.shape)
    b = targets - jnp.broadcast_to(target_mean, targets.shape)
    with jax.default_matmul_precision("highest"):
        q, r = jnp.linalg.qr(a)
        u, s, vt = jnp.linalg.svd(r, full_matrices=False)
        rounding = jnp.finfo(s.dtype).eps * max(features.shape) * s[0]
        factor = jnp.where(s > rounding, s / (jnp.square(s) + penalty), 0).astype(s.dtype)
        w = vt.T @ (factor[:, None] * (u.T @ (q.T @ b)))
        return {"w": w, "b": target_mean - feature_mean @ w}


def orthogonal_least_squares(features: jax.Array, targets: jax.Array, k: int) -> jax.Array:
    """Choose the k columns of `features` that explain the targets best, one after the other.

    With q the part of a column that is orthogonal to the columns chosen so far, each choice is the
    column with the largest |q . targets|^2 / (q . q).

    If the features are those of an `rbf_layer` with a center at every row of x, each column belongs
    to a row of x, and the centers of the network are x[chosen].

    Args:
      features: floats [rows, columns], finite.
      targets: floats [rows, outputs], finite; best with their mean subtracted.
      k: the number of columns to choose, from 1 to columns.

    Returns:
      int32 [k], the columns in the order of their choice.

    Raises:
      TypeError: if features or targets are not floating point.
      ValueError: if features and targets differ in rows or are not finite, or k is less than 1 or
        greater than the number of columns.

    (Chen, Cowan and Grant, Orthogonal least squares learning algorithm for radial basis function
    networks, 1991.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> features, targets = jnp.eye(4), jnp.array([[1.0], [0.0], [3.0], [2.0]])
    >>> nn.rbf.orthogonal_least_squares(features, targets, 2).tolist()
    [2, 3]
    """
    title = "orthogonal_least_squares"
    k = core.check_int(k, f"{title}: k, the number of centres,")
    _check_shapes(features, targets, title, "[rows, columns]")
    if k > features.shape[1]:
        raise ValueError(
            f"{title}: k={k} centres were requested from {features.shape[1]} columns; request "
            "fewer, or give more columns."
        )
    return _chosen(*_finite(features, targets, title), k)


@partial(jax.jit, static_argnums=2)
def _chosen(features, targets, k):
    initial_sizes = jnp.square(features).sum(axis=0)

    def choose(i, carry):
        columns, residual, chosen = carry
        sizes = jnp.square(columns).sum(axis=0)
        explained = jnp.square(jnp.matmul(columns.T, residual, precision="highest")).sum(axis=1)
        # What remains of a column that the chosen ones span is only rounding.
        independent = sizes > 1e-5 * initial_sizes
        gain = jnp.where(independent, explained / jnp.where(independent, sizes, 1), -1)
        best = jnp.where(independent.any(), jnp.argmax(gain), i).astype(jnp.int32)
        tiny = jnp.finfo(sizes.dtype).tiny
        q = columns[:, best] * jax.lax.rsqrt(jnp.maximum(sizes[best], tiny))
        columns = columns - jnp.outer(q, jnp.matmul(q, columns, precision="highest"))
        residual = residual - jnp.outer(q, jnp.matmul(q, residual, precision="highest"))
        return columns.at[:, best].set(0), residual, chosen.at[i].set(best)

    start = features, targets, jnp.zeros(k, jnp.int32)
    return jax.lax.fori_loop(0, k, choose, start)[2]


def _check_shapes(features: jax.Array, targets: jax.Array, title: str, shape: str) -> None:
    """Raises unless features and targets are two matrices with as many rows."""
    ranks = [core.check_features(each, title).ndim for each in (features, targets)]
    if ranks != [2, 2] or features.shape[0] != targets.shape[0]:
        raise ValueError(
            f"{title} takes features {shape} and targets [rows, outputs], got "
            f"{core.describe(features)} and {core.describe(targets)}."
        )


def _finite(features, targets, title: str, mend: str = "") -> tuple[jax.Array, jax.Array]:
    """Both in float32 at least; raises ValueError if a known value is not finite."""
    both = jnp.asarray(features), jnp.asarray(targets)
    if not core.traced(both) and not all(bool(jnp.isfinite(each).all()) for each in both):
        raise ValueError(f"{title}: features or targets are NaN or infinite{mend}.")
    return core.at_least_float32(both)
