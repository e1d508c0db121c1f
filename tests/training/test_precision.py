# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""Dynamic loss scaling follows its formula, and a step that it skips changes nothing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = np.sin(X[:, :1])
HALF = nn.with_dtype(nn.mlp(5, 1), jnp.float16)
ADAM = optax.adam(1e-2)


def begin(optimizer, net=HALF, loss=nn.mse, **options):
    loss = nn.training.supervised(net, loss)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), X)
    return nn.training.step(loss, optimizer, **options), train


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, *map(numbers, (one, other)))


def numbers(train):
    return train._replace(key=jax.random.key_data(train.key)) if hasattr(train, "key") else train


def copy(tree):
    return jax.tree.map(jnp.copy, tree)


def test_bfloat16_computes_and_params_gradients_and_moments_are_float32():
    seen = []

    def look(x):
        seen.append(x.dtype)
        return x

    net = nn.with_dtype(nn.serial(nn.dense(5), look, nn.dense(1)), jnp.bfloat16)
    update, train = begin(ADAM, net)
    seen.clear()  # init has the dtype of the example
    before = jax.tree.map(lambda leaf: leaf.dtype, train.params)
    train, _ = update(train, (X, Y))
    assert set(seen) == {jnp.dtype(jnp.bfloat16)}
    assert jax.tree.map(lambda leaf: leaf.dtype, train.params) == before
    for tree in (train.params, train.opt_state[0].mu, train.opt_state[0].nu):
        assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype(jnp.float32)}


def test_a_scale_of_two_changes_no_digit():
    ends = []
    for optimizer in (optax.sgd(0.1), nn.training.loss_scaled(optax.sgd(0.1), initial=2.0**6)):
        update, train = begin(optimizer)
        ends.append(update(train, (X, Y))[0].params)
    for one, other in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_gradients_that_float16_takes_for_zero_are_kept():
    def small(prediction, target):
        return 1e-8 * nn.mse(prediction, target)

    norms = []
    for optimizer in (ADAM, nn.training.loss_scaled(ADAM, initial=2.0**24)):
        update, train = begin(optimizer, loss=small, watch=["gradient_norm"])
        params = copy(train.params)
        norms.append(float(update(train, (X, Y))[1]["gradient_norm"]))
    net = nn.mlp(5, 1)
    right = jax.grad(lambda p: 1e-8 * nn.mse(net(p, X), Y))(params)
    assert norms[0] == 0
    assert np.isclose(norms[1], float(optax.tree.norm(right)), rtol=1e-2)


BAD = Y.copy()
BAD[0] = 1e6  # whose loss is finite, and whose gradient float16 does not hold


def test_a_skipped_step_changes_nothing():
    net = nn.with_dtype(nn.serial(nn.dense(5), nn.batch_norm(), nn.dense(1)), jnp.float16)
    optimizer = nn.training.loss_scaled(nn.training.averaged(ADAM), initial=2.0**8)
    update, train = begin(optimizer, net)
    train, metrics = update(train, (X, Y))
    assert metrics["skipped"] == 0
    before = copy(train)
    train, metrics = update(train, (X, BAD))
    assert metrics["skipped"] == 1
    assert np.isfinite(metrics["loss"])
    same((train.params, train.state), (before.params, before.state))
    same(train.opt_state.inner, before.opt_state.inner)
    assert (train.step, train.opt_state.scale, train.opt_state.skipped) == (2, 2.0**7, 1)


def test_the_scale_grows_and_shrinks_by_the_formula():
    interval, factor = 3, 4.0
    optimizer = nn.training.loss_scaled(ADAM, 8.0, interval, factor)
    update, train = begin(optimizer)
    scale, count = 8.0, 0
    for good in [1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]:
        count = count + 1 if good else 0
        scale = scale if good else max(scale / factor, 1.0)
        if count == interval:
            scale, count = scale * factor, 0
        train, _ = update(train, (X, Y if good else BAD))
        assert float(train.opt_state.scale) == scale
    assert scale == 16.0


def test_the_scale_is_never_infinite():
    optimizer = nn.training.loss_scaled(optax.sgd(0.1), 2.0**127, 1)
    state = optimizer.init({"w": jnp.ones(2)})
    _, state = optimizer.update({"w": jnp.zeros(2)}, state, {"w": jnp.ones(2)})
    assert state.scale == 2.0**127


def test_a_resumed_run_has_the_scale_of_the_unbroken_one(tmp_path):
    update, train = begin(nn.training.loss_scaled(ADAM, 2.0**20, 3), watch=["loss_scale"])
    fit = partial(nn.training.fit, update, train, (X, Y), batch_size=8, every=4)
    whole = fit(steps=16)
    fit(steps=8, checkpoint=tmp_path)
    resumed = fit(steps=16, checkpoint=tmp_path)
    same(resumed.train, whole.train)
    assert whole.train.opt_state.skipped > 0
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        for title in ("step", "loss", "loss_scale", "skipped"):
            assert ours[title] == theirs[title]


def test_the_history_counts_skipped_steps_and_leaves_them_out_of_its_means():
    update, train = begin(nn.training.loss_scaled(optax.sgd(0.0), 4.0), watch=["gradient_norm"])
    batches = [(X, Y), (X, BAD), (X, Y), (X, Y)]
    end = nn.training.fit(update, train, batches, steps=8, every=4)
    assert [row["skipped"] for row in end.history] == [1, 1]
    _, metrics = update(copy(train), (X, Y))
    assert np.isclose(end.history[0]["loss"], metrics["loss"])
    assert np.isclose(end.history[0]["gradient_norm"], metrics["gradient_norm"])


def test_a_net_in_float16_learns_as_in_float32():
    ends = []
    for net, optimizer in ((nn.mlp(5, 1), ADAM), (HALF, nn.training.loss_scaled(ADAM))):
        update, train = begin(optimizer, net)
        end = nn.training.fit(update, train, (X, Y), steps=150, batch_size=8, every=50)
        ends.append(end.history[-1]["loss"])
    assert ends[0] < 0.05
    assert abs(ends[1] - ends[0]) < 0.01


@pytest.mark.parametrize(
    "inside",
    [
        lambda scaled: optax.chain(optax.clip_by_global_norm(1.0), scaled),
        lambda scaled: nn.freeze(scaled, "0/*"),
        nn.training.averaged,
    ],
)
def test_loss_scaling_inside_of_another_optimizer_is_refused(inside):
    update, train = begin(inside(nn.training.loss_scaled(ADAM)))
    with pytest.raises(ValueError, match="make it the outermost"):
        update(train, (X, Y))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initial": 0.5}, "loss_scaled: initial must be a finite number of at least 1"),
        ({"growth_interval": 0}, "loss_scaled: growth_interval must be a whole number"),
        ({"factor": 1.0}, "loss_scaled: factor must be a finite number greater than 1"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        nn.training.loss_scaled(ADAM, **options)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"loss_scaled takes an optimizer .* give adam\(\.\.\.\)"):
        nn.training.loss_scaled(optax.adam)


def test_a_metric_of_a_name_that_training_uses_is_refused():
    net = nn.dense(1)
    loss = nn.training.supervised(net, nn.mse, {"skipped": nn.mse})
    train = nn.training.init_train(net, ADAM, jax.random.key(0), X)
    with pytest.raises(ValueError, match='one named "skipped", which training uses itself'):
        nn.training.step(loss, ADAM)(train, (X, Y))
