"""The program of a step as one platform runs it, from its jaxpr."""

from typing import Any

import jax
from jax.extend import core as jex
from jax.interpreters import partial_eval


def traced(step: Any, platform: str, *arguments: Any) -> Any:
    """The jaxpr of a step on a platform ("cpu", "cuda", "tpu"), without what it does not need.

    Layers may have a form of their own for each platform; a jaxpr has all of them, and what the
    gradient of each would need.

    >>> import jax, jax.numpy as jnp
    >>> forms = {"cpu": jnp.sin, "default": jnp.cos}
    >>> step = lambda x: jax.lax.platform_dependent(x, **forms)
    >>> [eqn.primitive.name for eqn in traced(step, "tpu", 1.0).eqns]
    ['cos']
    """
    closed = jax.make_jaxpr(step)(*arguments)
    chosen = _choose(closed.jaxpr, platform)
    return partial_eval.dce_jaxpr(chosen, [True] * len(chosen.outvars), instantiate=True)[0]


def _choose(jaxpr: Any, platform: str) -> Any:
    """A jaxpr with the platform's branch in place of every choice between platforms."""
    names: dict[Any, Any] = {}
    eqns: list[Any] = []
    new = jex.gensym()

    def known(var):
        return var if isinstance(var, jex.Literal) else names.get(var, var)

    def copy(eqn):
        params = dict(eqn.params)
        for key, value in params.items():
            params[key] = _inside(value, platform)
        eqns.append(eqn.replace(invars=[known(var) for var in eqn.invars], params=params))

    for eqn in jaxpr.eqns:
        # Only a choice between platforms has this parameter.
        platforms = eqn.params.get("branches_platforms")
        if platforms is None:
            copy(eqn)
            continue
        branch = eqn.params["branches"][_index(platforms, platform)]
        inner = _choose(branch.jaxpr, platform)
        # One branch may stand in two places: its variables get new names in each.
        mine = dict(zip(inner.invars, map(known, eqn.invars[1:]), strict=True))

        def within(var, mine=mine):
            return var if isinstance(var, jex.Literal) else mine.get(var, var)

        for each in inner.eqns:
            outvars = [new(var.aval) for var in each.outvars]
            mine.update(zip(each.outvars, outvars, strict=True))
            eqns.append(each.replace(invars=[within(v) for v in each.invars], outvars=outvars))
        names.update(zip(eqn.outvars, map(within, inner.outvars), strict=True))
    return jaxpr.replace(eqns=eqns, outvars=[known(var) for var in jaxpr.outvars])


def _inside(value: Any, platform: str) -> Any:
    if isinstance(value, jex.ClosedJaxpr):
        return value.replace(jaxpr=_choose(value.jaxpr, platform))
    if isinstance(value, jex.Jaxpr):
        return _choose(value, platform)
    if isinstance(value, tuple) and any(isinstance(each, jex.ClosedJaxpr) for each in value):
        return tuple(_inside(each, platform) for each in value)
    return value


def _index(platforms: Any, platform: str) -> int:
    for i, each in enumerate(platforms):
        if each is None or platform in each:
            return i
    raise ValueError(f"no form of a layer is for {platform!r}: it has forms for {platforms}.")
