import time

import chex
import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn
from tests.small import counter, decay, noise

X = jnp.ones((8, 4))


def test_serial_is_composition(key):
    net = nn.serial(nn.dense(3), jnp.tanh, nn.dense(2))
    params, _ = net.init(key, X)
    first, last = params[0], params[2]
    y = jnp.tanh(X @ first["w"] + first["b"]) @ last["w"] + last["b"]
    chex.assert_trees_all_close(net(params, X), y, rtol=1e-6)


def test_serial_by_name_has_a_dict_of_params_in_the_given_order(key):
    net = nn.serial(encoder=nn.dense(3), head=nn.dense(2))
    params, _ = net.init(key, X)
    assert list(params) == ["encoder", "head"]
    assert net(params, X).shape == (8, 2)


def test_children_have_the_branches_of_the_key(key):
    params, _ = nn.serial(nn.dense(3), nn.dense(2)).init(key, X)
    alone, _ = nn.dense(3).init(jax.random.fold_in(key, 0), X)
    chex.assert_trees_all_equal(params[0], alone)


@pytest.mark.parametrize("make", [nn.serial, nn.parallel, lambda: nn.wire(lambda f, x: x)])
def test_nothing_is_no_net(make):
    with pytest.raises(ValueError, match=r"takes layers.*got none"):
        make()


def test_both_forms_at_once_are_refused():
    with pytest.raises(ValueError, match="got both"):
        nn.serial(jnp.tanh, head=jnp.tanh)


def test_no_state_collapses_and_state_keeps_its_place(key):
    assert nn.serial(nn.dense(2), nn.serial(jnp.tanh)).init(key, X)[1] == ()
    net = nn.serial(nn.dense(2), counter(), a_name := jnp.tanh)
    params, state = net.init(key, X)
    assert state == ((), 0, ())
    _, state = net.apply(params, state, X)
    assert state == ((), 1, ())
    assert a_name is jnp.tanh


def test_parallel_gives_every_branch_the_same_input(key):
    net = nn.parallel(nn.dense(3), lambda x: x)
    params, _ = net.init(key, X)
    y = net(params, X)
    assert y[0].shape == (8, 3)
    assert (y[1] == X).all()
    assert set(nn.parallel(a=jnp.sin, b=jnp.cos)({"a": (), "b": ()}, X)) == {"a", "b"}


def test_merges_refuse_to_broadcast():
    assert (nn.add((X, X)) == 2).all()
    assert nn.concatenate({"a": X, "b": X}).shape == (8, 8)
    with pytest.raises(ValueError, match="add takes branches of one shape"):
        nn.add((X, X[:, :1]))
    with pytest.raises(ValueError, match="concatenate takes branches of one batch"):
        nn.concatenate((X, X[:1]))


def test_residual_adds_its_input_and_refuses_to_broadcast(key):
    net = nn.residual(jnp.sin)
    chex.assert_trees_all_close(net({"body": ()}, X), X + jnp.sin(X))
    with pytest.raises(ValueError, match="add takes branches of one shape"):
        nn.residual(nn.dense(1)).init(key, X)


def test_wire_ties_a_child_called_twice(key):
    net = nn.wire(lambda f, x: f.a(f.a(x)), a=nn.dense(4, bias=False))
    params, _ = net.init(key, X)
    w = params["a"]["w"]
    assert list(params) == ["a"]
    chex.assert_trees_all_close(net(params, X), X @ w @ w, rtol=1e-6)


def test_a_child_called_twice_draws_twice_and_counts_twice(key):
    net = nn.wire(lambda f, x: f.draw(x) - f.draw(x), draw=noise())
    assert jnp.abs(net({"draw": ()}, X, key=key, train=True)).min() > 0
    net = nn.wire(lambda f, x: f.count(f.count(x)), count=counter())
    _, state = net.init(key, X)
    assert net.apply({"count": ()}, state, X)[1] == {"count": 2}


def test_a_child_never_called_is_an_error(key):
    net = nn.wire(lambda f, x: f.a(x), a=nn.dense(2), b=nn.dense(2))
    with pytest.raises(ValueError, match=r"wire\.b is never called"):
        net.init(key, X)


