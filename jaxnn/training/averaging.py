"""Params averaged over steps, which often generalize better than the last ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn.checks import check_number
from jaxnn.core import Tree, at_least_float32, check_int
from jaxnn.training.checking import check_optimizer, extra_arguments
from jaxnn.training.step import TrainState


class AveragedState(NamedTuple):
    """The state of `averaged`."""

    count: jax.Array  # updates so far, int32 []
    average: Tree  # the averaged params, float32 at least
    inner: Any  # the state of the optimizer


def averaged(
    optimizer: Any, decay: float = 0.999, start: int = 0
) -> optax.GradientTransformationExtraArgs:
    """The optimizer, which also keeps an average of the params in its state.

    After update t = 1, 2, ...

        average <- d average + (1 - d) params, with d = min(decay, (t - start - 1) / (t - start)),

    and average = params up to update `start`. At first this is the plain mean of the params since
    `start`, and with decay = 1 it remains that; later it is an exponential moving average.
    `average` takes it out. Inside of `optax.MultiSteps` it counts updates, not the parts of one.

    Args:
      optimizer: any optimizer of optax.
      decay: the fraction of the average that each update keeps, from 0 to 1.
      start: the number of updates before averaging begins.

    Returns:
      An optimizer for `step` and `init_train`.

    Raises:
      TypeError: if the optimizer is not one.
      ValueError: if decay or start is out of range.

    (Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992; Izmailov et
    al., Averaging weights leads to wider optima and better generalization, 2018.)

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer = nn.dense(1), nn.training.averaged(optax.sgd(0.1), decay=0.99)
    >>> x = jax.random.normal(jax.random.key(1), (64, 3))
    >>> loss = nn.training.supervised(net, nn.mse)
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> end = nn.training.fit(
    ...     nn.training.step(loss, optimizer), train, (x, x[:, :1]), steps=200, batch_size=16
    ... ).train
    >>> sorted(nn.training.evaluate(loss, nn.training.average(end), (x, x[:, :1]), batch_size=64))
    ['loss']
    """
    check_optimizer(optimizer, "averaged")
    decay = check_number(decay, "averaged: decay", least=0, most=1)
    start = check_int(start, "averaged: start", least=0)
    wanted = extra_arguments(optimizer)

    def init(params):
        average = jax.tree.map(at_least_float32, params)
        return AveragedState(jnp.zeros((), jnp.int32), average, optimizer.init(params))

    def update(updates, state, params=None, **extra):
        if params is None:
            raise ValueError("averaged needs the params: call update(updates, state, params).")
        given = {name: extra[name] for name in wanted if name in extra}
        updates, inner = optimizer.update(updates, state.inner, params, **given)
        counted = jnp.maximum(state.count + 1 - start, 1).astype(jnp.float32)
        weight = jnp.maximum(1 - decay, 1 / counted)

        def moved(old, new):
            return old + weight.astype(old.dtype) * (new.astype(old.dtype) - old)

        average = jax.tree.map(moved, state.average, optax.apply_updates(params, updates))
        return updates, AveragedState(state.count + 1, average, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def average(train: TrainState) -> TrainState:
    """The same `TrainState` with the averaged params, to evaluate, predict and save.

    The state of the net is that of training. Params that are frozen, or belong to an optimizer
    without an average, are the trained ones. It is a copy, which remains valid when `train` is
    given to a step.

    Args:
      train: a `TrainState` whose optimizer is `averaged`, alone or inside of others.

    Returns:
      A `TrainState`. As `evaluate_as=nn.training.average` of `fit`, it is what is validated and
      kept as the best.

    Raises:
      ValueError: if there is no average in it.

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer = nn.dense(1), nn.training.averaged(optax.sgd(0.1))
    >>> x = jax.numpy.ones((4, 3))
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> bool((nn.training.average(train).params["w"] == train.params["w"]).all())
    True
    """
    nodes = jax.tree.leaves(train.opt_state, is_leaf=_is_averaged)
    averages = [node.average for node in nodes if _is_averaged(node)]
    if not averages:
        raise ValueError(
            "average: train has no averaged params: train with the optimizer "
            "nn.training.averaged(optimizer)."
        )

    def chosen(leaf, *averaged):
        held = (each for each in averaged if not isinstance(each, optax.MaskedNode))
        return jnp.array(next(held, leaf), leaf.dtype)

    return train._replace(params=jax.tree.map(chosen, train.params, *averages))


def _is_averaged(node: Any) -> bool:
    return isinstance(node, AveragedState)
