"""Routing of matrix capsules by expectation maximization.

(Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018. The paper leaves the schedule of
the inverse temperature open; this one is from its authors' answers to their reviewers, as collected
by Gritzman, Avoiding implementation pitfalls of matrix capsules with EM routing, 2019.)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core

EPSILON = 1e-8  # keeps a sum that divides above zero
VARIANCE = 1e-4  # added to a variance of votes, so that a capsule with one child has a density


def inverse_temperature(iteration: int) -> float:
    """The inverse temperature at iterations 0, 1, ...: 0.01 (1 - 0.95^(iteration + 1))."""
    return 0.01 * (1 - 0.95 ** (iteration + 1))


def route_by_em(
    votes: jax.Array,
    activations: jax.Array,
    beta_u: jax.Array,
    beta_a: jax.Array,
    sharpness: Any,
    share: Callable = jax.nn.softmax,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Fit the capsules above to the votes of those below, as a mixture of Gaussians.

    The assignments r_ij of each capsule below start equal. For each inverse temperature l in turn:

    M: r_ij <- r_ij a_i; mu_j^h and (sigma_j^h)^2 are the mean and variance of the votes V_ij^h
      weighted by r_ij; a_j = sigmoid(l (beta_a - sum_h (beta_u + log sigma_j^h) sum_i r_ij))
    E: r_ij = a_j N(V_ij; mu_j, sigma_j) / sum_k a_k N(V_ik; mu_k, sigma_k), except after the last M

    Args:
      votes: V, floats [..., below, above, 16].
      activations: a_i, floats [..., below].
      beta_u: [above], learned: the cost of a vote that is not explained.
      beta_a: [above], learned: the cost of a capsule that is not active.
      sharpness: l, a sequence of one inverse temperature for each iteration, at least one.
      share: a function from logits [..., below, above] to r, which sums to 1 over all capsules
        above that see the one below; by default a softmax over the last axis.

    Returns:
      (mu, a, r): mu [..., above, 16], a [..., above] and the last r [..., below, above], all of
      the dtype of votes.

    Raises:
      TypeError: if votes, activations, beta_u or beta_a is not an array.
      ValueError: if sharpness is empty, or votes and activations differ in their leading axes.

    (Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018, procedure 1.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> votes, activations, beta = jnp.ones((2, 6, 3, 16)), jnp.ones((2, 6)), jnp.ones(3)
    >>> mu, a, r = nn.capsule.route_by_em(votes, activations, beta, beta, [0.1])
    >>> mu.shape, a.shape, r.shape
    ((2, 3, 16), (2, 3), (2, 6, 3))
    """
    if not len(sharpness) or votes.shape[:-2] != activations.shape:
        raise ValueError(
            "route_by_em takes votes [..., below, above, 16], activations [..., below] and a "
            "sharpness with a number for each iteration, at least one, got "
            f"{core.describe((votes, activations))} and {len(sharpness)} iterations."
        )
    below, lead = activations[..., None], (1,) * (activations.ndim - 1)
    beta_u, beta_a = (beta.reshape(lead + beta.shape) for beta in (beta_u, beta_a))

    def maximize(r, sharp):
        r = r * below
        total = jnp.sum(r, axis=-2) + EPSILON
        mean = jnp.einsum("...ij,...ijh->...jh", r, votes) / total[..., None]
        squares = (votes - mean[..., None, :, :]) ** 2
        variance = jnp.einsum("...ij,...ijh->...jh", r, squares) / total[..., None] + VARIANCE
        log_sigma = 0.5 * jnp.sum(jnp.log(variance), axis=-1)  # sum_h log sigma^h
        cost = total * (votes.shape[-1] * beta_u + log_sigma)
        distance = jnp.sum(squares / (2 * variance[..., None, :, :]), axis=-1)
        # The last is -log N(V_ij; mu_j, sigma_j), but for a constant.
        return mean, sharp * (beta_a - cost), distance + log_sigma[..., None, :]

    def iterate(r, sharp):
        _, logit, surprise = maximize(r, sharp)
        return share(jax.nn.log_sigmoid(logit)[..., None, :] - surprise), None

    sharpness = jnp.asarray(sharpness, votes.dtype)
    r = share(jnp.zeros(votes.shape[:-1], votes.dtype))
    r, _ = jax.lax.scan(iterate, r, sharpness[:-1])
    mean, logit, _ = maximize(r, sharpness[-1])
    return mean, jax.nn.sigmoid(logit), r
