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


T = nn.training
CLIPPED = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1, momentum=0.9))
RAGGED = jax.tree.map(lambda leaf: leaf[:60], DATA)  # eight devices do not divide 60 rows
RECIPES = {
    "data parallel": lambda mesh: T.data_parallel(mesh),
    "fully sharded": lambda mesh: T.fully_sharded(mesh, smallest=1),
}


@pytest.fixture
def plain_mesh():
    return jax.make_mesh((8,), ("data",))  # with Explicit axes, JAX's default


def close(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_and_measures_as_one_device_does(recipe, plain_mesh):
    sharding = RECIPES[recipe](plain_mesh)
    runs = []
    for each in (None, sharding):
        step = T.step(LOSS, CLIPPED, each)
        train = T.init_train(NET, CLIPPED, jax.random.key(0), X, each)
        end = T.fit(step, train, RAGGED, steps=6, batch_size=16, every=3)
        train, metrics = step(end.train, jax.tree.map(lambda leaf: leaf[:8], DATA))
        whole = T.evaluate(LOSS, train, RAGGED, batch_size=24, sharding=each)
        assert T.evaluate(LOSS, train, [RAGGED], sharding=each) == pytest.approx(whole, rel=1e-5)
        outputs = T.predict(NET, train, RAGGED[0], batch_size=16, sharding=each)
        error = {"error": nn.metrics.mean_squared_error()}
        measured = T.measure(NET, train, RAGGED, error, batch_size=16, sharding=each)
        last = end.history[-1]["loss"]
        runs.append((train[:3], metrics, whole, last, outputs, measured))
    close(*runs)
    assert runs[1][0][0][0]["w"].sharding == T.shardings(sharding, runs[1][0][0])[0]["w"]


def test_a_stream_is_split_and_trains_as_on_one_device(plain_mesh):
    sharding, ends = T.fully_sharded(plain_mesh, smallest=1), []
    batches = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 16], DATA) for i in (0, 16)]
    for each in (None, sharding):
        train = T.init_train(NET, CLIPPED, jax.random.key(0), X, each)
        ends.append(T.fit(T.step(LOSS, CLIPPED, each), train, batches, steps=4, every=2).train[:3])
    close(*ends)


def test_params_and_moments_are_made_on_the_devices_that_hold_them(plain_mesh):
    sharding = T.fully_sharded(plain_mesh, smallest=1)
    adam = optax.adam(1e-3)
    train = T.init_train(NET, adam, jax.random.key(0), X, sharding)
    for w in (train.params[0]["w"], train.opt_state[0].mu[0]["w"]):
        assert w.shape == (8, 16)
        assert {shard.data.shape for shard in w.addressable_shards} == {(8, 2)}
    close(train.params, T.init_train(NET, adam, jax.random.key(0), X).params)


def test_moments_lie_as_their_params_and_what_has_another_shape_by_its_own():
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    sharding = T.fully_sharded(mesh, smallest=1) * T.tensor_parallel(mesh, rules={"*w": -1})
    params = {"w": jax.ShapeDtypeStruct((8, 6), jnp.float32)}
    laid = T.shardings(sharding, jax.eval_shape(optax.adam(1.0).init, params), params)
    assert laid[0].mu["w"].spec == PartitionSpec("data", "model")
    assert laid[0].count.spec == PartitionSpec()
    history = {"memory": {"w": jax.ShapeDtypeStruct((5, 8, 6), jnp.float32)}}
    spec = PartitionSpec(None, "data", "model")
    assert T.shardings(sharding, history, params)["memory"]["w"].spec == spec
    assert repr(sharding) == "fully_sharded(data=4) * tensor_parallel(model=2)"


def test_tensor_parallelism_cuts_the_blocks_of_a_transformer_in_pairs():
    mesh = jax.make_mesh((8,), ("model",))
    block = {
        "attention": {"qkv": {"w": np.ones((8, 24))}, "out": {"w": np.ones((8, 8))}},
        "mlp": {"up": {"w": np.ones((8, 32))}, "down": {"w": np.ones((32, 8))}},
    }
    laid = T.shardings(T.tensor_parallel(mesh), block)
    across, down = PartitionSpec(None, "model"), PartitionSpec("model")
    assert (laid["attention"]["qkv"]["w"].spec, laid["mlp"]["up"]["w"].spec) == (across, across)
    assert (laid["attention"]["out"]["w"].spec, laid["mlp"]["down"]["w"].spec) == (down, down)


