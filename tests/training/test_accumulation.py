# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""The gradient of a batch in parts is that of the whole, wherever that can be."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxnn as nn
from tests.small import noise

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 4)).astype(np.float32)
Y = np.sin(X[:, :1])
SGD = optax.sgd(0.1)


def one_step(loss, net, batch, optimizer=SGD, **options):
    """The `TrainState` and metrics after a step from the start of seed 0."""
    train = nn.training.init_train(net, optimizer, jax.random.key(0), batch[0])
    return nn.training.step(loss, optimizer, **options)(train, batch)


def close(one, other, rtol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), one, other)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD,
        pytest.param(optax.adam(0.1), marks=pytest.mark.long),
        pytest.param(optax.lbfgs(), marks=pytest.mark.long),
    ],
    ids=["sgd", "adam", "lbfgs"],
)
def test_parts_take_the_step_of_the_whole_batch(optimizer):
    net = nn.mlp(5, 1)
    error = {"error": lambda prediction, target: jnp.abs(prediction - target).mean(axis=-1)}
    loss = nn.training.supervised(net, nn.mse, error)
    with jax.enable_x64(True):
        batch = X.astype(np.float64), Y.astype(np.float64)
        whole = one_step(loss, net, batch, optimizer)
        parts = one_step(loss, net, batch, optimizer, accumulate=4)
        assert set(parts[1]) == {"loss", "error"}
        close(parts[0].params, whole[0].params, 1e-10)
        close(parts[1], whole[1], 1e-12)


LABELS = np.array([0, -1, -1, -1, 1, 2, 0, 1, -1, -1, 2, 0, 1, 2, 2, -1])


def valid(batch):
    return (batch[1] != -1).sum()


def test_means_over_unequal_counts_are_weighted_by_them():
    net = nn.dense(3)
    measure = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels, -1)
    loss = nn.training.supervised(net, measure)
    with jax.enable_x64(True):
        batch = X.astype(np.float64), LABELS
        whole, of_whole = one_step(loss, net, batch)
        parts, of_parts = one_step(loss, net, batch, accumulate=4, weight=valid)
        close((parts.params, of_parts), (whole.params, of_whole), 1e-12)
        _, unweighted = one_step(loss, net, batch, accumulate=4)
        # Row i is in part i % 4, whose means count the same without a weight.
        params = nn.training.init_train(net, SGD, jax.random.key(0), batch[0]).params
        means = [float(measure(net(params, batch[0][i::4]), LABELS[i::4])) for i in range(4)]
    assert len({int(valid((X, LABELS[i::4]))) for i in range(4)}) > 1
    assert np.isclose(unweighted["loss"], np.mean(means))
    assert not np.isclose(unweighted["loss"], of_whole["loss"], rtol=1e-3)


def test_a_part_without_weight_does_not_spoil_the_others():
    def measure(prediction, target):  # the mean over none is NaN
        return jnp.mean(jnp.square(prediction - target), where=~jnp.isnan(target))

    def weight(batch):
        return (~jnp.isnan(batch[1])).sum()

    target = Y.copy()
    target[1::4] = np.nan
    net = nn.dense(1)
    loss = nn.training.supervised(net, lambda p, t: measure(p, jnp.where(jnp.isnan(t), jnp.nan, t)))
    filled = np.delete(np.arange(16), np.s_[1::4])
    _, metrics = one_step(loss, net, (X, target), accumulate=4, weight=weight)
    _, right = one_step(nn.training.supervised(net, nn.mse), net, (X[filled], Y[filled]))
    assert np.isclose(metrics["loss"], right["loss"])


def test_where_no_part_has_weight_nothing_is_learned():
    net = nn.dense(3)
    measure = nn.ignore_label(optax.softmax_cross_entropy_with_integer_labels, -1)
    train = nn.training.init_train(net, SGD, jax.random.key(0), X)
    params = jax.tree.map(jnp.copy, train.params)
    loss = nn.training.supervised(net, measure)
    update = nn.training.step(loss, SGD, accumulate=4, weight=valid)
    train, metrics = update(train, (X, np.full(16, -1)))
    assert metrics["loss"] == 0
    jax.tree.map(np.testing.assert_array_equal, train.params, params)


def test_batch_norm_takes_its_statistics_from_each_part_in_turn():
    net = nn.serial(nn.dense(3), nn.batch_norm(), nn.dense(1))
    loss = nn.training.supervised(net, nn.mse)
    train = nn.training.init_train(net, SGD, jax.random.key(0), X)
    state, gradients = train.state, []
    for i in range(2):
        batch = X[i::2], Y[i::2]

        def value(params, state=state, batch=batch):
            made, (state, _) = loss(params, state, batch, key=jax.random.key(0), train=True)
            return made, state

        gradient, state = jax.grad(value, has_aux=True)(train.params)
        gradients.append(gradient)
    by_hand = jax.tree.map(lambda p, a, b: p - 0.1 * (a + b) / 2, train.params, *gradients)
    parts, _ = one_step(loss, net, (X, Y), accumulate=2)
    close((parts.params, parts.state), (by_hand, state), 1e-5)
    whole, _ = one_step(loss, net, (X, Y))
    assert not np.allclose(parts.params[0]["w"], whole.params[0]["w"], rtol=1e-3)


