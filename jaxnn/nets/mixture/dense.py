"""Mixtures of experts: a gate says for each input how much each expert is heard.

Here all experts answer, and the gate weighs them: `mixture`, flat or as a tree of gates, and
`multi_task`, in which every task has a gate of its own over shared experts. Where only a few of
many experts are asked, see `jaxnn.nets.mixture.sparse`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.combine import ensemble
from jaxnn.flow import wire
from jaxnn.layers.dense import dense
from jaxnn.losses import mean_over_rows
from jaxnn.printing import factory


class Mixture(NamedTuple):
    """What a mixture of n experts says of rows.

    output: [rows, ...], the mean of the experts by their weights.
    log_weights: [rows, n], the logarithm of what the gate gives each; weights sum to 1 in a row.
    outputs: [rows, n, ...], what each expert says alone.
    """

    output: jax.Array
    log_weights: jax.Array
    outputs: jax.Array


export.register_namedtuple_serialization(Mixture, serialized_name="jaxnn.mixture.Mixture")


@factory
def mixture_of_experts(expert: Any, *branches: int, gate: Callable[[int], Any] = dense) -> core.Net:
    """A mixture of experts, flat or as a tree: x to a `Mixture`.

    y = sum_i g_i(x) f_i(x) with g = softmax(gate(x)); with two levels, a gate over gates,
    y = sum_i g_i(x) sum_j g_ij(x) f_ij(x), whose Mixture has the n_1 n_2 leaves for experts and
    g_i g_ij for weights.

    Args:
      expert: a layer; all experts are of its kind, each with params of its own.
      *branches: how many experts there are, `mixture(expert, 8)`; or how many branches each level
        of a tree has, `mixture(expert, 2, 4)` for 8 experts.
      gate: makes the layer that puts out the logits of n branches, [rows, n], of x; linear by
        default, or `lambda n: mlp(16, n)`. Rows may have several axes, [batch, time].

    Params are {"gate", "experts"}, those of experts with a leading axis; those of a tree are of the
    same form again.

    An expert with a weight of zero for every row learns nothing, and does no harm: `mixture_loss`
    reports how much each is used.

    Raises:
      ValueError: for no branches; where gate and experts disagree about rows.

    (Jacobs, Jordan, Nowlan and Hinton, Adaptive mixtures of local experts, 1991; Jordan and Jacobs,
    Hierarchical mixtures of experts and the EM algorithm, 1994.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.mixture.mixture_of_experts(nn.mlp(8, 2), 2, 3), jax.numpy.ones((4, 5))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.tree.map(jax.numpy.shape, jax.eval_shape(net, params, x))
    Mixture(output=(4, 2), log_weights=(4, 6), outputs=(4, 6, 2))
    """
    if not branches:
        raise ValueError("mixture takes how many experts there are, mixture(expert, 8); got none.")
    n, *rest = (core.check_int(each, "mixture: branches") for each in branches)
    inner = mixture_of_experts(expert, *rest, gate=gate) if rest else expert

    def flow(f, x):
        log_weights, said = jax.nn.log_softmax(f.gate(x)), f.experts(x)
        rows = log_weights.shape[:-1]
        if not rest:
            return _weighed(log_weights, _among(said, log_weights))
        # The leaves of every branch side by side: [rows, n, m] to [rows, n m].
        finer = jnp.moveaxis(said.log_weights, 0, -2)
        outputs = jnp.moveaxis(said.outputs, 0, len(rows))
        log_weights = (log_weights[..., None] + finer).reshape(*rows, -1)
        features = said.output.shape[1 + len(rows) :]
        return _weighed(log_weights, outputs.reshape(*log_weights.shape, *features))

    return wire(flow, gate=gate(n), experts=ensemble(inner, n))


def _among(outputs: jax.Array, log_weights: jax.Array) -> jax.Array:
    """Outputs [n, rows, ...] of experts as [rows, n, ...]."""
    *rows, n = log_weights.shape
    if not isinstance(outputs, jax.Array) or outputs.shape[: 1 + len(rows)] != (n, *rows):
        raise ValueError(
            f"a mixture of {n} experts has weights {core.describe(log_weights)}, and experts that "
            f"put out {core.describe(outputs)}: both must have the same rows."
        )
    return jnp.moveaxis(outputs, 0, len(rows))


def _weighed(log_weights: jax.Array, outputs: jax.Array) -> Mixture:
    rows = log_weights.ndim - 1
    weights = jnp.exp(log_weights).reshape(*log_weights.shape, *[1] * (outputs.ndim - rows - 1))
    return Mixture((weights * outputs).sum(axis=rows), log_weights, outputs)


def mixture_loss(net: Any, log_likelihood: Callable) -> Callable:
    """The negative log-likelihood of a `mixture`, for `training.step`; a batch is (x, target).

    -log sum_i g_i(x) p_i(target), the mean over rows. Experts compete for each row: the one that
    says best what is so is the one that learns of it, and so they come to have parts of their own.
    The error of the mean that they make together would have them help each other everywhere.

    Args:
      net: made by `mixture`; where it is part of a net, one that puts out a `Mixture`.
      log_likelihood: (outputs [rows, n, ...], target [rows, ...]) -> [rows, n], such as
        `jaxnn.autoencoder.gaussian_log_likelihood(0.1)`.

    Returns:
      (params, state, batch, *, key, train) -> (loss, (state, metrics)). The metrics are what
      `expert_usage` says of the mean weight of each expert.

    >>> import jax, jaxnn as nn, optax
    >>> net = nn.mixture.mixture_of_experts(nn.dense(1), 4)
    >>> step = nn.training.step(
    ...     nn.mixture.mixture_loss(net,
    ...     nn.autoencoder.gaussian_log_likelihood(0.1)), optax.adam(1e-2)
    ... )
    """

    def loss(params, state, batch, *, key=None, train=False):
        x, target = batch
        said, state = net.apply(params, state, x, key=key, train=train)
        likely = log_likelihood(said.outputs, target)
        core.check_same_spec(
            likely, said.log_weights, "mixture_loss takes one log-likelihood an expert"
        )
        value = -jax.nn.logsumexp(said.log_weights + likely, axis=-1)
        share = _share(jnp.exp(said.log_weights))
        return value.mean(), (state, expert_usage(share))

    return loss


def expert_usage(share: jax.Array) -> dict[str, jax.Array]:
    """Metrics of how much experts are used, of the share [n] of each: "usage_0" and so on.

    "experts_in_use" is exp(-sum u log u), n where all are used alike and 1 where one does all.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> {title: float(use) for title, use in nn.mixture.expert_usage(jnp.array([0.5, 0.5])).items()}
    {'experts_in_use': 2.0, 'usage_0': 0.5, 'usage_1': 0.5}
    """
    each = {f"usage_{i}": share[i] for i in range(share.shape[0])}
    return {"experts_in_use": jnp.exp(jax.scipy.special.entr(share).sum()), **each}


def _share(weights: jax.Array) -> jax.Array:
    """The mean weight [n] of each expert over all rows [rows, n]."""
    share = weights.mean(axis=0)
    return share.mean(axis=tuple(range(share.ndim - 1)))


# Several tasks


class Tasks(NamedTuple):
    """What a net of several tasks says of rows.

    outputs: of each task by name, [rows, ...].
    weights: [rows, tasks, n], what the gate of each task gives each expert.
    """

    outputs: dict[str, Any]
    weights: jax.Array


export.register_namedtuple_serialization(Tasks, serialized_name="jaxnn.mixture.Tasks")


@factory
def multi_task(
    expert: Any, n: int, towers: Mapping[str, Any], *, gate: Callable[[int], Any] = dense
) -> core.Net:
    """Shared experts, and for each task a gate and a tower of its own: x to `Tasks`.

    y_t = tower_t(sum_i g_ti(x) f_i(x)) with g_t = softmax(gate_t(x)). Params are {"experts",
    "gates", "towers"}, those of experts and gates with a leading axis.

    Args:
      expert: a layer; all experts are of its kind.
      n: how many experts there are.
      towers: a layer for each task by name, over what the experts put out: {"price": dense(1)}.
      gate: as in `mixture`.

    Raises:
      ValueError: for no towers, n below 1; where gate and experts disagree about rows.

    (Ma et al., Modeling task relationships in multi-task learning with multi-gate
    mixture-of-experts, 2018.)

    >>> import jax, jaxnn as nn
    >>> net = nn.mixture.multi_task(nn.dense(8), 3, {"kind": nn.dense(4), "price": nn.dense(1)})
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), jax.numpy.ones((5, 6)))
    >>> jax.tree.map(jax.numpy.shape, jax.eval_shape(net, params, jax.numpy.ones((5, 6))))
    Tasks(outputs={'kind': (5, 4), 'price': (5, 1)}, weights=(5, 2, 3))
    """
    if not towers:
        raise ValueError('multi_task takes a tower for each task, {"price": dense(1)}; got none.')
    names = tuple(towers)

    def each(f, mixed):
        return {name: getattr(f, name)(mixed[i]) for i, name in enumerate(names)}

    def flow(f, x):
        log_weights, said = jax.nn.log_softmax(f.gates(x)), f.experts(x)
        among = _among(said, log_weights[0])
        mixed = [_weighed(task, among).output for task in log_weights]
        return Tasks(f.towers(mixed), jnp.moveaxis(jnp.exp(log_weights), 0, -2))

    gates = ensemble(gate(core.check_int(n, "multi_task: n")), len(names))
    return wire(flow, experts=ensemble(expert, n), gates=gates, towers=wire(each, **towers))


def multi_task_loss(
    net: Any, losses: Mapping[str, Callable], weights: Mapping[str, float] | None = None
) -> Callable:
    """The loss of a `multi_task` net, for `training.step`: sum_t w_t mean(loss_t(y_t, target_t)).

    Args:
      net: made by `multi_task`.
      losses: for each task, (output, target) -> one number a row.
      weights: w by task, 1 where none is given.

    Returns:
      (params, state, batch, *, key, train) -> (loss, (state, metrics)) for batches (x, targets),
      with targets by task. The metrics are "loss_TASK" of each task, and what `expert_usage` says
      of the mean weight of each expert over all tasks.

    Raises:
      ValueError: for weights of tasks that are none, and at the first call for losses that are not
        those of the net's tasks.

    >>> import jax, jaxnn as nn, optax
    >>> net = nn.mixture.multi_task(nn.dense(8), 3, {"a": nn.dense(4), "b": nn.dense(4)})
    >>> loss = nn.mixture.multi_task_loss(net, dict.fromkeys("ab",
    ...     optax.safe_softmax_cross_entropy))
    """
    weights = {**dict.fromkeys(losses, 1.0), **(weights or {})}
    if set(weights) != set(losses):
        raise ValueError(f"multi_task_loss has losses of {sorted(losses)}, weights {weights}.")

    def loss(params, state, batch, *, key=None, train=False):
        x, targets = batch
        said, state = net.apply(params, state, x, key=key, train=train)
        if set(said.outputs) != set(losses) or set(targets) != set(losses):
            raise ValueError(
                f"multi_task_loss has losses of {sorted(losses)}, the net puts out "
                f"{sorted(said.outputs)}, the targets are {sorted(targets)}: name them alike."
            )
        found = {
            task: mean_over_rows(measure, said.outputs[task], targets[task], f"the loss of {task}")
            for task, measure in losses.items()
        }
        total = sum(weights[task] * value for task, value in found.items())
        metrics = {f"loss_{task}": value for task, value in found.items()}
        return total, (state, metrics | expert_usage(_share(said.weights.mean(axis=-2))))

    return loss
