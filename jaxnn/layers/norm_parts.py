"""What all norms share: their params, the dtype of their statistics, and what they refuse."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_number


def affine(title, axes, scale, bias, scale_init, b_init) -> tuple[Callable, Callable]:
    """How all end: the params scale and b over the last axes of x, and what they are for y."""
    given = ({"scale": scale_init} if scale else {}) | ({"b": b_init} if bias else {})

    def start(key, x):
        shape, dtype = core.check_features(x, title).shape[-axes:], core.param_dtype(x)
        keys = (core.fold_in(key, i) for i in range(len(given)))
        return {each: make(next(keys), shape, dtype) for each, make in given.items()}

    def parts(params, y):
        held = [
            across(each, y, title, axes) for each in core.unpack_params(params, y, title, *given)
        ]
        return held[0] if scale else None, held[-1] if bias else None

    return start, parts


def scaled(y: Any, scale: Any, b: Any) -> Any:
    """y times the scale plus b, where there are any."""
    y = y if scale is None else y * scale
    return y if b is None else y + b


def across(value: Any, x: jax.Array, title: str, axes: int = 1) -> jax.Array:
    """A value for each feature, ready to broadcast against x."""
    if value.shape != x.shape[-axes:]:
        raise ValueError(
            f"{title} has params or state of {core.describe(value)}, got {core.describe(x)}: feed "
            f"features {list(value.shape)}, or init with an example of {list(x.shape[-axes:])}."
        )
    return jnp.expand_dims(value, range(x.ndim - axes)).astype(x.dtype)


def wide(x: Any, title: str, axes: int = 1) -> jax.Array:
    """x in float32 at least, in which statistics are exact enough."""
    if core.check_features(x, title).ndim < axes:
        raise ValueError(f"{title} over {axes} axes takes as many or more, got {core.describe(x)}.")
    return x.astype(core.param_dtype(x))


def several(n: int, x: Any, title: str, mend: str) -> None:
    """Raises ValueError where there are too few values for a variance."""
    if n < 2:
        raise ValueError(
            f"{title} takes at least two values to normalise over, got {n} in {core.describe(x)}: "
            f"{mend}."
        )


def positive(epsilon: float, title: str) -> float:
    """epsilon, which must be above 0."""
    return float(check_number(epsilon, f"{title}: epsilon", above=0))
