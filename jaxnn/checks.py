"""Checks of what a factory is given: one clear sentence each, when the layer is built."""

import difflib
import math
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def install(extra: str) -> str:
    """The command that brings what an extra of jaxnn names, as it works from a checkout.

    >>> install("train")
    "pip install -e '.[train]' in a checkout of jaxnn"
    """
    return f"pip install -e '.[{extra}]' in a checkout of jaxnn"


def check_choice(value: Any, what: str, choices: Iterable[Any]) -> Any:
    """`value`, if it is one of `choices`; otherwise ValueError names them, the nearest word first.

    >>> check_choice("cosin", "metric", ("euclidean", "cosine"))
    Traceback (most recent call last):
    ValueError: metric is one of 'euclidean', 'cosine', got 'cosin': did you mean 'cosine'?
    """
    choices = tuple(choices)
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    words = [choice for choice in choices if isinstance(choice, str)]
    near = difflib.get_close_matches(value.lower(), words, 1) if isinstance(value, str) else []
    hint = f": did you mean {near[0]!r}?" if near else "."
    raise ValueError(f"{what} is one of {', '.join(map(repr, choices))}, got {value!r}{hint}")


def check_number(
    value: Any,
    what: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> Any:
    """`value`, if it is a finite number with least <= value <= most and above < value < below.

    A traced number is let through, since its value is not known yet.

    Raises:
      TypeError: if it is not a real number, but a bool, a string or an array of many.
      ValueError: if it is NaN, infinite or out of range.

    >>> check_number(-1.0, "tau", above=0)
    Traceback (most recent call last):
    ValueError: tau must be a finite number greater than 0, got -1.0.
    """
    if isinstance(value, Tracer) and value.ndim == 0:
        return value
    one = isinstance(value, int | float | np.number) or (
        isinstance(value, jax.Array | np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf"
    )
    if not one or isinstance(value, bool | np.bool_):
        raise TypeError(f"{what} must be a number, got {type(value).__name__}.")
    number = float(value)
    if math.isfinite(number) and least <= number <= most and above < number < below:
        return value
    bounds = (("of at least", least), ("of at most", most))
    bounds += (("greater than", above), ("less than", below))
    wanted = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
    raise ValueError(f"{what} must be a finite number{wanted and ' '}{wanted}, got {number!r}.")


def check_int(value: Any, what: str, least: int = 1) -> int:
    """A whole number given to a factory; raises ValueError where it is none or too small."""
    if jax.export.is_symbolic_dim(value):
        return value  # pyright: ignore (a size that an exported program is told later)
    whole = not isinstance(value, bool) and hasattr(value, "__index__")
    if not whole or not least <= int(value) < 1 << 31:
        most = "" if not whole or int(value) < least else " and below 2^31"
        raise ValueError(f"{what} must be a whole number of at least {least}{most}, got {value!r}.")
    return int(value)


def check_function(value: Any, what: str) -> Any:
    """`value`, if it can be called; otherwise TypeError.

    >>> check_function("relu", "activation")
    Traceback (most recent call last):
    TypeError: activation must be a function, got 'relu'.
    """
    if not callable(value):
        raise TypeError(f"{what} must be a function, got {value!r}.")
    return value


def check_labels(labels: Any, classes: int, title: str, ignore: int | None = None) -> None:
    """Raises where labels are not integers of 0 to classes - 1, or `ignore`.

    Values are looked at only outside `jax.jit`, where they are known.

    Raises:
      TypeError: if the labels are not integers.
      ValueError: if a label is out of range.

    >>> check_labels(np.array([0, 3]), 3, "accuracy")
    Traceback (most recent call last):
    ValueError: accuracy: labels are 0 to 2, got 3.
    """
    dtype = getattr(labels, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{title} takes integer labels, got {dtype or type(labels).__name__}.")
    if isinstance(labels, Tracer | jax.ShapeDtypeStruct):
        return
    values = np.asarray(labels)
    bad = (values < 0) | (values >= classes)
    if ignore is not None:
        bad &= values != ignore
    if bad.any():
        also = "" if ignore is None else f", or {ignore} to ignore"
        raise ValueError(
            f"{title}: labels are 0 to {classes - 1}{also}, got {values[bad].flat[0]}."
        )


# The pair


def checked_init(init: Callable, title: str) -> Callable:
    """`init`, which must be given a key and return (params, state)."""
    if getattr(init, "checked", False):
        return init

    @wraps(init)
    def start(key, x):
        check_key(key)
        check_example(x, f"init of {title}")
        return _pair(init(key, x), f"init of {title}", "params")

    start.checked = True  # pyright: ignore
    return start


def checked_apply(apply: Callable, title: str) -> Callable:
    """`apply`, which must return (y, state)."""
    if getattr(apply, "checked", False):
        return apply

    @wraps(apply)
    def forward(*args, **options):
        return _pair(apply(*args, **options), f"apply of {title}", "y")

    forward.checked = True  # pyright: ignore
    return forward


def _pair(made: Any, what: str, first: str) -> tuple:
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(
            f"{what} must return ({first}, state), got {type(made).__name__}: return {first}, () "
            "for a layer without state."
        )
    return made


def check_example(x: Any, title: str) -> None:
    """Raises TypeError unless x is a pytree of arrays or of their shapes."""
    for leaf in jax.tree.leaves(x):
        if not hasattr(leaf, "shape") and not (isinstance(leaf, int | float) and abs(leaf) < 2**31):
            raise TypeError(
                f"{title} takes an example of arrays or of jax.ShapeDtypeStruct, got "
                f"{type(leaf).__name__}."
            )


def check_key(key: Any) -> None:
    """Raises TypeError unless key is one key of `jax.random.key`, or of `jax.random.PRNGKey`."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    raw = dtype == jnp.uint32 and shape is not None and len(shape) == 1
    if not typed and not raw:
        found = type(key).__name__ if dtype is None else f"{dtype}{list(shape or ())}"
        found = repr(key) if isinstance(key, int | float | str) or key is None else found
        raise TypeError(f"key must be one of jax.random.key(seed), got {found}.")


def title_of(init: Callable) -> str:
    """The name of the factory that made a layer, read off its `init`."""
    return getattr(init, "__qualname__", "a layer").split(".<locals>")[0]
