"""Normalization of features to mean 0 and variance 1, followed by a learned scale and shift.

All compute y = scale (x - mean) / sqrt(variance + epsilon) + b and differ in the axes over which
mean and variance are taken. Statistics are computed in float32 at least, in two passes: the
variance is the mean of squared deviations, which cannot be negative.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.norm_parts import (
    across,
    affine,
    check_several,
    grouped_norm,
    norm_layer,
    positive,
    scaled,
    standardize,
    widen,
)
from jaxnn.printing import factory
from jaxnn.sequences.masks import broadcast_mask, split_mask, valid_steps, zero_masked


@factory
def batch_norm(
    *,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    axis_name: str | tuple[str, ...] | None = None,
    scale_init: Callable = jax.nn.initializers.ones,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Normalize each feature over the batch in training, and by running statistics in evaluation.

    y = scale (x - mean) / sqrt(variance + epsilon) + b

    In training, mean and variance are those of the batch, over all axes but the last, and the state
    follows them: mean <- momentum mean + (1 - momentum) batch mean, and likewise the variance, with
    the unbiased variance of the batch, n / (n - 1) times that of its n values, as in the paper. In
    evaluation those of the state are used, so rows do not affect each other; the state starts as
    mean 0 and variance 1. A batch of one value a feature, which has no variance, is normalized by
    the state, which then stays as it is.

    For (x, mask), with a bool mask [batch, time] or segments, the statistics are those of the valid
    steps only, which are the same in packed rows as in a row for each document.

    Args:
      momentum: the fraction of the running statistics kept at each step, in [0, 1). PyTorch's
        momentum is one minus it.
      epsilon: added to the variance.
      scale: whether to multiply by a learned scale [features].
      bias: whether to add a learned b [features]; the bias of a layer right before it then has no
        effect.
      axis_name: the mesh axes over which `jax.shard_map` splits the batch. Under `jax.jit` it is
        not needed: the statistics are those of the whole batch, however it is sharded.
      scale_init: initializer of the scale; ones by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [..., features], or (x, mask), to y of the same shape and dtype, with state
      "mean" and "variance", [features] each.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if momentum or epsilon is out of range, if params or state have another number of
        features, if the mask does not fit, or if a training batch is empty.

    (Ioffe and Szegedy, Batch normalization, 2015.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.batch_norm(momentum=0.5), jnp.array([[1.0], [3.0]])
    >>> params, state = net.init(jax.random.key(0), x)
    >>> y, state = net.apply(params, state, x, train=True)
    >>> y.round(3).tolist(), state["mean"].tolist()
    ([[-1.0], [1.0]], [1.0])
    """
    if not 0 <= momentum < 1:
        raise ValueError(
            f"batch_norm: momentum must be in [0, 1), got {momentum!r}: it is the fraction "
            "kept, 0.9 where PyTorch has 0.1."
        )
    start, parts = affine("batch_norm", 1, scale, bias, scale_init, b_init)
    epsilon = positive(epsilon, "batch_norm")

    def total(x):
        total = x.sum(tuple(range(x.ndim - 1)), keepdims=True)
        return total if axis_name is None else jax.lax.psum(total, axis_name)

    def average(x):
        mean = x.mean(tuple(range(x.ndim - 1)), keepdims=True)
        return mean if axis_name is None else jax.lax.pmean(mean, axis_name)

    def end(params, x, mean, variance):
        # One pass over x, forward and backward; to compute x - mean first is slower.
        factor, b = parts(params, x)
        slope = scaled(jax.lax.rsqrt(variance + epsilon), factor, None)
        return x * slope + scaled(-mean * slope, None, b)

    def of_batch(wide, mask, n):
        # Relative to the first row's mean, so that features far from zero lose no precision.
        origin = jax.lax.stop_gradient(average(wide[:1]))
        wide = wide - origin
        if mask is None:
            mean = average(wide)
            return origin + mean, mean, average(jnp.square(wide - mean)), wide
        valid = broadcast_mask(mask, wide).astype(wide.dtype)
        mean = total(wide * valid) / n
        return origin + mean, mean, total(jnp.square(wide - mean) * valid) / n, wide

    def init(key, x):
        x, _ = split_mask(x, "batch_norm", segments=True)
        params, shape, dtype = start(key, x), x.shape[-1:], core.param_dtype(x)
        return params, {"mean": jnp.zeros(shape, dtype), "variance": jnp.ones(shape, dtype)}

    def apply(params, state, x, *, key=None, train=False):
        x, mask = split_mask(x, "batch_norm", segments=True)
        mask = valid_steps(mask)
        x = x if mask is None else zero_masked(x, mask)
        wide, state = widen(x, "batch_norm"), core.require_state(state, "batch_norm")
        running = [across(state[each], wide, "batch_norm") for each in ("mean", "variance")]
        devices = 1 if axis_name is None else jax.lax.psum(1, axis_name)
        known = all(isinstance(side, int) for side in x.shape)  # else it is exported for any size
        if train and known and not math.prod(x.shape[:-1]):
            check_several(0, x, "batch_norm in training", "use a larger batch")
        single = known and math.prod(x.shape[:-1]) * devices < 2
        if not core.check_train(train) or single:
            y = end(params, wide - running[0], jnp.zeros_like(running[0]), running[1])
            return y.astype(x.dtype), state
        n = math.prod(x.shape[:-1]) * devices
        if mask is not None:
            n = total(mask.reshape(-1, 1).astype(wide.dtype)).reshape(())
        several = n >= 2
        count = n if mask is None else jnp.maximum(n, 1)
        batch_mean, mean, variance, centered = of_batch(wide, mask, count)
        y = end(params, centered, mean, variance)
        if mask is not None:  # a single valid step has no variance
            kept = end(params, wide - running[0], jnp.zeros_like(running[0]), running[1])
            y = jnp.where(several, y, kept)
        unbiased = variance * (n / (n - 1 if mask is None else jnp.maximum(n - 1, 1)))
        batch = {"mean": batch_mean, "variance": unbiased}
        new_state = {
            each: momentum * old + (1 - momentum) * batch[each].reshape(-1).astype(old.dtype)
            for each, old in state.items()
        }
        if mask is not None:
            new_state = {
                each: jnp.where(several, new, state[each]) for each, new in new_state.items()
            }
        return y.astype(x.dtype), jax.lax.stop_gradient(new_state)

    return Layer(init, apply, "batch_norm")


