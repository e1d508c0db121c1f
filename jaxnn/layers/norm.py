"""Norms: features brought to mean 0 and variance 1, then scaled and shifted by learned amounts.

All are y = scale (x - mean) / sqrt(variance + epsilon) + b; they differ in what mean and variance
are taken over. Statistics are computed in float32 at least, in two passes: the variance is the mean
of squared deviations, which cannot be negative.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.norm_parts import across as _across
from jaxnn.layers.norm_parts import affine as _affine
from jaxnn.layers.norm_parts import positive as _positive
from jaxnn.layers.norm_parts import scaled as _scaled
from jaxnn.layers.norm_parts import several as _several
from jaxnn.layers.norm_parts import wide as _wide
from jaxnn.printing import factory
from jaxnn.sequences.masks import broadcast_mask, split_mask, zero_masked


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
    """Each feature normalised over the batch, and by running statistics once trained.

    In training mean and variance are those of the batch, over all axes but the last, and the state
    follows them: mean <- momentum mean + (1 - momentum) batch mean, and the variance likewise, by
    the unbiased variance n / (n - 1) of the batch's n values, as in the paper. In evaluation the
    state's are used, so that rows do not see each other; it starts as mean 0 and variance 1. A
    batch of one value a feature, which has no variance, is normalised by the state's, which stay.

    Of (x, mask), with mask bool [batch, time], statistics are those of the valid steps alone.

    Args:
      momentum: what is kept of the running statistics at each step, in [0, 1). PyTorch's momentum
        is one minus it.
      epsilon: added to the variance.
      scale, bias: whether there are a scale and a b [features]; a bias right before is then idle.
      axis_name: the mesh axes over which `jax.shard_map` splits the batch. Under `jax.jit` alone
        the statistics are those of the whole batch, however it is sharded, without it.
      scale_init, b_init: initialisers of `jax.nn`, by default ones and zeros.

    Raises:
      ValueError: for params or state of another number of features; for an argument out of its
        range; for a mask that does not fit; for no values at all in training.

    (Ioffe and Szegedy, Batch normalization, 2015.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.batch_norm(momentum=0.5), jax.numpy.array([[1.0], [3.0]])
    >>> params, state = net.init(jax.random.key(0), x)
    >>> y, state = net.apply(params, state, x, train=True)
    >>> y.round(3).tolist(), state["mean"].tolist()
    ([[-1.0], [1.0]], [1.0])
    """
    if not 0 <= momentum < 1:
        raise ValueError(
            f"batch_norm: momentum must be in [0, 1), got {momentum!r}: it is what is kept, 0.9 "
            "where PyTorch says 0.1."
        )
    start, parts = _affine("batch_norm", 1, scale, bias, scale_init, b_init)
    epsilon = _positive(epsilon, "batch_norm")

    def total(x):
        total = x.sum(tuple(range(x.ndim - 1)), keepdims=True)
        return total if axis_name is None else jax.lax.psum(total, axis_name)

    def average(x):
        mean = x.mean(tuple(range(x.ndim - 1)), keepdims=True)
        return mean if axis_name is None else jax.lax.pmean(mean, axis_name)

    def end(params, x, mean, variance):
        # One pass over x, forward and backward: with (x - mean) a step takes 1.6 times as long.
        factor, b = parts(params, x)
        slope = _scaled(jax.lax.rsqrt(variance + epsilon), factor, None)
        return x * slope + _scaled(-mean * slope, None, b)

    def of_batch(wide, mask, n):
        # Seen from the first row's mean, so that features far from zero lose nothing.
        near = jax.lax.stop_gradient(average(wide[:1]))
        wide = wide - near
        if mask is None:
            mean = average(wide)
            return near + mean, mean, average(jnp.square(wide - mean)), wide
        held = broadcast_mask(mask, wide).astype(wide.dtype)
        mean = total(wide * held) / n
        return near + mean, mean, total(jnp.square(wide - mean) * held) / n, wide

    def init(key, x):
        x, _ = split_mask(x)
        params, shape, dtype = start(key, x), x.shape[-1:], core.param_dtype(x)
        return params, {"mean": jnp.zeros(shape, dtype), "variance": jnp.ones(shape, dtype)}

    def apply(params, state, x, *, key=None, train=False):
        x, mask = split_mask(x)
        x = x if mask is None else zero_masked(x, mask)
        wide, state = _wide(x, "batch_norm"), core.require_state(state, "batch_norm")
        running = [_across(state[each], wide, "batch_norm") for each in ("mean", "variance")]
        devices = 1 if axis_name is None else jax.lax.psum(1, axis_name)
        known = all(isinstance(side, int) for side in x.shape)  # else it is exported for any size
        if train and known and not math.prod(x.shape[:-1]):
            _several(0, x, "batch_norm in training", "use a larger batch")
        one = known and math.prod(x.shape[:-1]) * devices < 2
        if not core.check_train(train) or one:
            y = end(params, wide - running[0], jnp.zeros_like(running[0]), running[1])
            return y.astype(x.dtype), state
        n = math.prod(x.shape[:-1]) * devices
        if mask is not None:
            n = total(mask.reshape(-1, 1).astype(wide.dtype)).reshape(())
        several = n >= 2
        moment, mean, variance, off = of_batch(wide, mask, n if mask is None else jnp.maximum(n, 1))
        y = end(params, off, mean, variance)
        if mask is not None:  # of one valid step there is no variance
            kept = end(params, wide - running[0], jnp.zeros_like(running[0]), running[1])
            y = jnp.where(several, y, kept)
        unbiased = variance * (n / (n - 1 if mask is None else jnp.maximum(n - 1, 1)))
        batch = {"mean": moment, "variance": unbiased}
        after = {
            each: momentum * old + (1 - momentum) * batch[each].reshape(-1).astype(old.dtype)
            for each, old in state.items()
        }
        if mask is not None:
            after = {each: jnp.where(several, new, state[each]) for each, new in after.items()}
        return y.astype(x.dtype), jax.lax.stop_gradient(after)

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
    """Each row normalised over its features: mean and variance over the last axis.

    Args:
      axes: how many of the last axes are normalised over, and the shape of scale and b.
      epsilon: added to the variance.
      scale, bias: whether there are a scale and a b.
      scale_init, b_init: initialisers of `jax.nn`, by default ones and zeros.

    Raises:
      ValueError: for fewer than two values to normalise; for params of another shape.

    (Ba, Kiros and Hinton, Layer normalization, 2016.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.layer_norm(), jax.numpy.array([[1.0, 3.0], [5.0, 5.0]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    axes = core.check_int(axes, "layer_norm: axes")
    epsilon = _positive(epsilon, "layer_norm")

    def average(x):
        return x.mean(tuple(range(-axes, 0)), keepdims=True)

    def normalise(x):
        _several(math.prod(x.shape[-axes:]), x, "layer_norm", "give it more features")
        return _standardize(average, epsilon, x)

    return _norm("layer_norm", normalise, axes, scale, bias, scale_init, b_init)


@factory
def rms_norm(
    *,
    epsilon: float = 1e-6,
    scale: bool = True,
    scale_init: Callable = jax.nn.initializers.ones,
) -> Layer:
    """Each row divided by the size of its features: y = scale x / sqrt(mean(x^2) + epsilon).

    Args:
      epsilon: added to the mean square.
      scale: whether there is a scale [features].
      scale_init: an initialiser of `jax.nn`; by default ones.

    Raises:
      ValueError: for params of another number of features.

    (Zhang and Sennrich, Root mean square layer normalization, 2019.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.rms_norm(), jax.numpy.array([[4.0, 0.0, 0.0, 0.0]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[2.0, 0.0, 0.0, 0.0]]
    """
    epsilon = _positive(epsilon, "rms_norm")

    def normalise(x):
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + epsilon)

    return _norm("rms_norm", normalise, 1, scale, False, scale_init)


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
    """Each row normalised within groups of its channels: mean and variance over space and group.

    Args:
      groups: of neighbouring channels; x is [batch, ..., channels].
      epsilon: added to the variance.
      scale, bias: whether there are a scale and a b [channels].
      scale_init, b_init: initialisers of `jax.nn`, by default ones and zeros.

    Raises:
      ValueError: for channels that the groups do not divide; for fewer than two values a group;
        for params of another number of channels.

    (Wu and He, Group normalization, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.group_norm(2), jax.numpy.array([[1.0, 3.0, 5.0, 5.0]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[-1.0, 1.0, 0.0, 0.0]]
    """
    groups = core.check_int(groups, "group_norm: groups")
    return _grouped("group_norm", groups, epsilon, scale, bias, scale_init, b_init)


@factory
def instance_norm(
    *,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    scale_init: Callable = jax.nn.initializers.ones,
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """Each channel of each row normalised over space: a group norm with a group for each channel.

    Args:
      epsilon: added to the variance.
      scale, bias: whether there are a scale and a b [channels]; x is [batch, ..., channels].
      scale_init, b_init: initialisers of `jax.nn`, by default ones and zeros.

    Raises:
      ValueError: for fewer than two positions; for params of another number of channels.

    (Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.instance_norm(), jax.numpy.array([[[1.0, 5.0], [3.0, 5.0]]])
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).round(3).tolist()
    [[[-1.0, 0.0], [1.0, 0.0]]]
    """
    return _grouped("instance_norm", None, epsilon, scale, bias, scale_init, b_init)


def _grouped(title, groups, epsilon, scale, bias, scale_init, b_init) -> Layer:
    epsilon = _positive(epsilon, title)

    def normalise(x):
        if x.ndim < 2:
            raise ValueError(f"{title} takes [batch, ..., channels], got {core.describe(x)}.")
        channels, space = x.shape[-1], math.prod(x.shape[1:-1])
        if channels % (groups or channels):
            raise ValueError(
                f"{title}: {groups} groups do not divide the channels of {core.describe(x)}: take "
                "a divisor of them."
            )
        each = channels // (groups or channels)
        _several(space * each, x, title, "give it more positions, or more channels a group")

        def average(x):
            # Over space first: the last axis stays whole, which is faster than a split one.
            mean = x.mean(1, keepdims=True)
            if each == 1:
                return mean
            grouped = mean.reshape(x.shape[0], 1, channels // each, each).mean(-1)
            return jnp.repeat(grouped, each, axis=-1)

        flat = x.reshape(x.shape[0], space, channels)
        return _standardize(average, epsilon, flat).reshape(x.shape)

    return _norm(title, normalise, 1, scale, bias, scale_init, b_init)


def _standardize(average: Callable, epsilon: float, x: jax.Array) -> jax.Array:
    """x brought to mean 0 and variance 1, for an `average` that broadcasts against x.

    XLA fuses it: a derivative by hand, or a variance in one pass, made a step slower on the CPU.
    """
    centred = x - average(x)
    return centred * jax.lax.rsqrt(average(jnp.square(centred)) + epsilon)


def _norm(title, normalise, axes, scale, bias, scale_init, b_init=None) -> Layer:
    """A layer without state: what `normalise` makes of x, scaled and shifted."""
    start, parts = _affine(title, axes, scale, bias, scale_init, b_init)

    along_time = title in core.ALONG_TIME

    def forward(x):
        if along_time and type(x) is tuple:
            raise ValueError(
                f"{title} takes no mask, since padding would take part in its statistics: take "
                "layer_norm or rms_norm, which look at each step by itself."
            )
        return normalise(_wide(x, title, axes))

    def init(key, x):
        jax.eval_shape(forward, x)  # so that a bad shape is refused here already
        return start(key, x), ()

    def whole(params, x):
        y = forward(x)
        return _scaled(y, *parts(params, y)).astype(x.dtype)

    def apply(params, state, x, *, key=None, train=False):
        # x alone is kept for the gradient: a scan over depth copies all that is kept.
        return jax.checkpoint(whole, prevent_cse=False)(params, x), ()

    return Layer(init, apply, title if along_time else "", title)
