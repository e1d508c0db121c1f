"""Spiking neurons: cells that gather what comes in and put out 0 or 1.

A neuron has no weights: it stands behind a layer that has, `serial(dense(256), lif(), dense(10),
lif())`, and takes its currents [batch, time, ..., features], a map of features over space as well.
Constants of the membrane are one number, or learned, one for each feature. Through the step of a
spike the gradient goes by a `jaxnn.spiking.surrogate`; through the reset that follows, it does not
go.

Izhikevich's neuron is in `jaxnn.nets.spiking.izhikevich`, the read-out that does not spike in
`jaxnn.nets.spiking.membrane`, and the nets made of them in `jaxnn.nets.spiking.nets`.
"""

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function
from jaxnn.core import Cell
from jaxnn.layers.recurrent.cells import orthogonal
from jaxnn.nets.spiking.membrane import check_chunk, constants_of, resting_carry
from jaxnn.nets.spiking.surrogate import arctan
from jaxnn.printing import factory
from jaxnn.sequences.unroll import recurrent

RESETS = "subtract", "zero", "delayed", "none"
SPIKE = arctan()


@factory
def lif(
    decay: float = 0.9,
    threshold: float = 1.0,
    *,
    reset: str = "subtract",
    refractory: int = 0,
    learn: Collection[str] = (),
    feedback: bool = False,
    membrane: bool = False,
    spike: Callable = SPIKE,
    v_init: Callable = orthogonal,
) -> Cell:
    """Leaky integrate-and-fire neurons: u_t = decay u_{t-1} + x_t, s_t = (u_t > threshold).

    After a spike, u_t is reset:

    - "subtract": u_t - threshold.
    - "zero": 0.
    - "delayed": u_{t+1} is less by the threshold, which is u_t - threshold / decay; the default of
      snnTorch.
    - "none".

    Args:
      decay: what is kept of u a step, in (0, 1]; exp(-step / tau) of a membrane of time constant
        tau.
      threshold: above 0.
      reset: one of the four.
      refractory: steps after a spike in which a neuron takes nothing in, keeps u and does not
        spike.
      learn: "decay", "threshold" or both are params then, [features]: their logit and their
        logarithm, so that a decay stays in (0, 1) and a threshold above 0.
      feedback: whether the spikes of the step before come in too, x_t + s_{t-1} v, with v
        [features, features] in params: a recurrent spiking layer, for x [batch, time, features].
      membrane: whether y is {"spikes": s, "membrane": u}, with u before its reset; else it is s.
      spike: the step and its surrogate gradient, one of `jaxnn.spiking.surrogate`; its arctangent,
        as in
        snnTorch, by default.
      v_init: initialiser of v.

    x is [batch, time, ..., features]; the carry is a dict of what a neuron remembers, zeros at
    first, all in x's dtype. A chunk of no steps puts out none and leaves the carry as it is.

    Raises:
      TypeError: for currents that are no floats.
      ValueError: for constants out of range, another reset, or `learn` of what is no constant; for
        x without a time axis, feedback over pictures, or params of other features.

    (Lapicque, 1907; discrete and with a surrogate: Neftci, Mostafa and Zenke, Surrogate gradient
    learning in spiking neural networks, 2019; feedback: Bellec et al., Long short-term memory and
    learning-to-learn in networks of spiking neurons, 2018.)

    >>> import jax, jaxnn as nn
    >>> nn.unroll(nn.spiking.lif(0.5))((), jax.numpy.full((1, 6, 1), 0.75)).ravel().tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    """
    constants = {"decay": decay, "threshold": threshold}
    return _fires("lif", constants, reset, refractory, learn, feedback, membrane, spike, v_init)


