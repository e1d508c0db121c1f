"""Dense mixtures of experts: every expert runs on every row, and a gate weights the outputs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.combine import ensemble
from jaxnn.flow import wire
from jaxnn.layers.dense import dense
from jaxnn.printing import factory


class Mixture(NamedTuple):
    """The output of a mixture of n experts.

    output: the mean of the experts' outputs by their weights, [rows, ...].
    log_weights: the logarithm of the gate's weights, [rows, n]; the weights of a row sum to 1.
    outputs: the output of each expert, [rows, n, ...].
    """

    output: jax.Array
    log_weights: jax.Array
    outputs: jax.Array


export.register_namedtuple_serialization(Mixture, serialized_name="jaxnn.mixture.Mixture")


@factory
def mixture_of_experts(expert: Any, *branches: int, gate: Callable[[int], Any] = dense) -> core.Net:
    """A mixture of experts, flat or as a tree of gates: x to a `Mixture`.

    y = sum_i g_i(x) f_i(x), with g = softmax(gate(x))

    With two levels, y = sum_i g_i(x) sum_j g_ij(x) f_ij(x). The `Mixture` then has the n_1 n_2
    leaves as its experts and g_i g_ij as their weights.

    The params are {"gate", "experts"}; those of the experts have a leading axis. In a tree, the
    params of the experts have this form again. An expert whose weight is zero in every row does not
    learn and does no harm; `mixture_loss` reports how much each one is used.

    Args:
      expert: a layer; the experts are copies of it, each with its own params.
      *branches: the number of experts, as in `mixture_of_experts(expert, 8)`, or the number of
        branches at each level of a tree, as in `mixture_of_experts(expert, 2, 4)` for 8 experts.
      gate: a function that makes the gate of n branches, a layer from x to logits [rows, n]:
        `dense` by default, or for example `lambda n: mlp(16, n)`.

    Returns:
      A layer from x [rows, features] to a `Mixture`, of the experts' dtype. Rows may have several
      axes, such as [batch, time].

    Raises:
      ValueError: if there are no branches, or one is less than 1; at init, if the outputs of the
        gate and of the experts differ in their rows.

    (Jacobs, Jordan, Nowlan and Hinton, Adaptive mixtures of local experts, 1991; Jordan and Jacobs,
    Hierarchical mixtures of experts and the EM algorithm, 1994.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.mixture.mixture_of_experts(nn.mlp(8, 2), 2, 3), jnp.ones((4, 5))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.tree.map(jnp.shape, jax.eval_shape(net, params, x))
    Mixture(output=(4, 2), log_weights=(4, 6), outputs=(4, 6, 2))
    """
    if not branches:
        raise ValueError(
            "mixture_of_experts takes the number of experts, as in mixture_of_experts(expert, 8); "
            "got none."
        )
    n, *rest = (core.check_int(branch, "mixture_of_experts: branches") for branch in branches)
    inner = mixture_of_experts(expert, *rest, gate=gate) if rest else expert

    def flow(f, x):
        log_weights, answers = jax.nn.log_softmax(f.gate(x)), f.experts(x)
        rows = log_weights.shape[:-1]
        if not rest:
            return weighted_mixture(log_weights, rows_first(answers, log_weights))
        # Put the leaves of all branches side by side: [rows, n, m] becomes [rows, n m].
        inner_log_weights = jnp.moveaxis(answers.log_weights, 0, -2)
        outputs = jnp.moveaxis(answers.outputs, 0, len(rows))
        log_weights = (log_weights[..., None] + inner_log_weights).reshape(*rows, -1)
        features = answers.output.shape[1 + len(rows) :]
        return weighted_mixture(log_weights, outputs.reshape(*log_weights.shape, *features))

    return wire(flow, gate=gate(n), experts=ensemble(inner, n))


def rows_first(outputs: jax.Array, log_weights: jax.Array) -> jax.Array:
    """The outputs [n, rows, ...] of n experts as [rows, n, ...]."""
    *rows, n = log_weights.shape
    if not isinstance(outputs, jax.Array) or outputs.shape[: 1 + len(rows)] != (n, *rows):
        raise ValueError(
            f"a mixture of {n} experts has weights {core.describe(log_weights)}, and experts that "
            f"return {core.describe(outputs)}: both must have the same rows."
        )
    return jnp.moveaxis(outputs, 0, len(rows))


def weighted_mixture(log_weights: jax.Array, outputs: jax.Array) -> Mixture:
    """The `Mixture` of outputs [rows, n, ...] with these weights [rows, n]."""
    rows = log_weights.ndim - 1
    weights = jnp.exp(log_weights).reshape(*log_weights.shape, *[1] * (outputs.ndim - rows - 1))
    return Mixture((weights * outputs).sum(axis=rows), log_weights, outputs)


def mixture_loss(net: Any, log_likelihood: Callable) -> Callable:
    """The negative log-likelihood of a mixture, for `training.step`; a batch is (x, target).

    loss = mean over rows of -log sum_i g_i(x) p_i(target)

    The experts compete for each row: the expert with the highest likelihood gets most of the
    gradient, so that the experts specialize. The error of their weighted mean would instead make
    them cooperate on every row.

    Args:
      net: a net made by `mixture_of_experts`, or any net whose output is a `Mixture`.
      log_likelihood: (outputs [rows, n, ...], target [rows, ...]) -> [rows, n], such as
        `jaxnn.autoencoder.gaussian_log_likelihood(0.1)`.

    Returns:
      A loss (params, state, batch, *, key, train) -> (loss, (state, metrics)). The metrics are
      those of `expert_usage` for the mean weight of each expert.

    Raises:
      ValueError: at the first call, if there is not one log-likelihood for each row and expert.

    (Jacobs, Jordan, Nowlan and Hinton, Adaptive mixtures of local experts, 1991.)

    >>> import jaxnn as nn, optax
    >>> net = nn.mixture.mixture_of_experts(nn.dense(1), 4)
    >>> log_likelihood = nn.autoencoder.gaussian_log_likelihood(0.1)
    >>> loss = nn.mixture.mixture_loss(net, log_likelihood)
    >>> step = nn.training.step(loss, optax.adam(1e-2))
    """

    def loss(params, state, batch, *, key=None, train=False):
        x, target = batch
        mixture, state = net.apply(params, state, x, key=key, train=train)
        log_likelihoods = log_likelihood(mixture.outputs, target)
        core.check_same_spec(
            log_likelihoods,
            mixture.log_weights,
            "mixture_loss takes one log-likelihood for each row and expert",
        )
        value = -jax.nn.logsumexp(mixture.log_weights + log_likelihoods, axis=-1)
        share = mean_share(jnp.exp(mixture.log_weights))
        return value.mean(), (state, expert_usage(share))

    return loss


def expert_usage(share: jax.Array) -> dict[str, jax.Array]:
    """Metrics of how much each expert is used.

    experts_in_use = exp(-sum_i u_i log u_i), for the shares u

    This effective number of experts is n if all are used equally, and 1 if one does everything.

    Args:
      share: the share of each expert, [n], which sum to 1.

    Returns:
      A dict of scalars: "experts_in_use", and the share of each expert as "usage_0" and so on.

    Raises:
      TypeError: if `share` is not an array.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> usage = nn.mixture.expert_usage(jnp.array([0.5, 0.5]))
    >>> {title: float(value) for title, value in usage.items()}
    {'experts_in_use': 2.0, 'usage_0': 0.5, 'usage_1': 0.5}
    """
    shares = {f"usage_{i}": share[i] for i in range(share.shape[0])}
    return {"experts_in_use": jnp.exp(jax.scipy.special.entr(share).sum()), **shares}


def mean_share(weights: jax.Array) -> jax.Array:
    """The mean weight [n] of each expert over all rows [rows, n]."""
    share = weights.mean(axis=0)
    return share.mean(axis=tuple(range(share.ndim - 1)))
