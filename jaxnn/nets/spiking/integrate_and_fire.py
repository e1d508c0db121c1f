"""The cell behind all neurons that integrate and fire."""

from collections.abc import Callable, Collection, Mapping

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function
from jaxnn.core import Cell
from jaxnn.nets.spiking.membrane import check_chunk, learnable_constants, resting_carry
from jaxnn.sequences.chunks import recurrent

RESETS = "subtract", "zero", "delayed", "none"


def integrate_and_fire(
    title: str,
    constants: Mapping[str, float],
    *,
    reset: str,
    refractory: int,
    learn: Collection[str],
    feedback: bool,
    membrane: bool,
    spike: Callable,
    v_init: Callable,
) -> Cell:
    """A neuron whose constants say whether it has a synaptic current and an adaptive threshold."""
    check_choice(reset, f"{title}: reset", RESETS)
    for flag, what in ((feedback, "feedback"), (membrane, "membrane")):
        check_choice(flag, f"{title}: {what}", (False, True))
    for function, what in ((spike, "spike"), (v_init, "v_init")):
        check_function(function, f"{title}: {what}")
    refractory = core.check_int(refractory, f"{title}: refractory", 0)
    init_learned, constants_at = learnable_constants(title, constants, learn, ("v",) * feedback)
    has_current, adapts = "synaptic_decay" in constants, "adaptation" in constants
    fields = ["membrane"] + ["current"] * has_current + ["adaptation"] * adapts
    fields += ["wait"] * (refractory > 0) + ["spikes"] * feedback

    def init(key, x):
        params = init_learned(check_chunk(x, title, feedback))
        if feedback:
            shape = (x.shape[-1], x.shape[-1])
            params = {**dict(params), "v": v_init(core.fold_in(key, 0), shape, core.param_dtype(x))}
        return params, ()

    def carry(params, x):
        x = check_chunk(x, title, feedback)
        return {field: resting_carry(x) for field in fields}

    def step(params, memory, x):
        values, new = constants_at(params, x), {}
        if feedback:
            x = x + jnp.matmul(memory["spikes"], params["v"])
        if has_current:
            x = new["current"] = values["synaptic_decay"] * memory["current"] + x
        u, threshold = values["decay"] * memory["membrane"] + x, values["threshold"]
        raised = threshold
        if adapts:
            raised = threshold + values["adaptation"] * memory["adaptation"]
        s = spike(u - raised)
        if refractory:
            ready = memory["wait"] <= 0
            u = jnp.where(ready, u, memory["membrane"])
            s = jnp.where(ready, s, jnp.zeros_like(s))
        fired = jax.lax.stop_gradient(s)
        if refractory:
            new["wait"] = jnp.maximum(memory["wait"] - 1, 0) + refractory * fired
        if adapts:
            new["adaptation"] = values["adaptation_decay"] * memory["adaptation"] + s
        if feedback:
            new["spikes"] = s
        if reset == "zero":
            new["membrane"] = u * (1 - fired)
        elif reset == "none":
            new["membrane"] = u
        else:
            drop = threshold / values["decay"] if reset == "delayed" else threshold
            new["membrane"] = u - drop * fired
        return new, {"spikes": s, "membrane": u} if membrane else s

    return recurrent(init, carry, step, name=title)