def test_the_experts_of_a_mixture_are_spread_also_under_repeat():
    mesh = jax.make_mesh((8,), ("expert",))
    net = nn.repeat(nn.mixture.sparse_mixture(16, 8), 2)
    params, _ = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((8, 8)))
    laid = T.shardings(T.expert_parallel(mesh), params)
    assert laid["experts"]["up"]["w"].spec == PartitionSpec(None, "expert")
    assert laid["router"]["w"].spec == PartitionSpec()


def test_a_run_goes_on_on_another_number_of_devices(tmp_path):
    ends = []
    for first, second in ((8, 4), (8, 8)):
        for steps, count in ((4, first), (8, second)):
            mesh = jax.make_mesh((count,), ("data",), devices=jax.devices()[:count])
            sharding = T.fully_sharded(mesh, smallest=1)
            train = T.init_train(NET, CLIPPED, jax.random.key(0), X, sharding)
            end = T.fit(T.step(LOSS, CLIPPED, sharding), train, DATA, steps=steps, batch_size=16,
                        every=4, checkpoint=tmp_path / f"{second}")  # fmt: skip
        assert len(end.train.params[0]["w"].sharding.device_set) == second
        ends.append(end.train[:3])
    close(*ends)


def test_a_step_is_lowered_from_shapes_with_its_shardings(plain_mesh):
    sharding = T.fully_sharded(plain_mesh, smallest=1)
    train = jax.eval_shape(start)
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), DATA)
    compiled = T.step(LOSS, OPTIMIZER, sharding).lower(train, batch).compile()
    placed = compiled.input_shardings[0][0]
    assert placed.params[0]["w"].spec == PartitionSpec(None, "data")


def refusals(mesh):
    fully = T.fully_sharded(mesh, smallest=1)
    sharded = T.step(LOSS, OPTIMIZER, fully)
    alone = jax.device_put(start(), jax.devices()[0])
    params = start().params
    six = jax.tree.map(lambda leaf: leaf[:6], DATA)
    return {
        r"number of rows is 12, which the 8 devices.*make it 8 or 16": lambda: T.fit(
            sharded, start(), DATA, steps=1, batch_size=12
        ),
        r"a batch\[0\] is float32\[6,8\].*make it 8": lambda: sharded(start(), six),
        r"batch of data.*is 12, which": lambda: T.evaluate(
            LOSS, start(), DATA, batch_size=12, sharding=fully
        ),
        r"does not lie where.*init_train\(..., sharding": lambda: sharded(
            alone, jax.tree.map(lambda leaf: leaf[:8], DATA)
        ),
        r"no path of the params matches 'none'": lambda: T.shardings(
            T.tensor_parallel(mesh, "data", {"none": -1}), params
        ),
        r"axis 0 is 6, which the 8 devices of the mesh axis 'data'.*make it 8": lambda: T.shardings(
            T.tensor_parallel(mesh, "data", {"w": 0}), {"w": np.ones((6, 8))}
        ),
        r"has no axis 2": lambda: T.shardings(
            T.tensor_parallel(mesh, "data", {"w": 2}), {"w": np.ones((8, 8))}
        ),
        r"no 'model': name one of them": lambda: T.tensor_parallel(mesh),
        r"a product of shardings is over one mesh": lambda: (
            fully * T.data_parallel(jax.make_mesh((4, 2), ("data", "model")))
        ),
        r"once at most": lambda: T.shardings(
            T.tensor_parallel(mesh, "data", {"w": PartitionSpec("data", "data")}),
            {"w": np.ones((8, 8))},
        ),
        r"the step was made with sharding=": lambda: T.fit(
            sharded, start(), DATA, steps=1, batch_size=16, sharding=T.data_parallel(mesh)
        ),
        r"no path of the params matches any rule of expert_parallel": lambda: T.shardings(
            T.expert_parallel(mesh, "data"), params
        ),
    }


def test_what_a_mesh_cannot_hold_is_refused_with_the_mend(plain_mesh):
    for message, call in refusals(plain_mesh).items():
        with pytest.raises(ValueError, match=message):
            call()
