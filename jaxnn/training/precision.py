"""Dynamic loss scaling, for networks that compute in float16."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn.checks import check_number
from jaxnn.core import Tree, check_int
from jaxnn.training.checking import check_optimizer, extra_arguments


class LossScaleState(NamedTuple):
    """The state of `loss_scaled`; it is saved with the run, so that a resume has the same scale."""

    scale: jax.Array  # what the loss is multiplied by, float32 []
    good_steps: jax.Array  # finite steps since the scale last changed, int32 []
    skipped: jax.Array  # steps that were skipped so far, int32 []
    inner: Any  # the state of the optimizer


def loss_scaled(
    optimizer: Any,
    initial: float = 2.0**15,
    growth_interval: int = 2000,
    factor: float = 2.0,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer with dynamic loss scaling, for networks that compute in float16.

    Small gradients are zero in float16. `step` therefore multiplies the loss by a scale s and
    divides the gradient by it:

        g = d(s loss)/d(params) / s

    If an entry of g is not finite, the step is skipped: params, the state of the net and the state
    of the optimizer stay as they were, and s <- max(s / factor, 1). After `growth_interval` finite
    steps in a row, s <- s factor. `fit` leaves skipped steps out of its means and counts them in
    the history as "skipped". bfloat16 has the range of float32 and needs none of this.

    Args:
      optimizer: any optimizer of optax; wrappers such as `averaged` and `optax.MultiSteps` belong
        inside, so that a skipped step does not change their state either.
      initial: the first scale. Powers of two change no digit of a gradient.
      growth_interval: the number of finite steps after which the scale grows.
      factor: what the scale grows and shrinks by, more than 1.

    Returns:
      An optimizer for `step` and `init_train`.

    Raises:
      TypeError: if the optimizer is not one.
      ValueError: if an option is out of range; from `step`, if it is inside of another wrapper.

    (Micikevicius et al., Mixed precision training, 2017.)

    >>> import jax, jaxnn as nn, optax
    >>> net, x = nn.with_dtype(nn.dense(1), jax.numpy.float16), jax.numpy.ones((4, 3))
    >>> optimizer = nn.training.loss_scaled(optax.adam(1e-3))
    >>> update = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
    >>> train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    >>> train, metrics = update(train, (x, x[:, :1]))
    >>> float(metrics["skipped"]), float(train.opt_state.scale)  # 32768 is too large here
    (1.0, 16384.0)
    """
    check_optimizer(optimizer, "loss_scaled")
    initial = check_number(initial, "loss_scaled: initial", least=1)
    interval = check_int(growth_interval, "loss_scaled: growth_interval")
    factor = check_number(factor, "loss_scaled: factor", above=1)
    wanted = extra_arguments(optimizer)

    def init(params):
        zero = jnp.zeros((), jnp.int32)
        return LossScaleState(jnp.asarray(initial, jnp.float32), zero, zero, optimizer.init(params))

    def update(updates, state, params=None, **extra):
        good = all_finite(updates)
        given = {name: extra[name] for name in wanted if name in extra}
        made = optimizer.update(updates, state.inner, params, **given)
        before = jax.tree.map(jnp.zeros_like, made[0]), state.inner
        updates, kept = jax.tree.map(lambda new, old: jnp.where(good, new, old), made, before)
        count = jnp.where(good, state.good_steps + 1, 0)
        grown = state.scale * factor
        grows = (count >= interval) & jnp.isfinite(grown)
        smaller = jnp.maximum(state.scale / factor, 1.0)
        scale = jnp.where(good, jnp.where(grows, grown, state.scale), smaller)
        skipped = state.skipped + ~good
        return updates, LossScaleState(scale, jnp.where(grows, 0, count), skipped, kept)

    return optax.GradientTransformationExtraArgs(init, update)


def scale_of(opt_state: Tree) -> jax.Array | None:
    """The scale of the loss, None without `loss_scaled`.

    Raises:
      ValueError: if `loss_scaled` is inside of another optimizer, whose state a step that is
        skipped would spoil.
    """
    if isinstance(opt_state, LossScaleState):
        return opt_state.scale
    leaves = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, LossScaleState))
    if any(isinstance(leaf, LossScaleState) for leaf in leaves):
        raise ValueError(
            "loss_scaled is inside of another optimizer, which would see the gradients of skipped "
            "steps: make it the outermost, loss_scaled(optax.chain(...))."
        )
    return None


def all_finite(tree: Tree) -> jax.Array:
    """Whether every number of a pytree is finite, bool []."""

    def inexact(leaf):
        return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)

    found = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if inexact(leaf)]
    return jnp.stack(found).all() if found else jnp.array(True)