@factory
def adaptive_lif(
    decay: float = 0.9,
    threshold: float = 1.0,
    *,
    adaptation_decay: float = 0.95,
    adaptation: float = 0.5,
    reset: str = "subtract",
    refractory: int = 0,
    learn: Collection[str] = (),
    feedback: bool = False,
    membrane: bool = False,
    spike: Callable = SPIKE,
    v_init: Callable = orthogonal,
) -> Cell:
    """`lif` whose threshold rises with each spike, and falls again: it tires.

    s_t = (u_t > threshold + adaptation a_t), a_{t+1} = adaptation_decay a_t + s_t

    The reset takes off the threshold without what it has risen by.

    Args:
      decay, threshold, reset, refractory, feedback, membrane, spike, v_init: as in `lif`.
      adaptation_decay: what is kept of a step's rise, in (0, 1].
      adaptation: how far one spike lifts the threshold, above 0.
      learn: any of "decay", "threshold", "adaptation_decay" and "adaptation".

    Raises:
      TypeError, ValueError: as `lif` does.

    (Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons,
    2018.)

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.full((1, 6, 1), 1.5)
    >>> nn.unroll(nn.spiking.adaptive_lif(0.5, adaptation=2.0))((), x).ravel().tolist()
    [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    constants = {
        "decay": decay,
        "threshold": threshold,
        "adaptation_decay": adaptation_decay,
        "adaptation": adaptation,
    }
    options = reset, refractory, learn, feedback, membrane, spike, v_init
    return _fires("adaptive_lif", constants, *options)


@factory
def synaptic_lif(
    decay: float = 0.9,
    threshold: float = 1.0,
    *,
    synaptic_decay: float = 0.8,
    reset: str = "subtract",
    refractory: int = 0,
    learn: Collection[str] = (),
    feedback: bool = False,
    membrane: bool = False,
    spike: Callable = SPIKE,
    v_init: Callable = orthogonal,
) -> Cell:
    """`lif` whose input is a current that fades: i_t = synaptic_decay i_{t-1} + x_t.

    u_t = decay u_{t-1} + i_t; the current-based ("CuBa") neuron of second order.

    Args:
      decay, threshold, reset, refractory, feedback, membrane, spike, v_init: as in `lif`; the
        current flows on in a refractory neuron.
      synaptic_decay: what is kept of the current a step, in (0, 1].
      learn: any of "decay", "threshold" and "synaptic_decay".

    Raises:
      TypeError, ValueError: as `lif` does.

    (Gerstner et al., Neuronal dynamics, 2014, chapter 1; snnTorch's Synaptic.)

    >>> import jax, jaxnn as nn
    >>> x = jax.numpy.zeros((1, 5, 1)).at[0, 0].set(0.75)
    >>> nn.unroll(nn.spiking.synaptic_lif(0.5, synaptic_decay=0.5))((), x).ravel().tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0]
    >>> nn.unroll(nn.spiking.synaptic_lif(1.0, synaptic_decay=0.5))((), x).ravel().tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0]
    """
    constants = {"decay": decay, "threshold": threshold, "synaptic_decay": synaptic_decay}
    options = reset, refractory, learn, feedback, membrane, spike, v_init
    return _fires("synaptic_lif", constants, *options)


def _fires(title, constants, reset, refractory, learn, feedback, membrane, spike, v_init) -> Cell:
    """The one body of the neurons that integrate and fire."""
    check_choice(reset, f"{title}: reset", RESETS)
    for flag, what in ((feedback, "feedback"), (membrane, "membrane")):
        check_choice(flag, f"{title}: {what}", (False, True))
    for function, what in ((spike, "spike"), (v_init, "v_init")):
        check_function(function, f"{title}: {what}")
    refractory = core.check_int(refractory, f"{title}: refractory", 0)
    begin, of = constants_of(title, constants, learn, ("v",) * feedback)
    current, tires = "synaptic_decay" in constants, "adaptation" in constants
    kept = ["membrane"] + ["current"] * current + ["adaptation"] * tires
    kept += ["wait"] * (refractory > 0) + ["spikes"] * feedback

    def init(key, x):
        params = begin(check_chunk(x, title, feedback))
        if feedback:
            shape = (x.shape[-1], x.shape[-1])
            params = {**dict(params), "v": v_init(core.fold_in(key, 0), shape, core.param_dtype(x))}
        return params, ()

    def carry(params, x):
        x = check_chunk(x, title, feedback)
        return {each: resting_carry(x) for each in kept}

    def step(params, memory, x):
        held, after = of(params, x), {}
        if feedback:
            x = x + jnp.matmul(memory["spikes"], params["v"])
        if current:
            x = after["current"] = held["synaptic_decay"] * memory["current"] + x
        u, threshold = held["decay"] * memory["membrane"] + x, held["threshold"]
        lifted = threshold
        if tires:
            lifted = threshold + held["adaptation"] * memory["adaptation"]
        s = spike(u - lifted)
        if refractory:
            free = memory["wait"] <= 0
            u = jnp.where(free, u, memory["membrane"])
            s = jnp.where(free, s, jnp.zeros_like(s))
        fired = jax.lax.stop_gradient(s)
        if refractory:
            after["wait"] = jnp.maximum(memory["wait"] - 1, 0) + refractory * fired
        if tires:
            after["adaptation"] = held["adaptation_decay"] * memory["adaptation"] + s
        if feedback:
            after["spikes"] = s
        if reset == "zero":
            after["membrane"] = u * (1 - fired)
        elif reset == "none":
            after["membrane"] = u
        else:
            by = threshold / held["decay"] if reset == "delayed" else threshold
            after["membrane"] = u - by * fired
        return after, {"spikes": s, "membrane": u} if membrane else s

    return recurrent(init, carry, step, name=title)
