import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.sequences.chunks import chunkwise, recurrent
from jaxnn.sequences.masks import length_mask
from jaxnn.sequences.unroll import unroll
from tests.sequences.test_unroll import LENGTHS, X, each


def leaky():
    """h <- 0.5 h + x, y = 2 h."""

    def step(params, h, x):
        h = 0.5 * h + x
        return h, 2 * h

    return recurrent(lambda key, x: ((), ()), lambda params, x: jnp.zeros_like(x[:, 0]), step)


def test_recurrent_is_a_loop_over_steps():
    net = unroll(leaky(), return_carry=True)
    y, carry = net((), X)
    h = np.zeros((4, 8))
    for t in range(6):
        h = 0.5 * h + X[:, t]
        np.testing.assert_allclose(y[:, t], 2 * h, rtol=1e-5)
    np.testing.assert_allclose(carry, h, rtol=1e-5)


def test_inputs_outputs_and_memory_are_any_pytrees():
    def step(params, memory, x):
        memory = {"sum": memory["sum"] + x["a"], "most": jnp.maximum(memory["most"], x["b"])}
        return memory, (memory["sum"], memory["most"])

    def carry(params, x):
        return {"sum": jnp.zeros_like(x["a"][:, 0]), "most": jnp.zeros_like(x["b"][:, 0])}

    net = unroll(recurrent(lambda key, x: ((), ()), carry, step))
    x = {"a": X, "b": jnp.arange(24).reshape(4, 6)}
    total, most = net((), x)
    np.testing.assert_allclose(total, jnp.cumsum(X, axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(most, x["b"])
    total, most = net((), (x, LENGTHS))
    np.testing.assert_array_equal(most, jnp.where(length_mask(LENGTHS, 6), x["b"], 0))


@each("elman", "lstm", "gru", "gru with reset before", "mgu", "min_gru", "lru", "conv_lstm")
def test_hoisted_and_inline_agree_in_values_and_gradients(make, key, monkeypatch):
    net = unroll(make())
    params, _ = net.init(key, X)

    def run():
        def total(params):
            y = net(params, X)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.grad(total, has_aux=True))(params)

    chosen = []

    def elsewhere(*args, cpu, default):
        chosen.append(default)
        return default(*args)

    here = run()
    monkeypatch.setattr(jax.lax, "platform_dependent", elsewhere)
    chex.assert_trees_all_close(here, run(), rtol=1e-4, atol=1e-5)
    assert chosen


def test_chunkwise_blanks_what_is_masked():
    seen = []

    def run(params, memory, x, mask):
        seen.append((x, mask))
        return memory, x + 1

    cell = chunkwise(lambda key, x: ((), ()), lambda params, x: (), run)
    mask = length_mask(LENGTHS, 6)
    (_, (y, passed)), _ = cell.apply((), (), ((), (X, mask)))
    assert not seen[0][0][~mask].any()
    assert not y[~mask].any()
    np.testing.assert_allclose(y[mask], X[mask] + 1)
    assert seen[0][1] is passed is mask
