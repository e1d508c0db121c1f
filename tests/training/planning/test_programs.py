"""The program of one platform."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jax.extend.core import jaxprs_in_params

import jaxnn as nn
from jaxnn.training.planning.programs import traced

spec = jax.ShapeDtypeStruct


def names(jaxpr):
    found = []
    for eqn in jaxpr.eqns:
        found.append(eqn.primitive.name)
        for inner in jaxprs_in_params(eqn.params):
            found += names(inner)
    return found


def test_the_form_of_a_platform_stands_alone_also_inside_of_loops():
    def form(x):
        return jax.lax.platform_dependent(x, cpu=jnp.sin, tpu=jnp.tan, default=jnp.exp)

    def step(x):
        return jax.lax.scan(lambda carry, _: (form(form(carry)), None), x, None, length=3)[0]

    for platform, title in {"cpu": "sin", "tpu": "tan", "cuda": "exp"}.items():
        found = names(traced(step, platform, 1.0))
        assert found.count(title) == 2
        assert not {"cond", "platform_index"} & set(found)


def test_it_computes_what_the_step_computes():
    net, x = nn.gpt2(16, 8, 2, 2, length=8), jnp.arange(16).reshape(2, 8)
    params, _ = net.init(jax.random.key(0), x)
    gradient = jax.grad(lambda p: jnp.square(net(p, x)).mean())
    jaxpr = traced(gradient, "cpu", params)
    closed = jax.make_jaxpr(gradient)(params)
    assert len(jaxpr.constvars) == len(closed.consts)
    again = jax.jit(lambda leaves: eval_jaxpr(jaxpr, closed.consts, *leaves))
    values = again(jax.tree.leaves(params))
    for one, other in zip(values, jax.tree.leaves(jax.jit(gradient)(params)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_what_only_another_platform_keeps_for_its_gradient_is_left_out():
    net, x = nn.gpt2(16, 8, 2, 2, length=8), spec((2, 8), jnp.int32)
    params, _ = jax.eval_shape(net.init, jax.random.key(0), x)

    def stacked(platform):
        jaxpr = traced(jax.grad(lambda p, x: net(p, x).sum()), platform, params, x)
        scan = next(eqn for eqn in jaxpr.eqns if eqn.primitive.name == "scan")
        return {var.aval.shape[1:] for var in scan.outvars[scan.params["num_carry"] :]}

    weights = (1, 2, 2, 8, 8)  # of attention, which the CPU computes once more
    assert weights not in stacked("cpu")
    assert weights in stacked("tpu")
