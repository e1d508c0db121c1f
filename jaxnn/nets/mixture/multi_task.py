"""Several tasks over shared experts, each task with a gate and a tower of its own."""

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
from jaxnn.nets.mixture.dense import expert_usage, mean_share, rows_first, weighted_mixture
from jaxnn.printing import factory


class Tasks(NamedTuple):
    """The output of a net for several tasks.

    outputs: the output of each task by name, [rows, ...].
    weights: the weights that the gate of each task gives the experts, [rows, tasks, n].
    """

    outputs: dict[str, Any]
    weights: jax.Array


export.register_namedtuple_serialization(Tasks, serialized_name="jaxnn.mixture.Tasks")


@factory
def multi_task(
    expert: Any, n: int, towers: Mapping[str, Any], *, gate: Callable[[int], Any] = dense
) -> core.Net:
    """Shared experts, with a gate and a tower for each task: x to `Tasks`.

    y_t = tower_t(sum_i g_ti(x) f_i(x)), with g_t = softmax(gate_t(x))

    The params are {"experts", "gates", "towers"}; those of the experts and the gates have a leading
    axis.

    Args:
      expert: a layer; the experts are copies of it, each with its own params.
      n: the number of experts.
      towers: a layer for each task by name, which takes the mixed outputs of the experts, such as
        {"price": dense(1)}.
      gate: a function that makes the gate of n experts, a layer from x to logits [rows, n].

    Returns:
      A layer from x [rows, features] to `Tasks`, of the towers' dtypes.

    Raises:
      ValueError: if there are no towers, or if n is less than 1; at init, if the outputs of the
        gates and of the experts differ in their rows.

    (Ma et al., Modeling task relationships in multi-task learning with multi-gate
    mixture-of-experts, 2018.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.mixture.multi_task(nn.dense(8), 3, {"kind": nn.dense(4), "price": nn.dense(1)})
    >>> x = jnp.ones((5, 6))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.tree.map(jnp.shape, jax.eval_shape(net, params, x))
    Tasks(outputs={'kind': (5, 4), 'price': (5, 1)}, weights=(5, 2, 3))
    """
    if not towers:
        raise ValueError(
            'multi_task takes a tower for each task, such as {"price": dense(1)}; got none.'
        )
    names = tuple(towers)

    def tower_outputs(f, mixed):
        return {name: getattr(f, name)(mixed[i]) for i, name in enumerate(names)}

    def flow(f, x):
        log_weights, answers = jax.nn.log_softmax(f.gates(x)), f.experts(x)
        outputs = rows_first(answers, log_weights[0])
        mixed = [weighted_mixture(of_task, outputs).output for of_task in log_weights]
        return Tasks(f.towers(mixed), jnp.moveaxis(jnp.exp(log_weights), 0, -2))

    gates = ensemble(gate(core.check_int(n, "multi_task: n")), len(names))
    towers = wire(tower_outputs, **towers)  # pyright: ignore
    return wire(flow, experts=ensemble(expert, n), gates=gates, towers=towers)


def multi_task_loss(
    net: Any, losses: Mapping[str, Callable], weights: Mapping[str, float] | None = None
) -> Callable:
    """The loss of a `multi_task` net, for `training.step`; a batch is (x, targets).

    loss = sum_t w_t mean over rows of loss_t(y_t, target_t)

    Args:
      net: a net made by `multi_task`.
      losses: for each task by name, a function (output, target) -> one number for each row.
      weights: the weight w of each task by name; 1 for a task that is not named.

    Returns:
      A loss (params, state, batch, *, key, train) -> (loss, (state, metrics)), for batches
      (x, targets) with targets by task. The metrics are "loss_TASK" for each task and those of
      `expert_usage` for the mean weight of each expert over all tasks.

    Raises:
      ValueError: if a weight names a task without a loss; at the first call, if the tasks of the
        losses, of the net and of the targets differ.

    (Ma et al., Modeling task relationships in multi-task learning with multi-gate
    mixture-of-experts, 2018.)

    >>> import jaxnn as nn, optax
    >>> net = nn.mixture.multi_task(nn.dense(8), 3, {"a": nn.dense(4), "b": nn.dense(4)})
    >>> entropy = optax.safe_softmax_cross_entropy
    >>> loss = nn.mixture.multi_task_loss(net, {"a": entropy, "b": entropy}, {"a": 0.5})
    >>> step = nn.training.step(loss, optax.adam(1e-2))
    """
    weights = {**dict.fromkeys(losses, 1.0), **(weights or {})}
    if set(weights) != set(losses):
        raise ValueError(
            f"multi_task_loss has losses of {sorted(losses)} and weights of {sorted(weights)}: "
            "give weights of these losses only."
        )

    def loss(params, state, batch, *, key=None, train=False):
        x, targets = batch
        tasks, state = net.apply(params, state, x, key=key, train=train)
        if set(tasks.outputs) != set(losses) or set(targets) != set(losses):
            raise ValueError(
                f"multi_task_loss has losses of {sorted(losses)}, the net has outputs of "
                f"{sorted(tasks.outputs)}, and the targets are {sorted(targets)}: use the same "
                "names."
            )
        values = {
            task: mean_over_rows(measure, tasks.outputs[task], targets[task], f"the loss of {task}")
            for task, measure in losses.items()
        }
        total = sum(weights[task] * value for task, value in values.items())
        metrics = {f"loss_{task}": value for task, value in values.items()}
        return total, (state, metrics | expert_usage(mean_share(tasks.weights.mean(axis=-2))))

    return loss
