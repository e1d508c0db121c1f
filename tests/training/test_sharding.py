"""`fit` and `evaluate` on params and data that lie on eight devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxnn as nn

NET = nn.serial(nn.dense(16), nn.batch_norm(), jax.nn.tanh, nn.dense(8))
OPTIMIZER = optax.sgd(0.1)
LOSS = nn.training.supervised(NET, nn.mse)
STEP = nn.training.step(LOSS, OPTIMIZER)
X = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
DATA = (X, np.sin(X))


def start():
    return nn.training.init_train(NET, OPTIMIZER, jax.random.key(0), DATA[0])


def placed(tree, mesh, *spec):
    """A tree on a mesh, each leaf divided along the first axis that it can be."""

    def place(leaf):
        fits = spec and leaf.ndim and leaf.shape[0] % 8 == 0
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*spec if fits else ())))

    return jax.tree.map(place, tree)


@pytest.fixture
def mesh():
    return jax.make_mesh((8,), ("devices",), axis_types=(AxisType.Auto,))


@pytest.mark.parametrize("spec", [(), ("devices",)], ids=["data parallel", "fully sharded"])
@pytest.mark.parametrize("feed", ["arrays", "batches"])
def test_fit_on_eight_devices_is_fit_on_one(spec, feed, mesh):
    def trained(train, data):
        if feed == "arrays":
            return nn.training.fit(STEP, train, data, steps=12, batch_size=16, every=4)
        batches = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 16], data) for i in range(0, 64, 16)]
        return nn.training.fit(STEP, train, batches, steps=12, every=4)

    alone = trained(start(), DATA)
    together = trained(placed(start(), mesh, *spec), placed(DATA, mesh, "devices"))
    for one, eight in zip(alone.history, together.history, strict=True):
        np.testing.assert_allclose(eight["loss"], one["loss"], rtol=1e-5)
    for one, eight in zip(
        jax.tree.leaves((alone.train.params, alone.train.state)),
        jax.tree.leaves((together.train.params, together.train.state)),
        strict=True,
    ):
        np.testing.assert_allclose(eight, one, rtol=1e-5, atol=1e-6)
    assert together.train.params[0]["w"].sharding.device_set == set(mesh.devices.flat)


def test_evaluate_on_eight_devices_is_evaluate_on_one(mesh):
    alone = nn.training.evaluate(LOSS, start(), DATA, batch_size=24)  # the last batch is ragged
    together = placed(start(), mesh, "devices"), placed(DATA, mesh, "devices")
    assert nn.training.evaluate(LOSS, *together, batch_size=24) == pytest.approx(alone, rel=1e-6)
    batches = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 32], together[1]) for i in (0, 32)]
    assert nn.training.evaluate(LOSS, together[0], batches) == pytest.approx(alone, rel=1e-6)
    y = jnp.asarray(NET.apply(start().params, start().state, X)[0])
    assert alone["loss"] == pytest.approx(float(np.mean((y - DATA[1]) ** 2)), rel=1e-5)
