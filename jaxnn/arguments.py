"""What every public function checks: that each argument is of the kind that its signature says.

A wrong kind would otherwise be found where it is first used, in a sentence that names neither the
function nor the argument. Ranges and words are the functions' own to check, as `jaxnn.checks` does.
"""

import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, wraps
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import check_key
from jaxnn.printing import short, with_printed_defaults

WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    str: "a string",
    type(None): "None",
    jax.Array: "an array",
    Callable: "a function",
    Mapping: "a mapping",
    dict: "a dict",
}


def check_public(namespace: dict[str, Any], names: Collection[str]) -> None:
    """Makes a namespace's functions check their arguments, and `dir` list these names alone."""
    for name in names:
        if inspect.isfunction(namespace[name]):
            namespace[name] = checked(namespace[name], namespace["__name__"])
    namespace["__dir__"] = lambda: sorted(names)


def checked(function: Callable, module: str) -> Callable:
    """The function, which refuses an argument of another kind than its signature says.

    Raises:
      TypeError: for such an argument, with its name and what it must be.
    """
    title, signature = function.__name__, inspect.signature(function)

    @wraps(function)
    def called(*args: Any, **keywords: Any):
        try:
            given = signature.bind(*args, **keywords).arguments
        except TypeError as error:
            raise TypeError(f"{title}: {error}.") from None
        for name, hint in _hints(function).items():
            if name in given:
                _check(title, name, given[name], hint, signature.parameters[name].kind)
        try:
            return function(*args, **keywords)
        except (TypeError, ValueError) as error:
            if title not in str(error):
                error.add_note(f"in {title}")
            raise

    called.__module__ = module  # where pickle finds it
    called.__signature__ = with_printed_defaults(signature)  # pyright: ignore
    return called


@cache
def _hints(function: Callable) -> dict[str, Any]:
    """The kinds of the arguments that are looked at, read off at the first call."""
    hints = get_type_hints(inspect.unwrap(function))
    hints.pop("return", None)
    return {n: hint for n, hint in hints.items() if hint is not Any or n in ("dtype", "key")}


def _check(title: str, name: str, value: Any, hint: Any, kind: Any) -> None:
    if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        for each in value if kind is inspect.Parameter.VAR_POSITIONAL else value.values():
            _check(title, name, each, hint, None)
        return
    if name == "dtype" and value is not None:
        try:
            jnp.dtype(value)
        except TypeError:
            raise TypeError(f"{title}: dtype must be a dtype, got {short(value)}.") from None
    if name == "key" and value is not None:
        try:
            check_key(value)
        except TypeError as error:
            raise TypeError(f"{title}: {error}") from None
    if not _fits(value, hint):
        raise TypeError(f"{title}: {name} must be {_words(hint)}, got {short(value)}.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a kind; arrays and numbers of NumPy and tracers are as good."""
    kind = get_origin(hint) or hint
    array = hasattr(value, "shape") and hasattr(value, "dtype")
    scalar = array and value.shape == ()
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if kind in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        whole = jnp.issubdtype(value.dtype, jnp.integer) if array else hasattr(value, "__index__")
        return jax.export.is_symbolic_dim(value) or (
            whole and (scalar or not array) and not isinstance(value, bool)
        )
    if kind is float:
        number = isinstance(value, int | float)
        if scalar:
            number = any(jnp.issubdtype(value.dtype, each) for each in (jnp.integer, jnp.floating))
        return number and not isinstance(value, bool)
    if kind is jax.Array:
        return array
    if kind in (tuple, list, Sequence, Collection):
        return _fits_each(value, kind, get_args(hint))
    return callable(value) if kind is Callable else isinstance(value, kind)


def _fits_each(value: Any, kind: Any, hints: tuple) -> bool:
    if isinstance(value, np.ndarray | jax.Array):
        return value.ndim == 1 and kind is not tuple
    if isinstance(value, str | Mapping) or not isinstance(value, Collection):
        return False
    if kind is tuple and hints and hints[-1] is not Ellipsis:
        return len(value) == len(hints) and all(map(_fits, value, hints))
    return not hints or all(_fits(each, hints[0]) for each in value)


def _words(hint: Any) -> str:
    kind, hints = get_origin(hint) or hint, get_args(hint)
    if np.ndarray in hints:  # of jax.typing.ArrayLike
        return "an array or a number"
    if kind in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, hints)))
    if kind in (tuple, list, Sequence, Collection):
        each = f" of which each is {_words(hints[0])}" if hints and hints[0] is not Any else ""
        fixed = kind is tuple and hints and hints[-1] is not Ellipsis
        return f"{len(hints)} values{each}" if fixed else f"a sequence{each}"
    title = getattr(kind, "__name__", str(kind))
    return WORDS.get(kind) or f"{'an' if title[0] in 'AEIOU' else 'a'} {title}"
