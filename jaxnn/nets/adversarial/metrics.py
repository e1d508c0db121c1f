"""How close generated data is to real data, measured on features.

Features are usually the input of a trained classifier's last layer, [rows, features]. Both measures
are computed on the host in float64, since square roots of small eigenvalues lose half of the
digits.
"""

from typing import Any

import numpy as np

from jaxnn import core


def frechet_distance(real: Any, generated: Any) -> float:
    """The squared Frechet distance between two Gaussians fitted to features.

    distance = |m - m'|^2 + trace(S + S' - 2 (S S')^(1/2)), for means m, m' and covariances S, S'

    The trace of the root is the sum of the square roots of the eigenvalues of R S' R, with R R = S.
    On the features of Inception this is the FID. With few rows the estimate is too large, so
    compare values that come from equally many rows.

    Args:
      real: floating point features of real data, [rows, features], at least two rows.
      generated: floating point features of generated data, [rows, features], at least two rows.

    Returns:
      The distance, a Python float.

    Raises:
      TypeError: if the features are not floating point.
      ValueError: if the features are not [rows, features], differ in width, have fewer than two
        rows, or are not finite.

    (Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium, 2017; Dowson and Landau, The Frechet distance between multivariate normal
    distributions, 1982.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.array([[0.0], [2.0]])
    >>> round(nn.gan.frechet_distance(x, 2 * x + 3), 6)
    18.0
    """
    real, generated = _check_features(real, generated, "frechet_distance", 2)
    mean = real.mean(0) - generated.mean(0)
    real_covariance = np.atleast_2d(np.cov(real, rowvar=False))
    covariance = np.atleast_2d(np.cov(generated, rowvar=False))
    values, vectors = np.linalg.eigh(real_covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariance @ root).clip(0)).sum()
    return float(mean @ mean + np.trace(real_covariance) + np.trace(covariance) - 2 * shared)


def manifold_precision_recall(
    real: Any, generated: Any, *, neighbours: int = 3
) -> tuple[float, float]:
    """The share of generated data that looks real, and of real data that is generated.

    The manifold of a set is the union of balls around its rows, each of which reaches to the row's
    k-th nearest neighbor in the set. Precision is the share of generated rows in the manifold of
    the real rows; recall is the share of real rows in the manifold of the generated rows.

    Args:
      real: floating point features of real data, [rows, features]; the more rows the better, but
        memory grows with the square of their number.
      generated: floating point features of generated data, [rows, features].
      neighbours: the number k of the neighbor to which each ball reaches.

    Returns:
      (precision, recall), Python floats in [0, 1].

    Raises:
      TypeError: if the features are not floating point.
      ValueError: if the features are not [rows, features], differ in width, do not have more rows
        than neighbours, or are not finite.

    (Kynkaanniemi et al., Improved precision and recall metric for assessing generative models,
    2019.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> real, generated = jnp.array([[0.0], [1.0], [9.0]]), jnp.array([[0.5], [0.6]])
    >>> nn.gan.manifold_precision_recall(real, generated, neighbours=1)
    (1.0, 0.0)
    """
    neighbours = core.check_int(neighbours, "manifold_precision_recall: neighbours")
    real, generated = _check_features(real, generated, "manifold_precision_recall", neighbours + 1)
    return _covered(real, generated, neighbours), _covered(generated, real, neighbours)


def _covered(known: np.ndarray, rows: np.ndarray, neighbours: int) -> float:
    """The share of `rows` in the manifold of `known`."""
    # The smallest distance of each row is the one to itself, so index k is the k-th neighbor.
    radius = np.partition(_squared_distances(known, known), neighbours)[:, neighbours, None]
    return float((_squared_distances(known, rows) <= radius).any(0).mean())


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None]
    return (squares - 2 * a @ b.T).clip(0)


def _check_features(real: Any, generated: Any, title: str, rows: int) -> list[np.ndarray]:
    """Both as float64 arrays; raises unless they are features of one width, `rows` at least."""
    for features in (real, generated):
        if core.check_features(features, title).ndim != 2 or features.shape[1] != real.shape[-1]:
            raise ValueError(
                f"{title} takes features [rows, features], of the same width for both, got "
                f"{core.describe(real)} and {core.describe(generated)}."
            )
        if features.shape[0] < rows:
            raise ValueError(
                f"{title} takes at least {rows} rows, got {core.describe(features)}: give more."
            )
    both = [np.asarray(features, np.float64) for features in (real, generated)]
    if not all(np.isfinite(features).all() for features in both):
        raise ValueError(f"{title}: the features hold NaN or infinity: check the generated data.")
    return both
