"""Routing by agreement between two layers of vector capsules."""

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.nets.capsule.length import squash


def cast_votes(x: jax.Array, w: jax.Array) -> jax.Array:
    """The vote of each capsule below for each one above: u_bjid = sum_f x_bif w_ifjd.

    Args:
      x: [batch, inputs, features].
      w: [inputs, features, n, dimension].

    Returns:
      [batch, n, inputs, dimension].
    """
    inputs, features, n, dimension = w.shape
    # One matmul for each capsule below. The votes for one capsule above are contiguous in the
    # result, so that the sums of the routing are matmuls, too.
    u = jnp.matmul(x.transpose(1, 0, 2), w.reshape(inputs, features, n * dimension))
    return u.reshape(inputs, x.shape[0], n, dimension).transpose(1, 2, 0, 3)


def route_by_agreement(
    votes: jax.Array, iterations: int = 3, stop_gradient: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Compute the capsules above as sums of votes, weighted by their agreement with the result.

    From logits b_ij = 0, repeat `iterations` times, without the update of b the last time:

    c_ij = exp(b_ij) / sum_k exp(b_ik), y_j = squash(sum_i c_ij u_ij), b_ij <- b_ij + u_ij . y_j

    Args:
      votes: u, floats [batch, n, inputs, dimension].
      iterations: the number of iterations, at least 1; with 1 all votes have the same weight, and
        the paper uses 3.
      stop_gradient: whether the routing weights c are constants for the gradient, which then flows
        through the last sum only. The paper and its authors' code differentiate through all
        iterations; many later implementations do not (Liao, CapsNet-Tensorflow, 2017), which is
        faster.

    Returns:
      (y, c): y [batch, n, dimension] and the weights c [batch, n, inputs], which sum to 1 over n,
      both of the dtype of votes.

    Raises:
      TypeError: if votes are not floating point.
      ValueError: if iterations is less than 1, or votes does not have four axes.

    (Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017, procedure 1.)

    >>> import jax, jaxnn as nn
    >>> votes = jax.random.normal(jax.random.key(0), (2, 4, 6, 8))
    >>> y, c = nn.capsule.route_by_agreement(votes, iterations=1)
    >>> y.shape, c.shape, c[0, 0, 0].item()
    ((2, 4, 8), (2, 4, 6), 0.25)
    """
    iterations = core.check_int(iterations, "route_by_agreement: iterations")
    if core.check_features(votes, "route_by_agreement").ndim != 4:
        raise ValueError(
            "route_by_agreement takes votes [batch, n, inputs, dimension], got "
            f"{core.describe(votes)}."
        )
    routing_votes = jax.lax.stop_gradient(votes) if stop_gradient else votes

    def weights(total):
        # The logits are the votes times the sum of the outputs so far, which is far smaller than
        # the logits are.
        return jax.nn.softmax(jnp.einsum("bjid,bjd->bji", routing_votes, total), axis=1)

    def output(c, votes):
        return squash(jnp.einsum("bji,bjid->bjd", c, votes))

    def iterate(total, _):
        return total + output(weights(total), routing_votes), None

    n = votes.shape[1]
    c = jnp.full(votes.shape[:3], 1 / n, votes.dtype)
    if iterations > 1:
        total = squash(jnp.sum(routing_votes, axis=2) / n)  # the first iteration: equal weights
        total, _ = jax.lax.scan(iterate, total, length=iterations - 2, unroll=2)
        c = weights(total)
    return output(c, votes), c
