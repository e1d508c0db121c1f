from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxnn as nn

X = jax.random.normal(jax.random.key(1), (8, 6))
NET = nn.mixture.modular(
    nn.mlp(4, 2), 3, nn.mixture.join_features, parts=nn.mixture.feature_parts(3)
)


def mesh(devices=8):
    return jax.make_mesh((devices,), ("modules",), axis_types=(AxisType.Auto,))


@pytest.fixture(scope="module")
def params():
    return NET.init(jax.random.key(0), X)[0]


# Values


def test_each_module_sees_its_own_part(params):
    one = nn.mlp(4, 2)
    parts = np.split(np.asarray(X), 3, axis=1)
    said = [
        one(nn.mixture.take_module(params["modules"], i), jnp.asarray(parts[i])) for i in range(3)
    ]
    assert np.allclose(NET(params, X), np.concatenate(said, axis=1), atol=1e-6)


def test_modules_without_parts_see_all_and_are_averaged():
    net = nn.mixture.modular(nn.dense(2), 3)
    params, _ = net.init(jax.random.key(0), X)
    w, b = (np.asarray(params["modules"][name]) for name in "wb")
    wanted = np.mean([X @ w[i] + b[i] for i in range(3)], axis=0)
    assert np.allclose(net(params, X), wanted, atol=1e-6)
    assert params["combine"] == ()


def test_features_are_cut_and_joined_again():
    assert (nn.mixture.join_features(nn.mixture.feature_parts(3)(X)) == X).all()
    assert nn.mixture.feature_parts(2)(jnp.ones((4, 5, 6))).shape == (2, 4, 5, 3)


def test_each_is_a_loop_over_members_and_keys():
    layer = nn.serial(nn.dense(4), nn.dropout(0.5))
    net, x = nn.mixture.vmap_modules(layer, 2), jnp.stack([X, X])
    params, _ = net.init(jax.random.key(0), x)
    y = net(params, x, key=jax.random.key(2), train=True)
    assert not np.array_equal(y[0] == 0, y[1] == 0)
    for i in range(2):
        member, _ = layer.init(jax.random.fold_in(jax.random.key(0), i), X)
        alone = layer(member, X, key=jax.random.fold_in(jax.random.key(2), i), train=True)
        assert np.allclose(alone, y[i], atol=1e-6)


# One module among the others


def test_a_module_is_swapped_and_the_others_stay(params):
    other = jax.tree.map(jnp.ones_like, nn.mixture.take_module(params["modules"], 0))
    swapped = nn.mixture.swap_module(params["modules"], 1, other)
    for i, wanted in enumerate((params["modules"], swapped, params["modules"])):
        for a, b in zip(
            jax.tree.leaves(nn.mixture.take_module(swapped, i)),
            jax.tree.leaves(nn.mixture.take_module(wanted, i)),
            strict=True,
        ):
            assert np.array_equal(a, b)
    assert all((leaf == 1).all() for leaf in jax.tree.leaves(nn.mixture.take_module(swapped, 1)))


@pytest.mark.parametrize("index", [3, -1, True, 1.0])
def test_a_module_that_is_not_there_is_refused(params, index):
    with pytest.raises((TypeError, ValueError), match=r"no module|index of a module|index must be"):
        nn.mixture.take_module(params["modules"], index)
    with pytest.raises((TypeError, ValueError), match=r"no module|index of a module|index must be"):
        nn.mixture.swap_module(params["modules"], index, {})


def test_a_module_of_another_kind_is_refused(params):
    with pytest.raises(ValueError, match="must be of the same kind as the others"):
        nn.mixture.swap_module(params["modules"], 1, params["modules"])


def trained(optimizer, params) -> Any:
    gradient = jax.grad(lambda params: jnp.square(NET(params, X) - 1).mean())(params)
    state = optimizer.init(params)
    for _ in range(2):
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_frozen_modules_stay_and_the_others_learn(params):
    optimizer = nn.mixture.freeze_modules(optax.adamw(0.1, weight_decay=0.5), 0, 2)
    after = trained(optimizer, params)
    for before, leaf in zip(
        jax.tree.leaves(params["modules"]), jax.tree.leaves(after["modules"]), strict=True
    ):
        assert np.array_equal(before[jnp.array([0, 2])], leaf[jnp.array([0, 2])])
        assert (before[1] != leaf[1]).any()


