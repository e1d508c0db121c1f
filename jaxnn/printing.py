"""How nets print: `repr(net)` reads like the code that made it, and `help` like the source."""

import dataclasses
import functools
import inspect
import reprlib
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

# The usual names of jax.nn.initializers.variance_scaling(scale, mode, distribution).
SCALINGS = {
    (scale, mode, distribution): f"{family}_{kind}"
    for family, scale, mode in (
        ("lecun", 1.0, "fan_in"),
        ("he", 2.0, "fan_in"),
        ("glorot", 1.0, "fan_avg"),
    )
    for kind, distribution in (("normal", "truncated_normal"), ("uniform", "uniform"))
}

Make = TypeVar("Make", bound=Callable)


def factory(make: Make) -> Make:
    """Lets a function that makes nets write its name and its arguments into what it makes.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.serial(nn.dense(32), jnp.tanh, nn.dense(1))
    serial(dense(32), tanh, dense(1))
    """
    signature = inspect.signature(make)

    @functools.wraps(make)
    def made(*args: Any, **keywords: Any):
        net = make(*args, **keywords)
        bound = signature.bind(*args, **keywords)
        return dataclasses.replace(net, name=make.__name__, arguments=(bound.args, bound.kwargs))

    return made  # pyright: ignore[reportReturnType]


def call_text(name: str, arguments: tuple[tuple, dict] | None) -> str:
    """A call as its code, `dense(32, w_init=zeros)`; without arguments known, its name."""
    if arguments is None:
        return name
    positional, keywords = arguments
    parts = [*map(text, positional), *(f"{key}={text(value)}" for key, value in keywords.items())]
    return f"{name}({', '.join(parts)})"


def text(value: Any) -> str:
    """A value as the code that makes it: functions by their names, arrays by dtype and shape.

    >>> import jax
    >>> text((jax.numpy.tanh, jax.nn.initializers.he_normal(), {"rate": 0.5}))
    "(tanh, he_normal(), {'rate': 0.5})"
    """
    if isinstance(value, functools.partial):
        return call_text("partial", ((value.func, *value.args), value.keywords))
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        scalar = isinstance(value, np.generic | np.ndarray) and value.ndim == 0
        return str(value) if scalar else f"{value.dtype}{list(value.shape)}".replace(" ", "")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return call_text(type(value).__name__, ((), value._asdict()))  # pyright: ignore
    if isinstance(value, tuple):
        inner = ", ".join(map(text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, type):
        return value.__name__
    if callable(value) and not dataclasses.is_dataclass(value):
        return _function_text(value)
    return repr(value)


def short(value: Any) -> str:
    """`text` in at most 80 characters, for errors."""
    array = hasattr(value, "shape") and hasattr(value, "dtype")
    printed = text(value) if array or callable(value) else reprlib.repr(value)
    return printed if len(printed) < 80 else f"{printed[:77]}..."


def with_printed_defaults(signature: inspect.Signature) -> inspect.Signature:
    """A signature whose defaults print as code, `w_init=lecun_normal()`, and not by address."""

    def printed(parameter: inspect.Parameter) -> inspect.Parameter:
        if parameter.default is parameter.empty or " at 0x" not in repr(parameter.default):
            return parameter
        return parameter.replace(default=_Printed(text(parameter.default)))

    return signature.replace(parameters=list(map(printed, signature.parameters.values())))


@dataclasses.dataclass(frozen=True, repr=False)
class _Printed:
    """What prints as a given text."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _function_text(function: Callable) -> str:
    """The name of a function, or the call that made it if it is an initializer of JAX."""
    name = getattr(function, "__qualname__", "") or getattr(function, "__name__", "")
    if not name:
        return repr(function)
    maker, _, inner = name.rpartition(".<locals>.")
    if inner == "init" and hasattr(jax.nn.initializers, maker):
        return _initializer_text(maker, dict(inspect.getclosurevars(function).nonlocals))
    return "lambda" if inner == "<lambda>" else inner.split(".")[-1]


def _initializer_text(maker: str, given: dict[str, Any]) -> str:
    """The call of `jax.nn.initializers` with the arguments that its function has closed over."""
    parameters = inspect.signature(getattr(jax.nn.initializers, maker)).parameters
    given = {
        key: given[key]
        for key, parameter in parameters.items()
        if key in given and given[key] != parameter.default
    }
    known = SCALINGS.get((given.get("scale"), given.get("mode"), given.get("distribution")))  # pyright: ignore
    if known and len(given) == 3:
        return f"{known}()"
    return call_text(maker, ((), given))
