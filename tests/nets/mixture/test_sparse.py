import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import jaxnn as nn
from jaxnn.nets.mixture import routing

ROWS, FEATURES, WIDTH, N = 24, 8, 16, 4
X = jax.random.normal(jax.random.key(1), (ROWS, FEATURES))
layer = partial(nn.mixture.sparse_mixture, WIDTH, N)


def made(net, x=X):
    """Params with biases, which begin as zeros, and state."""
    params, state = jax.jit(net.init)(jax.random.key(0), x)
    shift = lambda leaf: leaf + 0.3 * jnp.sin(jnp.arange(leaf.size)).reshape(leaf.shape)  # noqa: E731
    return jax.tree.map(shift, params), state


@partial(jax.jit, static_argnames=("net", "train"))
def run(net, params, state, x, train=False):
    return net.apply(params, state, x, train=train)


def expert(params, i, x, gated=False):
    """One expert over one row, in NumPy."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf[i], np.float64), params)
    h = x @ p["up"]["w"] + p["up"]["b"]
    gelu = lambda z: np.asarray(jax.nn.gelu(z))  # noqa: E731
    h = gelu(x @ p["gate"]["w"] + p["gate"]["b"]) * h if gated else gelu(h)
    return h @ p["down"]["w"] + p["down"]["b"]


def reference(params, x, top_k, room=None, gated=False):
    """Row by row: (y, usage [n], dropped, balance, z)."""
    x, router = np.asarray(x, np.float64), np.asarray(params["router"]["w"], np.float64)
    logits = x @ router
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :top_k]
    y, taken, asked, dropped = np.zeros_like(x), np.zeros(N, int), np.zeros(N, int), 0
    for choice in range(top_k):  # first choices come first
        for row in range(len(x)):
            i = order[row, choice]
            g = p[row, i] / (p[row, order[row]].sum() if top_k > 1 else 1)
            asked[i] += 1
            if room is not None and taken[i] == room:
                dropped += 1
                continue
            taken[i] += 1
            y[row] += g * expert(params["experts"], i, x[row], gated)
    usage = asked / asked.sum()
    balance = N * (usage * p.mean(0)).sum()
    return y, usage, dropped / order.size, balance, np.square(np.log(np.exp(logits).sum(1))).mean()


# Values


@pytest.mark.parametrize(("form", "top_k"), [("auto", 1), ("ragged", 2), ("blocks", 4)])
@pytest.mark.first(1)
def test_each_row_goes_to_its_likeliest_experts(form, top_k):
    net = layer(top_k, form=form, gated=True)
    params, state = made(net)
    y, state = run(net, params, state, X)
    wanted, usage, _, balance, z = reference(params, X, top_k, gated=True)
    assert np.allclose(y, wanted, atol=1e-4)
    assert np.allclose(state.usage, usage, atol=1e-6)
    assert float(state.balance) == pytest.approx(balance, rel=1e-5)
    assert float(state.z) == pytest.approx(z, rel=1e-5)
    assert float(state.dropped) == 0


@pytest.mark.parametrize(("capacity", "top_k"), [(0.5, 1), (1.0, 2)])
def test_what_finds_no_room_is_dropped_in_training_alone(capacity, top_k):
    net = layer(top_k, capacity=capacity)
    params, state = made(net)
    room = math.ceil(capacity * ROWS * top_k / N)
    y, after = run(net, params, state, X, train=True)
    wanted, usage, dropped, *_ = reference(params, X, top_k, room)
    assert dropped > 0
    assert np.allclose(y, wanted, atol=1e-4)
    assert np.allclose(after.usage, usage, atol=1e-6)
    assert float(after.dropped) == pytest.approx(dropped)
    y, after = run(net, params, state, X)
    assert np.allclose(y, reference(params, X, top_k)[0], atol=1e-4)
    assert float(after.dropped) == 0


def test_all_forms_have_the_same_gradient():
    forms = [layer(form="ragged"), layer(form="blocks"), layer(capacity=N / 2), layer()]
    params, state = made(forms[0])

    def gradient(net):
        def value(params, x):
            return jnp.sin(net.apply(params, state, x, train=True)[0]).sum()

        return jax.jit(jax.grad(value, (0, 1)))(params, X)

    first, *others = map(gradient, forms)
    for other in others:
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True):
            assert np.allclose(a, b, atol=2e-5)


def test_all_experts_together_are_a_soft_mixture():
    net = layer(N)
    params, state = made(net)
    soft = nn.mixture.mixture_of_experts(
        nn.feed_forward(WIDTH), N, gate=partial(nn.dense, bias=False)
    )
    said = soft({"gate": params["router"], "experts": params["experts"]}, X)
    assert np.allclose(run(net, params, state, X)[0], said.output, atol=1e-5)


def test_shared_experts_see_every_row():
    net = layer(1, shared=2)
    params, state = made(net)
    assert params["shared"]["up"]["w"].shape == (FEATURES, 2 * WIDTH)
    y, _ = run(net, params, state, X)
    common = nn.feed_forward(2 * WIDTH)(params["shared"], X)
    assert np.allclose(y - common, reference(params, X, 1)[0], atol=1e-4)


def test_sequences_are_rows():
    net = layer()
    params, state = made(net)
    y, _ = run(net, params, state, X.reshape(4, 6, FEATURES))
    assert np.allclose(y.reshape(X.shape), run(net, params, state, X)[0], atol=1e-6)


def test_first_choices_come_before_second_ones():
    logits = jnp.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [2.0, 0.0, 1.0]])
    choice = routing.top_k_route(logits, 2)
    assert choice.experts.tolist() == [[0, 1], [1, 0], [0, 2]]
    assert choice.ranks.tolist() == [[0, 1], [0, 2], [1, 0]]
    assert choice.counts.tolist() == [3, 2, 1]
    assert np.allclose(choice.weights.sum(1), 1)


# Losses


def test_routed_adds_its_losses_in_training_alone():
    net = nn.serial(nn.repeat(nn.residual(layer()), 2), nn.dense(1))
    params, state = net.init(jax.random.key(0), X)
    plain = nn.training.supervised(net, nn.mse)
    batch = X, X[:, :1]
    loss = nn.mixture.routed(plain, balance=0.5, z=0.25)
    base, (after, _) = plain(params, state, batch, train=True)
    value, (_, metrics) = loss(params, state, batch, train=True)
    (found,) = nn.mixture.routings(after)
    assert found.usage.shape == (2, N)
    added = 0.5 * found.balance.sum() + 0.25 * found.z.sum()
    assert float(value) == pytest.approx(float(base + added), rel=1e-6)
    assert float(metrics["balance"]) == pytest.approx(float(found.balance.mean()))
    assert float(metrics["usage_least"]) == pytest.approx(float(N * found.usage.min()))
    assert float(metrics["usage_most"]) == pytest.approx(float(N * found.usage.max()))
    assert float(loss(params, state, batch)[0]) == pytest.approx(
        float(plain(params, state, batch)[0])
    )


def test_the_balance_loss_brings_experts_into_use():
    net = nn.residual(layer(1))
    batch = X, jnp.sin(3 * X)

    def learned(balance):
        optimizer = optax.adam(1e-2)
        step = nn.training.step(
            nn.mixture.routed(nn.training.supervised(net, nn.mse), balance=balance), optimizer
        )
        train = nn.training.init_train(net, optimizer, jax.random.key(0), X)
        w = train.params["body"]["router"]["w"]
        train.params["body"]["router"]["w"] = w.at[:, 0].add(0.7 * jnp.sign(X.mean(0)))
        return nn.training.fit(step, train, batch, steps=60, batch_size=ROWS, every=20).history

    with_it, without = learned(1.0), learned(0.0)
    assert with_it[-1]["balance"] < min(1.1, without[-1]["balance"])
    assert with_it[-1]["usage_least"] > 0.5


# Over devices


def mesh(devices=8):
    return jax.make_mesh((devices,), ("experts",), axis_types=(AxisType.Auto,))


@pytest.mark.parametrize("train", [False, True])
def test_all_to_all_over_four_devices_equals_one(train):
    options: dict[str, Any] = {"capacity": N / 2, "shared": 1}
    one = layer(2, **options)
    many = nn.mixture.expert_parallel(layer(2, axis_name="experts", **options), mesh(4), "experts")
    params, state = made(one)

    def outcome(net):
        def value(params, x):
            y, after = net.apply(params, state, x, train=train)
            return jnp.sin(y).sum() + after.balance + after.z, (y, after)

        return jax.jit(jax.grad(value, (0, 1), has_aux=True))(params, X)

    for a, b in zip(jax.tree.leaves(outcome(one)), jax.tree.leaves(outcome(many)), strict=True):
        assert np.allclose(a, b, atol=2e-5)
    there = jax.device_put(params, nn.mixture.module_shardings(params, mesh(4), "experts"))
    text = jax.jit(partial(many.apply, train=train)).lower(there, state, X).compile().as_text()
    assert "all-to-all" in str(text)


def test_every_device_drops_by_its_own_room():
    many = nn.mixture.expert_parallel(
        layer(1, capacity=0.5, axis_name="experts"), mesh(4), "experts"
    )
    params, state = made(layer(1))
    y, after = jax.jit(partial(many.apply, train=True))(params, state, X)
    parts = [reference(params, rows, 1, room=1) for rows in np.split(np.asarray(X), 4)]
    assert np.allclose(y, np.concatenate([part[0] for part in parts]), atol=1e-4)
    assert float(after.dropped) == pytest.approx(np.mean([part[2] for part in parts]))


def test_the_first_state_can_be_donated():
    leaves = jax.tree.leaves(layer().init(jax.random.key(0), X)[1])
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def test_what_does_not_divide_by_the_devices_is_refused():
    many = nn.mixture.expert_parallel(layer(1, axis_name="experts"), mesh(8), "experts")
    params, state = made(layer(1))
    with pytest.raises(ValueError, match="8 devices of 'experts' splits the rows"):
        many.apply(params, state, X)
    with pytest.raises(ValueError, match="no 'model'"):
        nn.mixture.expert_parallel(layer(1), mesh(8), "model")


# Bad input


@pytest.mark.parametrize("form", ["ragged", "blocks", "capacity"])
@pytest.mark.first(1)
def test_an_expert_nobody_uses_is_reported_and_does_no_harm(form):
    net = layer(2, capacity=1.0) if form == "capacity" else layer(2, form=form)
    params, state = made(net)
    x = jnp.abs(X)
    params["router"]["w"] = params["router"]["w"].at[:, 3].set(-100.0)
    loss = nn.mixture.routed(nn.training.supervised(net, nn.mse))
    (_, (after, metrics)), gradient = jax.value_and_grad(partial(loss, train=True), has_aux=True)(
        params, state, (x, x)
    )
    assert float(after.usage[3]) == float(metrics["usage_least"]) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert all((leaf[3] == 0).all() for leaf in jax.tree.leaves(gradient["experts"]))


def test_no_rows_at_all_give_none_and_no_nan():
    for net in (layer(capacity=1.0), layer(form="blocks"), layer(form="ragged")):
        params, state = made(net)
        y, after = net.apply(params, state, X[:0], train=True)
        assert y.shape == (0, FEATURES)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after))


@pytest.mark.parametrize("capacity", [0, -1.0, float("inf"), float("nan")])
def test_a_capacity_that_is_not_positive_is_refused(capacity):
    with pytest.raises(ValueError, match="capacity is a positive multiple of an equal share"):
        layer(capacity=capacity)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="cannot go to top_k = 5 of 4 experts"):
        layer(5)
    with pytest.raises(ValueError, match="top_k must be a whole number of at least 1"):
        layer(0)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
        nn.mixture.sparse_mixture(WIDTH, 0)
    with pytest.raises(ValueError, match="shared must be a whole number of at least 0"):
        layer(shared=-1)
    with pytest.raises(ValueError, match="form is one of"):
        layer(form="dense")
    with pytest.raises(ValueError, match="balance must be finite, 0 or more"):
        nn.mixture.routed(nn.mse, balance=-1.0)


def test_what_does_not_fit_is_refused():
    net = layer()
    params, state = made(net)
    with pytest.raises(ValueError, match="sparse_mixture keeps state and got none"):
        net(params, X)
    with pytest.raises(ValueError, match="params of another net"):
        net.apply({"w": X}, state, X)
    with pytest.raises(TypeError, match="takes floating features"):
        net.init(jax.random.key(0), jnp.ones((4, 8), jnp.int32))
    dense = nn.dense(1)
    held, _ = dense.init(jax.random.key(0), X)
    loss = nn.mixture.routed(nn.training.supervised(dense, nn.mse))
    with pytest.raises(ValueError, match="nets with a sparse_mixture"):
        loss(held, (), (X, X[:, :1]))
