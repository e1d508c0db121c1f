"""The laws, run over every entry of the registry: 1 to 9 and 12."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn
from jaxnn import core
from tests.laws import (
    FAMILIES,
    KEY,
    advance,
    begin,
    forward,
    is_cell,
    is_layer,
    law,
    made,
    modes,
    rounding,
    run,
    slopes,
    traces,
)
from tests.registry import ENTRIES


@law(1)
def test_init_depends_on_shapes_alone(name):
    net, params, state, x = made(name)
    array, spec = (
        str(jax.make_jaxpr(lambda key, x=x: net.init(key, x))(KEY)) for x in (x, core.spec(x))
    )
    if array != spec:  # else the program is the same
        from_spec = jax.jit(lambda key: net.init(key, core.spec(x)))(KEY)
        chex.assert_trees_all_close((params, state), from_spec, rtol=1e-6, atol=1e-7)
    other = jax.tree.map(lambda leaf: leaf[::-1], x)
    chex.assert_trees_all_equal((params, state), begin(net, KEY, other))


@law(2)
@pytest.mark.parametrize("train", [False, True])
def test_state_keeps_its_shapes(name, train):
    _, _, state, _ = made(name)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, traces(name, train)[1][1])


@law(3, long=True)
def test_jit_equals_eager(name):
    net, params, state, x = made(name)
    train = modes(name)[-1]
    eager = forward(net, params, state, x, KEY, train)
    jitted = run(name, params, state, x, train=train)
    chex.assert_trees_all_close(eager, jitted, rtol=1e-5, atol=1e-6)


@law(3, is_layer)
def test_transforms_accept_the_net_itself(name):
    net, params, state, x = made(name)
    y, _ = run(name, params, state, x)
    if core.is_stateless(state):
        call = net
        assert jax.eval_shape(jax.jit(net), params, x) == core.spec(y)
    else:
        call = lambda params, x: net.apply(params, state, x)[0]  # noqa: E731
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), x)
    mapped = jax.jit(jax.vmap(jax.checkpoint(call), in_axes=(None, 0)))(params, twice)
    chex.assert_trees_all_close(mapped, jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), y),
                                rtol=1e-5, atol=1e-6)  # fmt: skip

    def total(params):
        return sum(leaf.sum() for leaf in jax.tree.leaves(call(params, x)))

    # What the gradient is, law 6 says.
    assert jax.eval_shape(jax.grad(total), params) == core.spec(params)


@law(4)
def test_evaluation_ignores_the_key(name):
    net, params, state, x = made(name)
    first = run(name, params, state, x)
    chex.assert_trees_all_equal(first, run(name, params, state, x))
    chex.assert_trees_all_equal(first, run(name, params, state, x, jax.random.key(7)))
    assert jax.eval_shape(lambda: forward(net, params, state, x)) == core.spec(first)


@law(5)
def test_rows_do_not_see_each_other(name):
    _, params, state, x = made(name)
    axis = ENTRIES[name].rows
    first = jax.tree.map(lambda leaf: leaf.at[0].set(leaf[1]), x)
    y, _ = jax.device_get(run(name, params, state, x))
    z, _ = jax.device_get(run(name, params, state, first))

    def rows(tree, start, stop):
        return jax.tree.map(lambda leaf: np.moveaxis(leaf, axis, 0)[start:stop], tree)

    chex.assert_trees_all_close(rows(y, 1, None), rows(z, 1, None), rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(rows(z, 0, 1), rows(y, 1, 2), rtol=1e-5, atol=1e-6)


@law(6, long=True)
@pytest.mark.parametrize("train", [False, True])
def test_gradients_are_those_of_finite_differences(name, train):
    if train not in modes(name) or (modes(name)[-1] != train and name not in FAMILIES):
        return  # the same program; or evaluation, of a net whose layers have it themselves
    with jax.enable_x64(True):
        gradient, along, numeric, _ = slopes(name, train)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient[0]):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), f"no gradient reaches {jax.tree_util.keystr(path)}"
    dots = jax.tree.map(np.vdot, gradient, along)
    np.testing.assert_allclose(sum(jax.tree.leaves(dots)), numeric, rtol=1e-5, atol=1e-7)


@law(7, long=True)
def test_ensemble_is_a_loop_over_members(name):
    net, _, _, x = made(name)
    params, state, y, after = gathered(net, KEY, x)
    for i in range(2):
        member = begin(net, jax.random.fold_in(KEY, i), x)
        held = jax.tree.map(lambda leaf, i=i: leaf[i], (params, state))
        chex.assert_trees_all_close(member, held, rtol=1e-5, atol=1e-6)
        alone = run(name, member[0], member[1], x, jax.random.fold_in(KEY, i), True)
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], (y, after))
        chex.assert_trees_all_close(alone, mine, **rounding(name))


@law(7, long=True)
def test_repeat_is_its_slices_one_after_the_other(name):
    net, params, state, x = made(name)
    if core.spec(x) != core.spec(run(name, params, state, x)[0]):
        with pytest.raises(ValueError, match="takes a layer whose output equals its input"):
            jax.eval_shape(nn.repeat(net, 2).init, KEY, x)
        return
    params, state, y, after = repeated(net, KEY, x)
    for i in range(2):
        held = jax.tree.map(lambda leaf, i=i: leaf[i], (params, state))
        x, state_i = run(name, held[0], held[1], x, jax.random.fold_in(KEY, i), True)
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], after)
        chex.assert_trees_all_close(state_i, mine, **rounding(name))
    chex.assert_trees_all_close(y, x, **rounding(name))


@functools.partial(jax.jit, static_argnums=0)
def repeated(net, key, x):
    """Params, state, output and state after of a net of two such nets in turn."""
    return whole(nn.repeat(net, 2), key, x)


@functools.partial(jax.jit, static_argnums=0)
def gathered(net, key, x):
    """Params, state, output and state after of a net of two such nets side by side."""
    return whole(nn.ensemble(net, 2), key, x)


def whole(net, key, x):
    """A net from its start through one pass in training."""
    params, state = net.init(key, x)
    return params, state, *forward(net, params, state, x, key, True)


@law(8, is_cell)
@pytest.mark.parametrize("chunks", [[1] * 6, [4, 1, 1]])
def test_any_split_of_a_sequence_gives_the_same(name, chunks):
    net, params, state, x = made(name)
    axis = ENTRIES[name].rows + 1
    whole, _ = advance(net, params, state, net.carry(params, x), x)
    carry, parts, start = net.carry(params, x), [], 0
    for length in chunks:
        chunk = jax.tree.map(lambda leaf, a=start, b=start + length: leaf[:, a:b], x)
        y, carry = advance(net, params, state, carry, chunk)
        parts.append(y)
        start += length
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=axis), *parts)
    tolerance = 1e-5 if 6 not in ENTRIES[name].exempt else 2e-2
    chex.assert_trees_all_close(whole, joined, rtol=tolerance, atol=tolerance)


@law(8, is_cell)
def test_carry_depends_on_shapes_alone_and_keeps_them(name):
    net, params, state, x = made(name)
    carry = net.carry(params, x)
    chex.assert_trees_all_equal(carry, net.carry(params, core.spec(x)))
    chex.assert_trees_all_equal(carry, jax.jit(net.carry)(params, x))
    _, after, _ = jax.eval_shape(lambda: core.apply_either(net, params, state, carry, x))
    chex.assert_trees_all_equal_shapes_and_dtypes(carry, after)


@law(9)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_the_dtype_that_comes_in_goes_out(name, dtype):
    with jax.enable_x64(dtype == jnp.float64):
        entry = ENTRIES[name]
        net, x = entry.make(), entry.input(jax.random.key(1), dtype)

        def pair():
            params, state = net.init(KEY, x)
            return params, forward(net, params, state, x, KEY, True)[0]

        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            params, y = jax.eval_shape(pair)
        wanted = jnp.dtype(dtype if any(map(core.floating, jax.tree.leaves(x))) else jnp.float32)
        assert {leaf.dtype for leaf in jax.tree.leaves(y) if core.floating(leaf)} == {wanted}
        kept = jnp.promote_types(wanted, jnp.float32)
        held = {leaf.dtype for leaf in jax.tree.leaves(params) if core.floating(leaf)}
        assert held <= {kept}


@law(12)
def test_a_train_step_is_traced_once(name):
    net, params, state, x = made(name)
    traces = []

    def loss(params, state, x, *, key, train):
        traces.append(1)
        y, state = forward(net, params, state, x, key, train)
        total = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(y) if core.floating(leaf))
        return total, (state, {})

    optimizer = optax.sgd(1e-3, momentum=0.9)
    step = nn.training.step(loss, optimizer)
    opt_state = jax.eval_shape(optimizer.init, params)
    begun = nn.training.TrainState(params, state, opt_state, jnp.zeros((), jnp.int32), KEY)
    train = core.spec(begun)
    for _ in range(3):
        train, _ = jax.eval_shape(step, train, core.spec(x))
    assert len(traces) == 1
