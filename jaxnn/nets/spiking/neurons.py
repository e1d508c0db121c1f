"""Spiking neurons: cells that integrate input currents and output spikes, 0 or 1.

A neuron has no weights: it follows a layer that has, as in `serial(dense(256), lif(), dense(10),
lif())`, and takes currents [batch, time, ..., features]. The features may be channels of an image.
Constants of the membrane are single numbers, or learned for each feature. The gradient passes the
step of a spike by a surrogate of `jaxnn.nets.spiking.surrogate`; it does not pass the reset that
follows.

Izhikevich's neuron is in `jaxnn.nets.spiking.izhikevich`, the readout that does not spike in
`jaxnn.nets.spiking.membrane`, and networks of them in `jaxnn.nets.spiking.nets`.
"""

from collections.abc import Callable, Collection

from jaxnn.core import Cell
from jaxnn.layers.recurrent.cells import orthogonal
from jaxnn.nets.spiking.integrate_and_fire import integrate_and_fire
from jaxnn.nets.spiking.surrogate import arctan
from jaxnn.printing import factory

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

    - "subtract": to u_t - threshold.
    - "zero": to 0.
    - "delayed": to u_t - threshold / decay, so that u_{t+1} is less by the threshold; the default
      of snnTorch.
    - "none": not at all.

    Args:
      decay: the fraction of u that remains after a step, in (0, 1]; exp(-step / tau) for a membrane
        with time constant tau.
      threshold: the membrane u above which a neuron spikes, above 0.
      reset: "subtract", "zero", "delayed" or "none".
      refractory: the number of steps after a spike in which a neuron ignores its input, keeps u and
        does not spike.
      learn: any of "decay" and "threshold", which then are params [features], stored as the logit
        of the decay and the logarithm of the threshold, so that they stay in range.
      feedback: whether the spikes of the step before are added to the input, x_t + s_{t-1} v, with
        params v [features, features]: a recurrent spiking layer.
      membrane: whether y is {"spikes": s, "membrane": u}, with u before its reset, rather than s.
      spike: the step and its surrogate gradient, such as `nn.spiking.surrogate.fast_sigmoid()`; the
        arctangent by default, as in snnTorch.
      v_init: initializer of v; orthogonal by default.

    Returns:
      A cell from currents x [batch, time, ..., features], or [batch, time, features] with feedback,
      to spikes of the same shape and dtype. The carry is a dict of what a neuron remembers, zeros
      at first, in x's dtype. A chunk without steps leaves it as it is.

    Raises:
      TypeError: if x is not floating point, or if learn is not a collection.
      ValueError: if a constant is out of range, if reset or a name in learn is unknown, if x has no
        time axis or has axes of space with feedback, or if params are for another number of
        features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.unroll(nn.spiking.lif(0.5))((), jnp.full((1, 6, 1), 0.75)).ravel().tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]

    (Lapicque, 1907; discrete and with a surrogate: Neftci, Mostafa and Zenke, Surrogate gradient
    learning in spiking neural networks, 2019; feedback: Bellec et al., Long short-term memory and
    learning-to-learn in networks of spiking neurons, 2018.)
    """
    return integrate_and_fire(
        "lif",
        {"decay": decay, "threshold": threshold},
        reset=reset,
        refractory=refractory,
        learn=learn,
        feedback=feedback,
        membrane=membrane,
        spike=spike,
        v_init=v_init,
    )


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
    """`lif` with an adaptive threshold, which rises at each spike and decays between spikes.

    u_t = decay u_{t-1} + x_t, s_t = (u_t > threshold + adaptation a_t)
    a_{t+1} = adaptation_decay a_t + s_t

    The reset subtracts the threshold itself, without its rise.

    Args:
      decay: the fraction of u that remains after a step, in (0, 1].
      threshold: the threshold of a neuron that has not spiked, above 0.
      adaptation_decay: the fraction of a that remains after a step, in (0, 1].
      adaptation: how far one spike raises the threshold, above 0.
      reset: "subtract", "zero", "delayed" or "none", as in `lif`.
      refractory: the number of steps after a spike in which a neuron ignores its input, keeps u and
        does not spike.
      learn: any of "decay", "threshold", "adaptation_decay" and "adaptation", which then are params
        [features]: decays as logits, the others as logarithms.
      feedback: whether the spikes of the step before are added to the input, x_t + s_{t-1} v, with
        params v [features, features].
      membrane: whether y is {"spikes": s, "membrane": u}, with u before its reset, rather than s.
      spike: the step and its surrogate gradient; the arctangent by default.
      v_init: initializer of v; orthogonal by default.

    Returns:
      A cell from currents x [batch, time, ..., features], or [batch, time, features] with feedback,
      to spikes of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point, or if learn is not a collection.
      ValueError: if a constant is out of range, if reset or a name in learn is unknown, if x has no
        time axis or has axes of space with feedback, or if params are for another number of
        features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> net = nn.unroll(nn.spiking.adaptive_lif(0.5, adaptation=2.0))
    >>> net((), jnp.full((1, 6, 1), 1.5)).ravel().tolist()
    [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]

    (Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons,
    2018.)
    """
    return integrate_and_fire(
        "adaptive_lif",
        {
            "decay": decay,
            "threshold": threshold,
            "adaptation_decay": adaptation_decay,
            "adaptation": adaptation,
        },
        reset=reset,
        refractory=refractory,
        learn=learn,
        feedback=feedback,
        membrane=membrane,
        spike=spike,
        v_init=v_init,
    )


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
    """`lif` with synapses: its input is a current that decays, i_t = synaptic_decay i_{t-1} + x_t.

    u_t = decay u_{t-1} + i_t, s_t = (u_t > threshold)

    This is the current-based ("CuBa") neuron of second order.

    Args:
      decay: the fraction of u that remains after a step, in (0, 1].
      threshold: the membrane u above which a neuron spikes, above 0.
      synaptic_decay: the fraction of the current that remains after a step, in (0, 1].
      reset: "subtract", "zero", "delayed" or "none", as in `lif`.
      refractory: the number of steps after a spike in which a neuron keeps u and does not spike;
        its current goes on.
      learn: any of "decay", "threshold" and "synaptic_decay", which then are params [features]:
        decays as logits, the threshold as its logarithm.
      feedback: whether the spikes of the step before are added to the input, x_t + s_{t-1} v, with
        params v [features, features].
      membrane: whether y is {"spikes": s, "membrane": u}, with u before its reset, rather than s.
      spike: the step and its surrogate gradient; the arctangent by default.
      v_init: initializer of v; orthogonal by default.

    Returns:
      A cell from inputs x [batch, time, ..., features], or [batch, time, features] with feedback,
      to spikes of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point, or if learn is not a collection.
      ValueError: if a constant is out of range, if reset or a name in learn is unknown, if x has no
        time axis or has axes of space with feedback, or if params are for another number of
        features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> net = nn.unroll(nn.spiking.synaptic_lif(1.0, synaptic_decay=0.5))
    >>> net((), jnp.array([[[0.75], [0.0], [0.0], [0.0], [0.0]]])).ravel().tolist()
    [0.0, 1.0, 0.0, 0.0, 0.0]

    (Gerstner et al., Neuronal dynamics, 2014, chapter 1; Synaptic in snnTorch.)
    """
    return integrate_and_fire(
        "synaptic_lif",
        {"decay": decay, "threshold": threshold, "synaptic_decay": synaptic_decay},
        reset=reset,
        refractory=refractory,
        learn=learn,
        feedback=feedback,
        membrane=membrane,
        spike=spike,
        v_init=v_init,
    )
