"""Izhikevich's neuron: two equations for the many ways in which real neurons spike."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Cell
from jaxnn.nets.spiking.membrane import check_chunk, resting_carry
from jaxnn.nets.spiking.surrogate import arctan
from jaxnn.printing import factory
from jaxnn.sequences.unroll import recurrent

PEAK = 30.0  # mV, where it spikes
CUT = 35.0  # mV, which its membrane does not pass
WIDE = arctan(0.1)  # of v, which moves by tens of mV


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
    """Izhikevich's neuron, which spikes in many of the ways that real ones do; a step is 1 ms.

    v <- v + 1/2 (0.04 v^2 + 5 v + 140 - u + x), twice, no further than 35 mV
    u <- u + a (b v - u)
    s = (v > 30), and where it spikes v <- c, u <- u + d

    v is taken in two half steps, as in the paper's program, where it may overshoot by far.

    Args:
      a: how fast u recovers, a millisecond.
      b: how u follows v.
      c: v after a spike, mV.
      d: what a spike adds to u.
      membrane: whether y is {"spikes": s, "membrane": v}, with v before its reset.
      spike: the step and its surrogate gradient, of v - 30 in mV; a wide one by default.

    Regular spiking is the default. Of the paper: intrinsically bursting (0.02, 0.2, -55, 4),
    chattering (0.02, 0.2, -50, 2), fast spiking (0.1, 0.2, -65, 2). Currents x [batch, time, ...,
    features] are about 5 to 20; the carry is {"membrane": v, "recovery": u}, at -65 and -65 b.

    Raises:
      TypeError: for currents that are no floats.
      ValueError: for constants that are not finite, or c of 30 or more; for x without a time axis.

    (Izhikevich, Simple model of spiking neurons, 2003.)

    >>> import jax, jaxnn as nn
    >>> y = nn.unroll(nn.spiking.izhikevich())((), jax.numpy.full((1, 200, 1), 10.0))
    >>> 3 < float(y.sum()) < 12
    True
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
            v = jnp.minimum(v + 0.5 * (0.04 * v * v + 5 * v + 140 - u + x), CUT)
        u = u + a * (b * v - u)
        s = spike(v - PEAK)
        fired = jax.lax.stop_gradient(s)
        after = {"membrane": v + fired * (c - v), "recovery": u + d * fired}
        return after, {"spikes": s, "membrane": v} if membrane else s

    return recurrent(init, carry, step)
