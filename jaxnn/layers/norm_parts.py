"""What all norms share: their params, the dtype of their statistics, and their checks."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number
from jaxnn.core import Layer


def affine(title, axes, scale, bias, scale_init, b_init) -> tuple[Callable, Callable]:
    """(start, parts): the init of scale and b over the last axes of x, and their values for y."""
    given = ({"scale": scale_init} if scale else {}) | ({"b": b_init} if bias else {})

    def start(key, x):
        shape, dtype = core.check_features(x, title).shape[-axes:], core.param_dtype(x)
        keys = (core.fold_in(key, i) for i in range(len(given)))
        return {each: make(next(keys), shape, dtype) for each, make in given.items()}

    def parts(params, y):
        leaves = core.unpack_params(params, y, title, *given)
        values = [across(leaf, y, title, axes) for leaf in leaves]
        return values[0] if scale else None, values[-1] if bias else None

    return start, parts


def scaled(y: Any, scale: Any, b: Any) -> Any:
    """y times the scale plus b; each may be None."""
    y = y if scale is None else y * scale
    return y if b is None else y + b


def across(value: Any, x: jax.Array, title: str, axes: int = 1) -> jax.Array:
    """A value for each feature, reshaped to broadcast against x."""
    if value.shape != x.shape[-axes:]:
        raise ValueError(
            f"{title} has params or state of {core.describe(value)}, got {core.describe(x)}: feed "
            f"features {list(value.shape)}, or init with an example of {list(x.shape[-axes:])}."
        )
    return jnp.expand_dims(value, range(x.ndim - axes)).astype(x.dtype)


def widen(x: Any, title: str, axes: int = 1) -> jax.Array:
    """x in float32 at least, in which statistics are precise enough."""
    if core.check_features(x, title).ndim < axes:
        raise ValueError(f"{title} over {axes} axes takes as many or more, got {core.describe(x)}.")
    return x.astype(core.param_dtype(x))


def check_several(n: int, x: Any, title: str, mend: str) -> None:
    """Raises ValueError if there are too few values for a variance."""
    if n < 2:
        raise ValueError(
            f"{title} takes at least two values to normalize over, got {n} in {core.describe(x)}: "
            f"{mend}."
        )


def positive(epsilon: float, title: str) -> float:
    """epsilon, which must be positive."""
    return float(check_number(epsilon, f"{title}: epsilon", above=0))


def grouped_norm(title, groups, epsilon, scale, bias, scale_init, b_init) -> Layer:
    """A group norm; one group for each channel if groups is None."""
    epsilon = positive(epsilon, title)

    def normalize(x):
        if x.ndim < 2:
            raise ValueError(f"{title} takes [batch, ..., channels], got {core.describe(x)}.")
        channels, space = x.shape[-1], math.prod(x.shape[1:-1])
        if channels % (groups or channels):
            raise ValueError(
                f"{title}: {groups} groups do not divide the channels of {core.describe(x)}: take "
                "a divisor of them."
            )
        each = channels // (groups or channels)
        check_several(space * each, x, title, "give it more positions, or more channels a group")

        def average(x):
            # Over space first, with the last axis whole, which is faster than splitting it.
            mean = x.mean(1, keepdims=True)
            if each == 1:
                return mean
            grouped = mean.reshape(x.shape[0], 1, channels // each, each).mean(-1)
            return jnp.repeat(grouped, each, axis=-1)

        flat = x.reshape(x.shape[0], space, channels)
        return standardize(average, epsilon, flat).reshape(x.shape)

    return norm_layer(title, normalize, 1, scale, bias, scale_init, b_init)


def standardize(average: Callable, epsilon: float, x: jax.Array) -> jax.Array:
    """x with mean 0 and variance 1, for an `average` whose result broadcasts against x.

    XLA fuses it; a hand-written derivative and a one-pass variance were slower on the CPU.
    """
    centered = x - average(x)
    return centered * jax.lax.rsqrt(average(jnp.square(centered)) + epsilon)


def norm_layer(title, normalize, axes, scale, bias, scale_init, b_init=None) -> Layer:
    """A stateless layer: `normalize(x)`, scaled and shifted."""
    start, parts = affine(title, axes, scale, bias, scale_init, b_init)

    along_time = title in core.ALONG_TIME

    def forward(x):
        if along_time and type(x) is tuple:
            raise ValueError(
                f"{title} takes no mask, since padding would take part in its statistics: take "
                "layer_norm or rms_norm, which normalize each step separately."
            )
        return normalize(widen(x, title, axes))

    def init(key, x):
        jax.eval_shape(forward, x)  # so that a bad shape is refused here
        return start(key, x), ()

    def whole(params, x):
        y = forward(x)
        return scaled(y, *parts(params, y)).astype(x.dtype)

    def apply(params, state, x, *, key=None, train=False):
        # Only x is kept for the gradient, since a scan over depth copies whatever is kept.
        return jax.checkpoint(whole, prevent_cse=False)(params, x), ()

    return Layer(init, apply, title if along_time else "", title)