def test_a_frozen_module_is_not_in_the_norm_of_the_gradient(params):
    clipped = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    moved = jax.tree.map(
        jnp.subtract, trained(nn.mixture.freeze_modules(clipped, 0), params), params
    )
    assert float(optax.tree.norm(moved)) == pytest.approx(2e-3, rel=1e-3)


def test_under_repeat_modules_are_on_the_second_axis():
    updates = {"experts": {"w": jnp.ones((4, 3, 2))}, "b": jnp.ones(2)}
    held = nn.mixture.freeze_modules(optax.identity(), 1, axis=1)
    moved: Any = held.update(updates, held.init(updates), updates)[0]
    assert moved["experts"]["w"].sum((0, 2)).tolist() == [8, 0, 8]
    assert moved["b"].tolist() == [1, 1]


def test_freezing_nothing_or_what_is_not_there_is_refused(params):
    with pytest.raises(ValueError, match="got none"):
        nn.mixture.freeze_modules(optax.sgd(0.1))
    with pytest.raises(ValueError, match="no module 3 among 3"):
        trained(nn.mixture.freeze_modules(optax.sgd(0.1), 3), params)
    with pytest.raises(ValueError, match="none of .* matches"):
        trained(nn.mixture.freeze_modules(optax.sgd(0.1), 0, within=("wrong/*",)), params)


# Over devices


def test_one_module_a_device_gives_the_same_numbers_and_divides_the_work():
    net, optimizer = nn.mixture.modular(nn.mlp(32, 6), 8), optax.adam(0.01)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), X)
    step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer).__wrapped__
    places = nn.mixture.module_shardings(train, mesh(), "modules")
    batch = X, X
    copies = jax.device_put(batch, NamedSharding(mesh(), PartitionSpec()))
    spread = jax.device_put(train, places)
    assert spread.params["modules"][0]["w"].sharding.shard_shape((8, 6, 32)) == (1, 6, 32)
    assert spread.opt_state[0].mu["modules"][0]["w"].sharding.spec == PartitionSpec("modules")
    alone: Any = jax.jit(step).lower(train, batch).compile()
    together: Any = jax.jit(step).lower(spread, copies).compile()
    one, many = alone(train, batch)[0].params, together(spread, copies)[0].params
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        assert np.allclose(a, b, atol=1e-6)
    work = together.cost_analysis()["flops"] / alone.cost_analysis()["flops"]
    assert 0.1 < work < 0.2


def test_shardings_that_cannot_be_are_refused(params):
    with pytest.raises(ValueError, match="no 'model'"):
        nn.mixture.module_shardings(params, mesh(), "model")
    with pytest.raises(ValueError, match="cannot be split evenly over the 8 devices"):
        nn.mixture.module_shardings(params, mesh(), "modules")
    with pytest.raises(ValueError, match="none of .* matches"):
        nn.mixture.module_shardings({"w": X}, mesh(), "modules")


# Bad input


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="ensemble: n must be a whole number of at least 1"):
        nn.mixture.modular(nn.dense(2), 0)
    with pytest.raises(ValueError, match="vmap_modules: n must be a whole number"):
        nn.mixture.vmap_modules(nn.dense(2), 0)
    with pytest.raises(TypeError, match="got a cell: unroll it first"):
        nn.mixture.vmap_modules(nn.gru(2), 2)
    with pytest.raises(ValueError, match="splits the features into 4 equal parts, got float32"):
        nn.mixture.feature_parts(4)(X)


def test_parts_of_another_number_are_refused():
    net = nn.mixture.modular(nn.dense(2), 3, parts=nn.mixture.feature_parts(2))
    with pytest.raises(
        ValueError, match=r"vmap_modules of 3 modules takes \[3, ...\], got float32\[2,8,3\]"
    ):
        net.init(jax.random.key(0), X)
