"""The update step: loss, gradient, optimizer, in one compiled function.

A loss is any function (params, state, batch, *, key, train) -> (scalar, (state, metrics)).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jax.tree_util import Partial

from jaxnn.checks import check_key
from jaxnn.core import Cell, Tree, check_int, describe, fold_in, lift, spec, traced
from jaxnn.losses import mean_over_rows
from jaxnn.training import accumulation
from jaxnn.training.arrays import refuse_explicit_axes
from jaxnn.training.checking import check_optimizer, checked_loss, extra_arguments
from jaxnn.training.diagnostics import check_names, watched
from jaxnn.training.gathering import gathering
from jaxnn.training.placement import auto_axes, batch_shardings, place_batch
from jaxnn.training.precision import LossScaleState, scale_of
from jaxnn.training.sharding import Sharding, shardings


class TrainState(NamedTuple):
    """All that training needs to continue: with it and the data, a run resumes to the same bits."""

    params: Tree
    state: Tree
    opt_state: Tree
    step: jax.Array  # steps taken, int32 []
    key: jax.Array  # the root of every random number of the run


def init_train(
    net: Any, optimizer: Any, key: Any, x: Tree, sharding: Sharding | None = None
) -> TrainState:
    """The state before the first step, for a network and an example input.

    Args:
      net: a layer or a cell.
      optimizer: any optimizer of optax.
      key: `jax.random.key(seed)`; it decides initialization, order and noise.
      x: an example batch of inputs, arrays or `ShapeDtypeStruct`s.
      sharding: how params and moments lie on the devices of a mesh, such as
        `fully_sharded(mesh)`. Each device makes its own part, so that nothing is ever whole on one.

    Returns:
      A `TrainState`.

    Raises:
      TypeError: if the net or the optimizer is not one, or key is not a random key.
      ValueError: if a rule of the sharding matches no param, or the mesh does not divide an axis.

    >>> import jax, jaxnn as nn, optax
    >>> train = nn.training.init_train(
    ...     nn.dense(1), optax.sgd(0.1), jax.random.key(0), jax.numpy.ones((4, 3))
    ... )
    >>> int(train.step)
    0
    """
    if not isinstance(net, Cell):
        net = lift(net)  # refuses a factory that was not called
    check_optimizer(optimizer, "init_train")
    check_key(key)
    refuse_explicit_axes(x, "x")

    def begin(key, x):
        params, state = net.init(fold_in(key, 0), x)
        # Some optimizers keep the params themselves, and no buffer can be donated twice.
        opt_state = jax.tree.map(jnp.copy, optimizer.init(params))
        return TrainState(
            params, state, opt_state, jnp.zeros((), jnp.int32), jax.random.fold_in(key, 1)
        )

    if sharding is None:
        return begin(key, x)
    x = spec(x)
    laid = shardings(sharding, jax.eval_shape(begin, key, x))
    with auto_axes(sharding):
        return jax.jit(lambda key: begin(key, x), out_shardings=laid)(key)


def step(
    loss: Callable,
    optimizer: Any,
    sharding: Sharding | None = None,
    *,
    accumulate: int = 1,
    weight: Callable | None = None,
    watch: Sequence[str] = (),
) -> Callable:
    """One step of gradient descent, jitted.

    The given `train` is donated: its buffers are reused, and it may not be read again. Optimizers
    that need the value, the gradient or the loss function itself (line searches) are given them.

    Args:
      loss: (params, state, batch, *, key, train) -> (scalar, (state, metrics)).
      optimizer: any optimizer of optax.
      sharding: how train and batches lie on the devices of a mesh, such as `fully_sharded(mesh)`;
        the train is then what `init_train` made with the same. A batch on the host is split over
        the devices; in many processes each gives its own rows.
      accumulate: the number of equal parts of a batch that are computed one after the other, in the
        memory of one; their gradients are averaged. For a loss that is a mean over rows this is the
        gradient of the whole batch. It is not where rows are coupled: batch norm takes its
        statistics from each part, and a contrastive loss its pairs. Noise is drawn for each part.
      weight: (part of a batch) -> how much its mean counts, at least 0, such as the number of valid
        labels of a part where the loss is a mean over them; by default all parts count the same.
      watch: further metrics: "gradient_norm", "update_norm" and "param_norm", the Euclidean norm of
        all of them; "loss_scale"; and any hyperparameter of `optax.inject_hyperparams`, such as
        "learning_rate", as this step used it.

    Returns:
      A function (train, batch) -> (train, metrics); metrics are those of the loss, "loss", those
      that are watched, and with `loss_scaled` "skipped", 1 for a step that changed nothing.

    Raises:
      TypeError: if the loss or the optimizer is not one; at the first call, if the loss returns
        something else.
      ValueError: at the first call, if the loss or a metric is not one number, if the rows of a
        batch are not a multiple of `accumulate`, if the mesh does not divide them, or if there is
        nothing of a name to watch.

    >>> import jax, jaxnn as nn, optax
    >>> net, optimizer = nn.dense(1), optax.sgd(0.1)
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> x, y = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 1))
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> train, metrics = update(train, (x, y))
    >>> sorted(metrics), int(train.step)
    (['loss'], 1)
    """
    if not callable(loss):
        raise TypeError(f"step takes a loss, a function, got {type(loss).__name__}.")
    check_optimizer(optimizer, "step")
    wanted = extra_arguments(optimizer)
    accumulate, watch = check_int(accumulate, "step: accumulate"), check_names(watch)

    def measured(params, state, batch, key):
        def objective(params):
            return checked_loss(loss(params, state, batch, key=key, train=True))

        return (gathering(objective, params, sharding) if sharding else objective)(params)

    def placed(gradient):
        if sharding is None:
            return gradient
        # Where each device needs its part alone, sums of gradients are scattered, not copied.
        return jax.lax.with_sharding_constraint(gradient, shardings(sharding, gradient))

    value_and_grad = accumulation.value_and_grad(measured, accumulate, weight, placed)
    value_alone = accumulation.value_of(measured, accumulate, weight)

    def update(train: TrainState, batch: Tree) -> tuple[TrainState, dict]:
        key = fold_in(fold_in(train.key, 0), train.step)
        refuse_explicit_axes((train.params, batch), "(params, batch)")
        scale = scale_of(train.opt_state)
        (value, (state, metrics)), gradient = value_and_grad(
            train.params, train.state, batch, key, scale
        )

        def value_of(params, grad_fn=None, obj_fn=None):
            # An optimizer of a part of the params gives that part alone. Line searches insist that
            # the function takes whatever they are given beside it.
            whole = jax.tree.map(_filled, train.params, params)
            return value_alone(whole, train.state, batch, key)

        # Functions are pytrees without leaves, so that optimizers may hand them to lax.cond.
        extra = {
            "value": value,
            "grad": gradient,
            "value_fn": Partial(value_of),
            "obj_fn": Partial(value_of),
            "grad_fn": Partial(jax.grad(value_of)),
        }
        updates, opt_state = optimizer.update(
            gradient, train.opt_state, train.params, **{name: extra[name] for name in wanted}
        )
        params = optax.apply_updates(train.params, updates)
        more = watched(watch, gradient, updates, params, opt_state)
        good = jnp.isfinite(value)
        if isinstance(opt_state, LossScaleState):
            skipped = opt_state.skipped > train.opt_state.skipped
            good, more = good & ~skipped, more | {"skipped": skipped.astype(jnp.float32)}
        for title in more.keys() & metrics.keys():
            raise ValueError(f"step: {title!r} is watched, and a metric of the loss: rename that.")
        state = _unless_spoiled(good, state, train.state)
        metrics = {"loss": value, **metrics, **more}
        return TrainState(params, state, opt_state, train.step + 1, train.key), metrics

    compiled = jax.jit(update, donate_argnums=0)
    program = (lambda train, batch: compiled) if sharding is None else _laid_out(update, sharding)

    @wraps(update)
    def one_step(train: TrainState, batch: Tree) -> tuple[TrainState, dict]:
        try:
            if sharding is None:
                return compiled(train, batch)
            if traced((train, batch)):
                return program(train, batch)(train, batch)
            batch = place_batch(sharding, batch)
            with auto_axes(sharding):
                return program(train, batch)(train, batch)
        except (RuntimeError, ValueError) as error:
            raise explained(error) from error

    def lower(train: TrainState, batch: Tree) -> Any:
        return program(train, batch).lower(train, batch)

    one_step.lower = lower  # pyright: ignore
    one_step.net = getattr(loss, "net", "")  # pyright: ignore
    one_step.sharding = sharding  # pyright: ignore
    # The same step over other devices, which a plan compiles for.
    one_step.again = lambda sharding: step(loss, optimizer, sharding)  # pyright: ignore
    return one_step


def _laid_out(update: Callable, sharding: Sharding) -> Callable:
    """(train, batch) -> the jitted update for their shapes, which says where all of it lies."""
    programs: dict[Any, Any] = {}
    whole = NamedSharding(sharding.mesh, PartitionSpec())

    def program(train, batch):
        leaves, structure = jax.tree.flatten((train, batch))
        shapes = structure, tuple(map(jnp.shape, leaves))
        if shapes not in programs:
            laid, split = shardings(sharding, train), batch_shardings(sharding, batch)
            programs[shapes] = jax.jit(
                update, in_shardings=(laid, split), out_shardings=(laid, whole), donate_argnums=0
            )
        return programs[shapes]

    return program


def _unless_spoiled(good: jax.Array, state: Tree, before: Tree) -> Tree:
    """The state after a good batch, whose loss is finite; otherwise the state before it.

    An optimizer may skip such a batch, but its numbers would remain in the statistics of batch
    norm.
    """
    if jax.tree.structure(state) != jax.tree.structure(before):
        return state
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), state, before)


def _filled(whole: Any, part: Any) -> Any:
    return whole if isinstance(part, optax.MaskedNode) else part


def supervised(net: Any, loss: Callable, metrics: Mapping[str, Callable] | None = None):
    """The loss of a network on batches (x, target), for `step` and `evaluate`.

    Args:
      net: a layer.
      loss: (prediction, target) -> one number for the batch, such as `jaxnn.mse`, or one for each
        row or each position of a row, such as `optax.softmax_cross_entropy_with_integer_labels`,
        whose mean is taken.
      metrics: further functions of this kind by name, such as {"accuracy": jaxnn.accuracy}. A
        metric that is not a mean over rows, such as an F1 score, differs between a data set and its
        batches: `measure` takes those of `jaxnn.metrics`, which are exact.

    Returns:
      A function (params, state, batch, *, key, train) -> (loss, (state, metrics)).

    Raises:
      TypeError: if the net is not a layer, or loss or metrics are not functions.
      ValueError: if a metric has the name "loss"; at the first call, if the batch is not (x,
        target), or a measure has another shape than those above.

    >>> import jax, jaxnn as nn
    >>> net = nn.dense(1)
    >>> params, state = net.init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> loss = nn.training.supervised(net, nn.mse)
    >>> batch = jax.numpy.ones((4, 3)), jax.numpy.ones((4, 1))
    >>> value, (state, metrics) = loss(params, state, batch, key=None, train=False)
    >>> value.shape, metrics
    ((), {})
    """
    if isinstance(net, Cell):
        raise TypeError("supervised takes a layer, got a cell: make it one with nn.unroll(cell).")
    layer, metrics = lift(net), dict(metrics or {})
    for title, each in {"loss": loss, **metrics}.items():
        if not callable(each):
            raise TypeError(f"supervised: {title} must be a function, got {type(each).__name__}.")
    if "loss" in metrics:
        raise ValueError('supervised: "loss" is the loss itself: give the metric another name.')

    def objective(params, state, batch, *, key=None, train=False):
        x, target = pair(batch)
        prediction, state = layer.apply(params, state, x, key=key, train=train)
        measured = {
            title: mean_over_rows(metric, prediction, target, title)
            for title, metric in metrics.items()
        }
        return mean_over_rows(loss, prediction, target, "loss"), (state, measured)

    objective.net = repr(layer)  # pyright: ignore (what a checkpoint says of itself)
    return objective


def pair(batch: Any) -> tuple[Tree, Tree]:
    """The (x, target) of a batch; raises ValueError if it is something else."""
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, dict):
        found, mend = f"a dict of {sorted(batch)}", 'such as (batch["x"], batch["y"])'
    elif isinstance(batch, tuple | list) and len(batch) == 3:
        found = "3 items"
        mend = (
            "with weights of rows beside the target, (x, (y, weight)), and a loss that takes both"
        )
    else:
        found, mend = describe(batch), "or write a loss of your own"
    raise ValueError(f"a batch is (x, target), got {found}: give pairs, {mend}.")


def explained(error: Exception) -> Exception:
    """The error, or a clear one if it says that a buffer was deleted."""
    if "does not match the sharding on the respective arg" in str(error) or (
        "incompatible devices for jitted computation" in str(error)
    ):
        return ValueError(
            "the train does not lie where the step's sharding says: make it with "
            "init_train(..., sharding=...), or place it with jax.device_put(train, "
            f"nn.training.shardings(sharding, train)). JAX says: {str(error)[:300]}"
        )
    if "has been deleted" not in str(error):
        return error
    return RuntimeError(
        "this Train was given to a step before, which reused its buffers: go on with the Train "
        "that the step returned, or copy it before, jax.tree.map(jnp.copy, train)."
    )
