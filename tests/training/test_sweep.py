# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
"""The runs of a sweep are those of single calls of `fit`, in one program."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

import jaxnn as nn
from tests.small import noise

X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
Y = np.sin(X[:, :1])
NET = nn.mlp(5, 1)
LOSS = nn.training.supervised(NET, nn.mse)
NOISY = nn.serial(nn.dense(5), nn.batch_norm(), jax.nn.tanh, noise(), nn.dense(1))
BATCHES = [(X[i::4], Y[i::4]) for i in range(4)]
RATES = [0.1, 0.01, 0.001]


def injected(rate):
    return optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=0.5)


def swept(seeds=(0, 3), rates=RATES, optimizer=None, net=NET, loss=LOSS, **options):
    optimizer = optimizer or injected(0.5)
    update = nn.training.step(loss, optimizer, **options)
    return nn.training.sweep(update, net, optimizer, seeds, X, {"learning_rate": rates})


def close(one, other, rtol=1e-5):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=1e-6), one, other)


@pytest.mark.parametrize(
    ("data", "net"),
    [
        ("resident", NET),
        ("stream", NET),
        pytest.param("resident", NOISY, marks=pytest.mark.long),
    ],
    ids=["resident", "stream", "noisy"],
)
def test_six_runs_in_one_program_are_those_of_six_calls(data, net):
    given = {"resident": ((X, Y), 8), "stream": (BATCHES, None)}
    batches, batch_size = given[data]
    fit = partial(nn.training.fit, batches=batches, steps=20, batch_size=batch_size, every=5)
    loss = nn.training.supervised(net, nn.mse)
    end = fit(*swept(net=net, loss=loss, watch=["gradient_norm"]))
    taken = nn.training.runs(end.train)
    assert [settings for settings, _ in taken] == [
        {"seed": seed, "learning_rate": rate} for seed in (0, 3) for rate in RATES
    ]
    update = nn.training.step(loss, injected(0.5), watch=["gradient_norm"])
    for i, (settings, run) in enumerate(taken):
        optimizer, key = injected(settings["learning_rate"]), jax.random.key(settings["seed"])
        single = fit(update, nn.training.init_train(net, optimizer, key, X))
        close((run.params, run.state, run.opt_state), single.train[:3])
        for name in ("loss", "gradient_norm"):
            alone = [row[name] for row in single.history]
            np.testing.assert_allclose([row[f"{name}_{i}"] for row in end.history], alone, 1e-4)
    mean = np.mean([end.history[-1][f"loss_{i}"] for i in range(6)])
    assert np.isclose(end.history[-1]["loss"], mean)


def test_the_start_is_that_of_init_train_to_the_bit():
    for settings, run in nn.training.runs(swept()[1]):
        optimizer = injected(settings["learning_rate"])
        train = nn.training.init_train(NET, optimizer, jax.random.key(settings["seed"]), X)
        jax.tree.map(np.testing.assert_array_equal, run[:4], train[:4])
        assert run.key == train.key


def test_a_sweep_is_traced_once():
    traces = []

    def loss(params, state, batch, **context):
        traces.append(1)
        return LOSS(params, state, batch, **context)

    nn.training.fit(*swept(loss=loss), (X, Y), steps=20, batch_size=8, every=5)
    assert len(traces) == 1


def test_a_run_that_diverges_stays_and_the_others_go_on():
    net = nn.dense(1)
    loss = nn.training.supervised(net, nn.mse)
    fit = partial(nn.training.fit, batches=BATCHES, steps=60, every=20)
    end = fit(*swept([0], [0.1, 1e4], net=net, loss=loss))
    (_, good), (_, bad) = nn.training.runs(end.train)
    assert np.isfinite(bad.params["w"]).all()
    assert not np.isfinite(end.history[-1]["loss_1"]) or end.history[-1]["loss_1"] > 1e20
    alone = fit(*swept([0], [0.1], net=net, loss=loss))
    close(good.params, nn.training.runs(alone.train)[0][1].params)
    assert end.history[-1]["loss_0"] < 0.1


def test_a_sweep_resumes_to_the_same_bits(tmp_path):
    fit = partial(nn.training.fit, batches=(X, Y), batch_size=8, every=5)
    whole = fit(*swept(), steps=20)
    fit(*swept(), steps=10, checkpoint=tmp_path)
    resumed = fit(*swept(), steps=20, checkpoint=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, resumed.train.runs[:4], whole.train.runs[:4])
    assert [row["loss_5"] for row in resumed.history] == [row["loss_5"] for row in whole.history]


def test_the_peak_of_a_schedule_is_swept():
    @optax.inject_hyperparams
    def cosine(peak):
        return optax.sgd(optax.cosine_decay_schedule(peak, 10))

    update = nn.training.step(LOSS, cosine(peak=1.0))
    two = nn.training.sweep(update, NET, cosine(peak=1.0), [0], X, {"peak": [0.1, 0.01]})
    end = nn.training.fit(*two, BATCHES, steps=10)
    for (settings, run), peak in zip(nn.training.runs(end.train), (0.1, 0.01), strict=True):
        assert settings == {"seed": 0, "peak": peak}
        train = nn.training.init_train(NET, cosine(peak=peak), jax.random.key(0), X)
        single = nn.training.fit(update, train, BATCHES, steps=10)
        close(run.params, single.train.params)


def test_seeds_alone_need_no_hyperparameters():
    update = nn.training.step(LOSS, optax.sgd(0.1))
    step, start = nn.training.sweep(update, NET, optax.sgd(0.1), range(3), X)
    end = nn.training.fit(step, start, BATCHES, steps=5)
    assert len(nn.training.runs(end.train)) == 3
    assert int(end.train.step) == 5


def test_loss_scaling_and_averages_are_those_of_each_run():
    def optimizer():
        return nn.training.loss_scaled(nn.training.averaged(injected(0.1), 0.5), 2.0**20)

    net = nn.with_dtype(nn.dense(1), jnp.float16)
    loss = nn.training.supervised(net, nn.mse)
    end = nn.training.fit(
        *swept([0], [0.1, 0.01], optimizer(), net, loss), (X, Y), steps=12, batch_size=8, every=4
    )
    assert "skipped" not in end.history[0]
    assert end.history[0]["skipped_0"] > 0
    first, second = (nn.training.average(run).params for _, run in nn.training.runs(end.train))
    assert not np.allclose(first["w"], second["w"])


@pytest.mark.parametrize(
    ("seeds", "optimizer", "values", "message"),
    [
        ([], injected(0.1), {}, "sweep: there are no values of seed"),
        ([-1], injected(0.1), {}, "sweep: a seed must be a whole number of at least 0"),
        ([0], injected(0.1), {"learning_rate": []}, "no values of learning_rate"),
        ([0], injected(0.1), {"learning_rate": [np.nan]}, "learning_rate must be a finite number"),
        ([0], injected(0.1), {"seed": [1.0]}, "give seeds"),
        (
            [0],
            injected(0.1),
            {"rate": [1.0]},
            r"no hyperparameters 'rate' of \['learning_rate', 'momentum'\]",
        ),
        (
            [0],
            optax.sgd(0.1),
            {"learning_rate": [1.0]},
            "no hyperparameters 'learning_rate' of none",
        ),
        (
            [0],
            optax.chain(injected(0.1), injected(0.1)),
            {"learning_rate": [1.0]},
            "2 hyperparameters 'learning_rate'",
        ),
        (
            [0],
            injected(optax.constant_schedule(0.1)),
            {"learning_rate": [1.0]},
            "'learning_rate' follows a schedule, which would overwrite it",
        ),
    ],
)
def test_what_cannot_be_swept_is_refused(seeds, optimizer, values, message):
    update = nn.training.step(LOSS, optimizer)
    with pytest.raises(ValueError, match=message):
        nn.training.sweep(update, NET, optimizer, seeds, X, values)


def test_a_step_with_a_sharding_is_refused():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    update = nn.training.step(LOSS, injected(0.1), nn.training.data_parallel(mesh))
    with pytest.raises(ValueError, match="sweep: the step has a sharding"):
        nn.training.sweep(update, NET, injected(0.1), [0], X)
