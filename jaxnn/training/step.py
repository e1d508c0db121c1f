"""The update step: loss, gradient, optimizer, in one compiled function.

A loss is any function (params, state, batch, *, key, train) -> (scalar, (state, metrics)). One that
also takes `weight=None` [rows] can leave out padded rows, so that a batch of fewer rows needs no
program of its own.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn.core import Cell, Layer, Tree, branch, describe, signature_has


class Train(NamedTuple):
    """All that training needs to go on: with it and the data, a run resumes to the same bits."""

    params: Tree
    state: Tree
    opt_state: Tree
    step: jax.Array  # steps taken, int32 []
    key: jax.Array  # the root of every random number of the run


def start(
    net: Layer | Cell, optimizer: optax.GradientTransformation, key: jax.Array, x: Tree
) -> Train:
    """A `Train` before the first step, for a net and an example input.

    Args:
      net: a layer or a cell.
      optimizer: any of optax's.
      key: `jax.random.key(seed)`; it moves initialisation, order and noise.
      x: an example batch, arrays or `ShapeDtypeStruct`s.

    >>> import jax, jaxnn as nn, optax
    >>> train = nn.training.start(
    ...     nn.dense(1), optax.sgd(0.1), jax.random.key(0), jax.numpy.ones((4, 3))
    ... )
    >>> int(train.step)
    0
    """
    params, state = net.init(branch(key, 0), x)
    # Some optimizers keep the params themselves, and no buffer can be donated twice.
    opt_state = jax.tree.map(jnp.copy, optimizer.init(params))
    return Train(params, state, opt_state, jnp.zeros((), jnp.int32), jax.random.fold_in(key, 1))


def step(loss: Callable, optimizer: optax.GradientTransformation) -> Callable:
    """One step of gradient descent: (train, batch) -> (train, metrics), jitted.

    The given `train` is donated: its buffers are reused and it may not be read again. `metrics`
    are the loss's own and "loss". Losses and schedules that want the value, the gradient or the
    loss function itself (line searches) are given them.

    Args:
      loss: (params, state, batch, *, key, train) -> (scalar, (state, metrics)).
      optimizer: any of optax's.

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer = nn.dense(1), optax.sgd(0.1)
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> x, y = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 1))
    >>> train = nn.training.start(net, optimizer, jax.random.key(0), x)
    >>> train, metrics = update(train, (x, y))
    >>> sorted(metrics), int(train.step)
    (['loss'], 1)
    """
    descend = optax.with_extra_args_support(optimizer)

    def advance(train: Train, batch: Tree, weigh: dict) -> tuple[Train, dict]:
        key = branch(branch(train.key, 0), train.step)

        def objective(params):
            value, aux = loss(params, train.state, batch, key=key, train=True, **weigh)
            if jnp.shape(value):
                raise ValueError(f"a loss is one number, got {describe(value)}: take its mean.")
            return value, aux

        (value, (state, metrics)), gradient = jax.value_and_grad(objective, has_aux=True)(
            train.params
        )
        updates, opt_state = descend.update(
            gradient,
            train.opt_state,
            train.params,
            value=value,
            grad=gradient,
            value_fn=lambda params: objective(params)[0],
        )
        params = optax.apply_updates(train.params, updates)
        metrics = {"loss": value, **metrics}
        return Train(params, state, opt_state, train.step + 1, train.key), metrics

    def update(train: Train, batch: Tree) -> tuple[Train, dict]:
        return advance(train, batch, {})

    def update_weighed(train: Train, batch: Tree, weight: jax.Array | None = None):
        return advance(train, batch, {} if weight is None else {"weight": weight})

    chosen = update_weighed if signature_has(loss, "weight") else update
    return jax.jit(chosen, donate_argnums=0)


def supervised(net: Layer, loss: Callable, metrics: Mapping[str, Callable] | None = None):
    """The loss of a net on batches (x, target), for `step` and `evaluate`.

    Args:
      net: a layer.
      loss: (prediction, target) -> one number or one a row, such as `jaxnn.mse` or
        `optax.softmax_cross_entropy_with_integer_labels`; the mean over rows is taken.
      metrics: further functions of that kind by name, such as {"accuracy": jaxnn.accuracy}.

    >>> import jax, jaxnn as nn
    >>> net = nn.dense(1)
    >>> params, state = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> loss = nn.training.supervised(net, nn.mse)
    >>> batch = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 1))
    >>> value, (state, metrics) = loss(params, state, batch, key=None, train=False)
    >>> value.shape, metrics
    ((), {})
    """
    metrics = dict(metrics or {})

    def objective(params, state, batch, *, key=None, train=False, weight=None):
        x, target = batch
        prediction, state = net.apply(params, state, x, key=key, train=train)
        measured = {
            title: mean_over_rows(metric, prediction, target, weight)
            for title, metric in metrics.items()
        }
        return mean_over_rows(loss, prediction, target, weight), (state, measured)

    return objective


def mean_over_rows(
    measure: Callable, prediction: Tree, target: Tree, weight: jax.Array | None
) -> jax.Array:
    """The mean of a loss or metric over rows, each with its weight [rows]: 0 leaves it out."""
    if weight is None:
        return jnp.mean(measure(prediction, target))
    jax.eval_shape(measure, prediction, target)  # what it refuses, it names with the true shapes

    def row(prediction, target):
        one = jax.tree.map(lambda leaf: leaf[None], (prediction, target))
        return jnp.mean(measure(*one))

    values = jax.vmap(row)(prediction, target)
    return jnp.sum(values * weight.astype(values.dtype)) / jnp.sum(weight).astype(values.dtype)