@factory
def layer_norm(
    *,
    axes: int = 1,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    scale_init: Callable = jax.nn.initializers.ones,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Normalize each position over its features: mean and variance are taken over the last axis.

    y = scale (x - mean) / sqrt(variance + epsilon) + b

    Args:
      axes: how many of the last axes to normalize over; scale and b have their shape.
      epsilon: added to the variance.
      scale: whether to multiply by a learned scale [*axes].
      bias: whether to add a learned b [*axes].
      scale_init: initializer of the scale; ones by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there are fewer than two values to normalize, or if the params have another
        shape.

    (Ba, Kiros and Hinton, Layer normalization, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.layer_norm(), jnp.array([[1.0, 3.0], [5.0, 5.0]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    axes = core.check_int(axes, "layer_norm: axes")
    epsilon = positive(epsilon, "layer_norm")

    def average(x):
        return x.mean(tuple(range(-axes, 0)), keepdims=True)

    def normalize(x):
        check_several(math.prod(x.shape[-axes:]), x, "layer_norm", "give it more features")
        return standardize(average, epsilon, x)

    return norm_layer("layer_norm", normalize, axes, scale, bias, scale_init, b_init)


@factory
def rms_norm(
    *,
    epsilon: float = 1e-6,
    scale: bool = True,
    scale_init: Callable = jax.nn.initializers.ones,
) -> Layer:
    """Divide each position by the root mean square of its features.

    y = scale x / sqrt(mean(x^2) + epsilon)

    Args:
      epsilon: added to the mean square.
      scale: whether to multiply by a learned scale [features].
      scale_init: initializer of the scale; ones by default.

    Returns:
      A layer from x [..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if the params have another number of features.

    (Zhang and Sennrich, Root mean square layer normalization, 2019.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.rms_norm(), jnp.array([[4.0, 0.0, 0.0, 0.0]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[2.0, 0.0, 0.0, 0.0]]
    """
    epsilon = positive(epsilon, "rms_norm")

    def normalize(x):
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + epsilon)

    return norm_layer("rms_norm", normalize, 1, scale, False, scale_init)


@factory
def group_norm(
    groups: int,
    *,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    scale_init: Callable = jax.nn.initializers.ones,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Normalize each row within groups of channels, with mean and variance over space and group.

    y = scale (x - mean) / sqrt(variance + epsilon) + b

    Args:
      groups: number of groups of neighboring channels.
      epsilon: added to the variance.
      scale: whether to multiply by a learned scale [channels].
      bias: whether to add a learned b [channels].
      scale_init: initializer of the scale; ones by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [batch, ..., channels] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if the groups do not divide the channels, if a group has fewer than two values, or
        if the params have another number of channels.

    (Wu and He, Group normalization, 2018.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.group_norm(2), jnp.array([[1.0, 3.0, 5.0, 5.0]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[-1.0, 1.0, 0.0, 0.0]]
    """
    groups = core.check_int(groups, "group_norm: groups")
    return grouped_norm("group_norm", groups, epsilon, scale, bias, scale_init, b_init)


@factory
def instance_norm(
    *,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    scale_init: Callable = jax.nn.initializers.ones,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Normalize each channel of each row over space: a group norm with one group for each channel.

    y = scale (x - mean) / sqrt(variance + epsilon) + b

    Args:
      epsilon: added to the variance.
      scale: whether to multiply by a learned scale [channels].
      bias: whether to add a learned b [channels].
      scale_init: initializer of the scale; ones by default.
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [batch, ..., channels] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if there are fewer than two positions, or if the params have another number of
        channels.

    (Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.instance_norm(), jnp.array([[[1.0, 5.0], [3.0, 5.0]]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[[-1.0, 0.0], [1.0, 0.0]]]
    """
    return grouped_norm("instance_norm", None, epsilon, scale, bias, scale_init, b_init)
