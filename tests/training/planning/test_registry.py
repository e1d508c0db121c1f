"""Every entry of the registry trains on a TPU and a GPU, as far as their compilers can tell."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnn as nn
from jaxnn import core
from jaxnn.training.planning.compilers import available
from tests.registry import ENTRIES

MISSING = {"v5e:2x2": available()["tpu"], "h100": available()["cuda"]}
OPTIMIZER = optax.adam(1e-3)


def problem(name):
    """A step that lowers the squares of all outputs, as shapes alone."""
    entry = ENTRIES[name]
    net, key = entry.make(), jax.random.key(0)
    x = jax.eval_shape(lambda key: entry.input(key, jnp.float32), key)
    # Shapes of what `lengths` and `graphs` count are the same for every batch.

    def loss(params, state, x, *, key, train):
        carry = core.initial_carry(net, params, x)
        y, _, state = core.apply_either(net, params, state, carry, x, key=key, train=train)
        total = sum(jnp.mean(leaf**2) for leaf in jax.tree.leaves(y) if core.floating(leaf))
        return jnp.asarray(total, jnp.float32), (state, {})

    train = jax.eval_shape(lambda: nn.training.init_train(net, OPTIMIZER, key, x))
    return nn.training.step(loss, OPTIMIZER), train, x


@pytest.mark.long
@pytest.mark.parametrize("target", MISSING)
@pytest.mark.parametrize("name", ENTRIES)
def test_a_train_step_compiles(name, target):
    if MISSING[target] is not None:
        pytest.skip(f"needs {MISSING[target]}")
    step, train, batch = problem(name)
    plan = nn.training.compile_for(target, step, train, batch)
    assert plan.peak > 0
    assert plan.lost_loops == 0 or plan.collectives
