"""Izhikevich's neuron: two equations for many of the firing patterns of real neurons."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Cell
from jaxnn.nets.spiking.membrane import check_chunk, resting_carry
from jaxnn.nets.spiking.surrogate import arctan
from jaxnn.printing import factory
from jaxnn.sequences.chunks import recurrent

PEAK = 30.0  # mV, the membrane above which it spikes
LIMIT = 35.0  # mV, the largest membrane, since a half step may overshoot by far
WIDE = arctan(0.1)  # a wide surrogate, since v changes by tens of mV


@factory
def izhikevich(
    a: float = 0.02,
    b: float = 0.2,
    c: float = -65.0,
    d: float = 8.0,
    *,
    membrane: bool = False,
    spike: Callable = WIDE,
) -> Cell:
    """Izhikevich's neuron, which has many of the firing patterns of real neurons; a step is 1 ms.

    v <- v + 1/2 (0.04 v^2 + 5 v + 140 - u + x), twice, and at most 35 mV
    u <- u + a (b v - u)
    s = (v > 30), and after a spike v <- c, u <- u + d

    v is updated in two half steps, as in the paper's program, where it may overshoot by far. The
    defaults are the regular spiking neuron. Others of the paper, as (a, b, c, d), are intrinsically
    bursting (0.02, 0.2, -55, 4), chattering (0.02, 0.2, -50, 2) and fast spiking (0.1, 0.2, -65,
    2).

    Args:
      a: the rate at which u recovers, per ms.
      b: how strongly u follows v.
      c: v after a spike, in mV, below 30.
      d: what a spike adds to u.
      membrane: whether y is {"spikes": s, "membrane": v}, with v before its reset, rather than s.
      spike: the step and its surrogate gradient, of v - 30 in mV; a wide arctangent by default.

    Returns:
      A cell from currents x [batch, time, ..., features], of about 5 to 20, to spikes of the same
      shape and dtype. The carry is {"membrane": v, "recovery": u}, at first -65 and -65 b.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a constant is not finite, if c is 30 or more, or if x has no time axis.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> y = nn.unroll(nn.spiking.izhikevich())((), jnp.full((1, 200, 1), 10.0))
    >>> 3 < float(y.sum()) < 12
    True

    (Izhikevich, Simple model of spiking neurons, 2003.)
    """
    a, b, d = (
        float(check_number(value, f"izhikevich: {name}"))
        for name, value in {"a": a, "b": b, "d": d}.items()
    )
    c = float(check_number(c, "izhikevich: c, v after a spike in mV,", below=PEAK))
    check_choice(membrane, "izhikevich: membrane", (False, True))
    check_function(spike, "izhikevich: spike")

    def init(key, x):
        check_chunk(x, "izhikevich")
        return (), ()

    def carry(params, x):
        v = resting_carry(check_chunk(x, "izhikevich")) - 65
        return {"membrane": v, "recovery": b * v}

    def step(params, memory, x):
        v, u = memory["membrane"], memory["recovery"]
        for _ in range(2):
            v = jnp.minimum(v + 0.5 * (0.04 * v * v + 5 * v + 140 - u + x), LIMIT)
        u = u + a * (b * v - u)
        s = spike(v - PEAK)
        fired = jax.lax.stop_gradient(s)
        new = {"membrane": v + fired * (c - v), "recovery": u + d * fired}
        return new, {"spikes": s, "membrane": v} if membrane else s

    return recurrent(init, carry, step)
