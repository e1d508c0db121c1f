"""How near generated rows come to real ones, measured on their features.

Features are what a trained classifier has before its last layer, [rows, features]. Both measures
are computed on the host in float64, since roots of small eigenvalues lose half of the digits.
"""

from typing import Any

import numpy as np

from jaxnn import core


def frechet_distance(real: Any, generated: Any) -> float:
    """The squared distance of two Gaussians fitted to features: of means and of spreads.

    |m - m'|^2 + trace(S + S' - 2 (S S')^(1/2))

    The root's trace is the sum of the roots of the eigenvalues of R S' R, where R R = S. Over the
    features of Inception it is the "FID"; few rows make it larger than it is, so compare as many.

    Args:
      real, generated: floats [rows, features], at least two rows each.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for another rank, unequal features, fewer than two rows, or what is not finite.

    (Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium, 2017; Dowson and Landau, The Frechet distance between multivariate normal
    distributions, 1982.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x = jnp.array([[0.0], [2.0]])
    >>> round(nn.gan.frechet_distance(x, 2 * x + 3), 6)
    18.0
    """
    real, generated = _features(real, generated, "frechet_distance", 2)
    means = real.mean(0) - generated.mean(0)
    one, other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (real, generated))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return float(means @ means + np.trace(one) + np.trace(other) - 2 * shared)


def manifold_precision_recall(
    real: Any, generated: Any, *, neighbours: int = 3
) -> tuple[float, float]:
    """(precision, recall): how much of the generated looks real, and of the real is generated.

    The manifold of a set is the union of balls around its rows, each reaching to the row's k-th
    nearest neighbour in the set. Precision is the share of generated rows in the manifold of the
    real ones, recall the share of real rows in that of the generated ones.

    Args:
      real, generated: floats [rows, features], as many of both as can be had; memory grows with
        the product of their numbers.
      neighbours: k.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for another rank, unequal features, not more rows than neighbours, or what is not
        finite.

    (Kynkaanniemi et al., Improved precision and recall metric for assessing generative models,
    2019.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> real, generated = jnp.array([[0.0], [1.0], [9.0]]), jnp.array([[0.5], [0.6]])
    >>> nn.gan.manifold_precision_recall(real, generated, neighbours=1)
    (1.0, 0.0)
    """
    neighbours = core.check_int(neighbours, "manifold_precision_recall: neighbours")
    real, generated = _features(real, generated, "manifold_precision_recall", neighbours + 1)
    return _covered(real, generated, neighbours), _covered(generated, real, neighbours)


def _covered(known: np.ndarray, rows: np.ndarray, neighbours: int) -> float:
    """The share of rows in the manifold of those known."""
    # Of the distances in a row the least is that to itself.
    reach = np.partition(_squared_distances(known, known), neighbours)[:, neighbours, None]
    return float((_squared_distances(known, rows) <= reach).any(0).mean())


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None]
    return (squares - 2 * a @ b.T).clip(0)


def _features(real: Any, generated: Any, title: str, least: int) -> list[np.ndarray]:
    for each in (real, generated):
        if core.check_features(each, title).ndim != 2 or each.shape[1] != real.shape[-1]:
            raise ValueError(
                f"{title} takes features [rows, features], the same of both, got "
                f"{core.describe(real)} and {core.describe(generated)}."
            )
        if each.shape[0] < least:
            raise ValueError(
                f"{title} takes at least {least} rows, got {core.describe(each)}: give more."
            )
    both = [np.asarray(each, np.float64) for each in (real, generated)]
    if not all(np.isfinite(each).all() for each in both):
        raise ValueError(f"{title}: features hold NaN or infinity: look at what was generated.")
    return both