def test_multi_steps_over_batches_in_parts_take_the_step_of_the_whole():
    net = nn.mlp(5, 1)
    loss = nn.training.supervised(net, nn.mse)
    optimizer = optax.MultiSteps(optax.adam(0.1), 4)
    with jax.enable_x64(True):
        x, y = X.astype(np.float64), Y.astype(np.float64)
        whole, _ = one_step(loss, net, (x, y), optax.adam(0.1))
        train = nn.training.init_train(net, optimizer, jax.random.key(0), x)
        update = nn.training.step(loss, optimizer)
        for i in range(4):
            train, _ = update(train, (x[i::4], y[i::4]))
        close(train.params, whole.params, 1e-10)


def test_noise_is_drawn_for_each_part():
    seen = []

    def loss(params, state, batch, *, key, train):
        y, _ = noise().apply((), (), jnp.zeros(()), key=key, train=train)
        jax.debug.callback(lambda value: seen.append(float(value)), y)
        return (params["w"] ** 2).sum(), (state, {})

    one_step(loss, nn.dense(1), (X, Y), accumulate=4)
    jax.effects_barrier()
    assert len(seen) == len(set(seen)) == 4


def test_parts_take_the_memory_of_one():
    net, x = nn.serial(nn.dense(512), jax.nn.tanh, nn.dense(512), jax.nn.tanh, nn.dense(1)), X
    x = np.tile(X, (64, 1))
    loss = nn.training.supervised(net, nn.mse)
    train = nn.training.init_train(net, SGD, jax.random.key(0), x)

    def memory(**options):
        lowered = nn.training.step(loss, SGD, **options).lower(train, (x, x[:, :1]))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert memory(accumulate=8) < memory() / 2


def test_a_batch_sharded_by_rows_stays_where_it_is():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    net = nn.mlp(5, 1)
    loss = nn.training.supervised(net, nn.mse)
    rows = NamedSharding(mesh, PartitionSpec("data"))
    train = nn.training.init_train(net, SGD, jax.random.key(0), X)
    train = jax.device_put(train, NamedSharding(mesh, PartitionSpec()))
    update = nn.training.step(loss, SGD, accumulate=2)
    batch = jax.device_put((X, Y), rows)
    program = update.lower(train, batch).compile().as_text()
    for moved in ("all-gather", "all-to-all", "collective-permute"):
        assert moved not in program
    assert "all-reduce" in program
    close(update(train, batch)[0].params, one_step(loss, net, (X, Y))[0].params, 1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 5}, r"equal parts, got 16 rows, float32\[16,4\]: give 15 or 20"),
        ({"accumulate": 32}, r"got 16 rows.*give 32\."),
        ({"accumulate": 0}, "step: accumulate must be a whole number of at least 1"),
        (
            {"accumulate": 4, "weight": lambda batch: batch[0][:, 0]},
            r"weight returns one number for a part of a batch, got float32\[4\]",
        ),
    ],
)
def test_what_cannot_be_split_is_refused(options, message):
    net = nn.dense(1)
    with pytest.raises(ValueError, match=message):
        one_step(nn.training.supervised(net, nn.mse), net, (X, Y), **options)


def test_parts_averages_and_scales_are_those_of_one_device_on_eight():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    net, sharding = nn.mlp(64, 1), nn.training.fully_sharded(mesh, smallest=1)
    loss = nn.training.supervised(net, nn.mse)
    optimizer = nn.training.loss_scaled(nn.training.averaged(SGD, 0.5))
    ends = []
    for laid in (None, sharding):
        train = nn.training.init_train(net, optimizer, jax.random.key(0), X, laid)
        update = nn.training.step(
            loss, optimizer, laid, accumulate=2, watch=["gradient_norm", "param_norm"]
        )
        ends.append(
            nn.training.fit(
                update, train, (X, Y), steps=5, batch_size=16, sharding=laid,
                evaluate_as=nn.training.average,
            )
        )  # fmt: skip
    one, eight = ends
    close(eight.best.params, one.best.params, 1e-5)
    for name in ("loss", "gradient_norm", "param_norm"):
        assert np.isclose(eight.history[-1][name], one.history[-1][name], rtol=1e-5)
    average = eight.train.opt_state.inner.average[0]["w"]
    assert average.sharding == eight.train.params[0]["w"].sharding
    assert eight.best.params[0]["w"].sharding == average.sharding
    assert not average.sharding.is_fully_replicated
