"""What spiking neurons share, and the readout neuron that does not spike."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_number
from jaxnn.core import Cell
from jaxnn.printing import factory
from jaxnn.sequences.chunks import recurrent


@factory
def leaky_integrator(decay: float = 0.9, *, learn: Collection[str] = ()) -> Cell:
    """A readout neuron that does not spike: u_t = decay u_{t-1} + x_t, y_t = u_t.

    Args:
      decay: the fraction of u that remains after a step, in (0, 1].
      learn: ("decay",) for a decay in params [features], stored as its logit.

    Returns:
      A cell from x [batch, time, ..., features] to its membrane, of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point, or if learn is not a collection.
      ValueError: if the decay is out of range, if learn names anything else, if x has no time axis,
        or if params are for another number of features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.unroll(nn.spiking.leaky_integrator(0.5))((), jnp.ones((1, 3, 1))).ravel().tolist()
    [1.0, 1.5, 1.75]

    (Gerstner et al., Neuronal dynamics, 2014, chapter 1.)
    """
    title = "leaky_integrator"
    init_learned, constants_at = learnable_constants(title, {"decay": decay}, learn)

    def init(key, x):
        return init_learned(check_chunk(x, title)), ()

    def carry(params, x):
        return resting_carry(check_chunk(x, title))

    def step(params, u, x):
        u = constants_at(params, x)["decay"] * u + x
        return u, u

    return recurrent(init, carry, step)


def check_chunk(x: Any, title: str, flat: bool = False) -> Any:
    """x, which must be floats [batch, time, ..., features], or [batch, time, features] if flat."""
    if core.check_features(x, title).ndim < 3 or (flat and x.ndim != 3):
        shape = "[batch, time, features]" if flat else "[batch, time, ..., features]"
        raise ValueError(
            f"{title}{' with feedback' if flat else ''} takes {shape}, got {core.describe(x)}: one "
            "step is a chunk of length 1, x[:, None]."
        )
    return x


def learnable_constants(
    title: str, constants: Mapping[str, float], learn: Collection[str], others: tuple = ()
) -> tuple[Callable, Callable]:
    """(x) -> params of the learned constants, and (params, x_t) -> all constants by name.

    A decay is learned by its logit, any other constant by its logarithm. `others` are the names of
    further params.
    """
    if not isinstance(learn, Collection):
        raise TypeError(f"{title}: learn names constants, such as ('decay',), got {learn!r}.")
    learn = (learn,) if isinstance(learn, str) else tuple(learn)
    for name in learn:
        check_choice(name, f"{title}: learn", constants)
    if len(set(learn)) < len(learn):
        raise ValueError(f"{title}: learn names a constant twice, got {learn}.")
    for name, value in constants.items():
        what = f"{title}: {name}"
        if not name.endswith("decay"):
            check_number(value, what, above=0)
        elif name in learn:
            check_number(value, f"{what}, to be learned,", above=0, below=1)
        else:
            check_number(value, what, above=0, most=1)
    constants = {
        name: value if isinstance(value, jax.Array) else float(value)
        for name, value in constants.items()
    }

    def init_learned(x):
        dtype = core.param_dtype(x)
        params = {}
        for name in learn:
            value = constants[name]
            raw = math.log(value / (1 - value)) if name.endswith("decay") else math.log(value)
            params[name] = jnp.full(x.shape[-1:], raw, dtype)
        return params or ()

    def constants_at(params, x):
        if not (learn or others):
            if not core.is_stateless(params):
                raise ValueError(f"{title} has no params: these are the params of another net.")
            return constants
        values: dict[str, Any] = dict(constants)
        raws = core.unpack_params(params, x, title, *learn, *others)
        for name, raw in zip(learn, raws, strict=False):
            if raw.shape != x.shape[-1:]:
                raise ValueError(
                    f"{title} has {name} for {raw.shape[0]} features, got {core.describe(x)}: feed "
                    f"{raw.shape[0]}, or init with an example of {x.shape[-1]}."
                )
            value = jax.nn.sigmoid(raw) if name.endswith("decay") else jnp.exp(raw)
            values[name] = value.reshape((1,) * (x.ndim - 1) + (-1,))
        return values

    return init_learned, constants_at


def resting_carry(x: Any) -> jax.Array:
    """Zeros for every neuron, [batch, ..., features]."""
    return jnp.zeros((x.shape[0], *x.shape[2:]), x.dtype)