@pytest.mark.parametrize("make", [counter, decay])
def test_a_child_that_remembers_may_not_run_inside_a_scan(key, make):
    net = nn.wire(
        lambda f, x: jax.lax.scan(lambda x, _: (f.a(x), None), x, None, length=3)[0], a=make()
    )
    with pytest.raises(ValueError, match=r"inside a scan, cond or vmap.*nn\.repeat"):
        net.init(key, jnp.ones((8, 2, 4)))
    with pytest.raises(ValueError, match="inside a scan, cond or vmap"):
        nn.serial(net).init(key, jnp.ones((8, 2, 4)))


def test_a_child_without_memory_may_run_inside_a_scan(key):
    net = nn.wire(
        lambda f, x: jax.lax.scan(lambda x, _: (f.a(x), None), x, None, length=3)[0],
        a=nn.dense(4, bias=False),
    )
    params, _ = net.init(key, X)
    w = params["a"]["w"]
    chex.assert_trees_all_close(net(params, X), X @ w @ w @ w, rtol=1e-5)
    again, _ = jax.jit(net.init)(key, X)  # under a trace, params must not leak out of the scan
    chex.assert_trees_all_close(params, again, rtol=1e-6)


def test_a_cell_called_twice_is_refused(key):
    net = nn.wire(lambda f, x: f.a(f.a(x)), a=decay())
    x = jnp.ones((8, 3, 4))
    params, state = net.init(key, x)
    with pytest.raises(ValueError, match="a cell has one memory"):
        net.apply(params, state, (net.carry(params, x), x))


def test_a_flow_with_a_cell_is_a_cell_and_layers_carry_nothing(key):
    net = nn.serial(nn.dense(4), decay())
    assert isinstance(net, nn.Cell)
    x = jnp.ones((8, 3, 4))
    params, _ = net.init(key, x)
    carry = net.carry(params, x)
    assert carry[0] == ()
    assert carry[1].shape == (8, 4)


def test_carry_has_the_dtype_of_the_activations(key):
    net = nn.serial(lambda tokens: jax.nn.one_hot(tokens, 4, dtype=jnp.bfloat16), decay())
    tokens = jnp.zeros((8, 3), jnp.int32)
    params, _ = net.init(key, tokens)
    assert net.carry(params, tokens)[1].dtype == jnp.bfloat16


def test_errors_name_the_place_and_the_input(key):
    net = nn.serial(nn.dense(3), nn.serial(head=nn.dense(2)))
    params, _ = net.init(key, X)
    with pytest.raises(ValueError, match=r"dense has params for 4 features") as caught:
        net(params, jnp.ones((8, 5)))
    assert "in serial[0] (dense), input float32[8,5]" in caught.value.__notes__
    broken = (params[0], {"head": params[0]})
    with pytest.raises(ValueError, match="dense has params") as caught:
        net(broken, X)
    notes = [note for note in caught.value.__notes__ if note.startswith("in ")]
    assert notes[0].startswith("in serial.head (dense)")
    assert notes[1].startswith("in serial[1] (serial)")


def test_a_misspelt_child_names_those_there_are(key):
    with pytest.raises(AttributeError, match="mpl"):
        nn.wire(lambda f, x: f.mpl(x), mlp=nn.dense(2)).init(key, X)


def test_params_of_another_net_are_refused(key):
    net = nn.serial(nn.dense(2), jnp.tanh)
    params, _ = nn.serial(nn.dense(2)).init(key, X)
    with pytest.raises(ValueError, match="params of another net"):
        net(params, X)
    with pytest.raises(ValueError, match="params of another net"):
        net({"a": (), "b": ()}, X)


def test_nested_wires_are_traced_in_time_that_does_not_explode(key):
    calls = []

    def leaf(x):
        calls.append(1)
        return x

    net = nn.serial(leaf)
    for _ in range(8):
        net = nn.serial(nn.wire(lambda f, x: f.a(x), a=net))
    begin = time.perf_counter()
    net.init(key, X)
    assert len(calls) < 200  # 2^16 if every level ran its own
    assert time.perf_counter() - begin < 30
