"""Spike-timing-dependent plasticity: weights that learn from the order of spikes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Cell
from jaxnn.layers.recurrent.cells import check_chunk, matmul
from jaxnn.printing import factory

UNIFORM = jax.nn.initializers.uniform(1.0)


@factory
def stdp(
    width: int,
    decay: float = 0.9,
    threshold: float = 1.0,
    *,
    rate: float = 0.01,
    potentiation: float = 1.0,
    depression: float = 1.0,
    before_decay: float = 0.9,
    after_decay: float = 0.9,
    one_winner: bool = False,
    w_init: Callable = UNIFORM,
) -> Cell:
    """Spiking neurons whose weights learn by spike-timing-dependent plasticity, without a gradient.

    u_t = decay u_{t-1} + x_t w, s_t = (u_t > threshold), and u_t is 0 after a spike
    p_t = before_decay p_{t-1} + x_t, q_t = after_decay q_{t-1} + s_t, the traces of both sides
    w <- clip(w + rate mean over rows of (potentiation p_t s_t - depression x_t q_{t-1}), 0, 1)

    An input n steps before a spike is strengthened by rate potentiation before_decay^n; one that
    comes n steps after it, n > 0, is weakened by rate depression after_decay^{n - 1}. Weights are
    state, and learn at every step in training.

    Args:
      width: the number of neurons.
      decay: the fraction of u that remains after a step, in (0, 1].
      threshold: the membrane u above which a neuron spikes, above 0.
      rate: the learning rate, above 0.
      potentiation: the weight of an input before a spike, 0 or more.
      depression: the weight of an input after a spike, 0 or more.
      before_decay: the fraction of the inputs' trace p that remains after a step, in (0, 1].
      after_decay: the fraction of the spikes' trace q that remains after a step, in (0, 1].
      one_winner: whether, of the neurons of a row above their threshold, only the highest spikes,
        so that neurons learn different things.
      w_init: initializer of w [features, width]; uniform in [0, 1) by default.

    Returns:
      A cell from spikes x [batch, time, features] to spikes [batch, time, width] of the same dtype,
      with state {"w": w}. The carry holds the membranes and both traces.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if an argument is out of range, if x is not [batch, time, features], or if the
        weights are for another number of features.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> cell, x = nn.spiking.stdp(2), jnp.ones((4, 6, 3))
    >>> params, state = cell.init(jax.random.key(0), x)
    >>> start = cell.carry(params, x)
    >>> (carry, y), learned = cell.apply(params, state, (start, x), train=True)
    >>> y.shape, bool((learned["w"] != state["w"]).any())
    ((4, 6, 2), True)

    (Song, Miller and Abbott, Competitive Hebbian learning through spike-timing-dependent synaptic
    plasticity, 2000; traces: Morrison, Diesmann and Gerstner, Phenomenological models of synaptic
    plasticity based on spike timing, 2008.)
    """
    title, width = "stdp", core.check_int(width, "stdp: width")
    rates = {"decay": decay, "before_decay": before_decay, "after_decay": after_decay}
    for name, value in rates.items():
        check_number(value, f"{title}: {name}", above=0, most=1)
    for name, value in {"threshold": threshold, "rate": rate}.items():
        check_number(value, f"{title}: {name}", above=0)
    for name, value in {"potentiation": potentiation, "depression": depression}.items():
        check_number(value, f"{title}: {name}", least=0)
    decay, threshold, rate = float(decay), float(threshold), float(rate)
    potentiation, depression = float(potentiation), float(depression)
    check_choice(one_winner, f"{title}: one_winner", (False, True))
    check_function(w_init, f"{title}: w_init")

    def init(key, x):
        shape = (check_chunk(x, title).shape[-1], width)
        return (), {"w": w_init(core.fold_in(key, 0), shape, core.param_dtype(x))}

    def carry(params, x):
        rows = check_chunk(x, title).shape[0]
        neurons = jnp.zeros((rows, width), x.dtype)
        before = jnp.zeros((rows, x.shape[-1]), x.dtype)
        return {"membrane": neurons, "before": before, "after": neurons}

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        learns = core.check_train(train)
        core.check_same_spec(
            jax.eval_shape(carry, params, x),
            core.spec(memory),
            f"{title} takes cell.carry(params, x)",
        )
        x = jax.lax.stop_gradient(x)

        def step(w_memory, x):
            w, memory = w_memory
            u = decay * memory["membrane"] + matmul(x, w.astype(x.dtype), title)
            s = (u > threshold).astype(x.dtype)
            if one_winner:
                s = s * jax.nn.one_hot(jnp.argmax(u, axis=-1), width, dtype=x.dtype)
            before = before_decay * memory["before"] + x
            if learns:
                grown = potentiation * jnp.matmul(before.T, s)
                shrunk = depression * jnp.matmul(x.T, memory["after"])
                change = (rate * (grown - shrunk) / len(x)).astype(w.dtype)
                w = jnp.clip(w + change, 0, 1)
            after = after_decay * memory["after"] + s
            return (w, {"membrane": u * (1 - s), "before": before, "after": after}), s

        w = core.require_state(state, title)["w"]
        (w, memory), y = jax.lax.scan(step, (w, memory), jnp.swapaxes(x, 0, 1))
        return (memory, jnp.swapaxes(y, 0, 1)), {"w": w}

    return Cell(init, carry, apply)
