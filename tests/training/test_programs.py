import gc
import pathlib
import weakref

import jax
import numpy as np
import optax
import pytest

import jaxnn as nn

X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
DATA = (X, X[:, :1])


def trained():
    """Weak references to the loss and the step of a run that is over."""
    net, optimizer = nn.dense(1), optax.sgd(0.1)
    loss = nn.training.supervised(net, nn.mse)
    step = nn.training.step(loss, optimizer)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), X)
    end = nn.training.fit(step, train, DATA, steps=4, batch_size=4).train
    nn.training.fit(step, train, [DATA], steps=2)
    nn.training.evaluate(loss, end, DATA, batch_size=4)
    nn.training.evaluate(loss, end, [DATA])
    nn.training.predict(net, end, X, batch_size=4)
    return weakref.ref(loss), weakref.ref(step)


def test_a_loss_and_its_programs_go_when_the_run_is_over():
    held = trained()
    gc.collect()
    assert [each() for each in held] == [None, None]


def test_runs_with_new_steps_do_not_grow_the_process():
    def resident():
        gc.collect()
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not pathlib.Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc here")
    for _ in range(5):
        trained()
    before = resident()
    for _ in range(20):
        trained()
    # 3.3 MB a run were kept, 66 MB here.
    assert resident() - before < 20e6


def test_a_second_run_with_the_same_step_compiles_nothing():
    traces, net, optimizer = [], nn.dense(1), optax.sgd(0.1)

    def loss(params, state, batch, *, key, train):
        traces.append(1)
        return nn.mse(net(params, batch[0]), batch[1]), (state, {})

    step = nn.training.step(loss, optimizer)
    train = nn.training.init_train(net, optimizer, jax.random.key(0), X)
    nn.training.fit(step, train, DATA, steps=4, batch_size=4)
    first = len(traces)
    nn.training.fit(step, train, DATA, steps=4, batch_size=4)
    assert len(traces) == first
