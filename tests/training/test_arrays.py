import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxnn as nn
from jaxnn.training.arrays import as_arrays

NET = nn.dense(1)
LOSS, OPTIMIZER = nn.training.supervised(NET, nn.mse), optax.sgd(0.1)
STEP = nn.training.step(LOSS, OPTIMIZER)
X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)


def begin():
    return nn.training.init_train(NET, OPTIMIZER, jax.random.key(0), X)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (([1.0, 2.0], [3.0, 4.0]), r"data\[0\] holds Python values of type float, not arrays"),
        ({"x": "text"}, r"data\['x'\] holds Python values of type str"),
        (np.array(["a", "b"]), "data holds <U1, not numbers"),
        (np.array([None, 1]), "data holds object, not numbers"),
        ((X, object()), r"data\[1\] is a object, not an array"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_in_one_sentence(data, message):
    with pytest.raises(TypeError, match=message) as raised:
        as_arrays(data, "data")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("leaf", "shown"),
    [
        (np.array([1, 2**33 + 1]), "8589934593, which int32"),
        (np.array([-(2**31) - 1]), "-2147483649, which int32"),
        (np.array([2**32], np.uint64), "4294967296, which uint32"),
        (np.array([1e300]), r"1e\+300, which float32"),
    ],
)
def test_numbers_that_would_wrap_or_overflow_are_refused(leaf, shown):
    with pytest.raises(ValueError, match=rf"data\['y'\] holds {shown} cannot hold"):
        as_arrays({"y": leaf}, "data")
    with jax.enable_x64(True):
        assert as_arrays(leaf, "data") is leaf


@pytest.mark.parametrize("leaf", [np.array([2**31 - 1]), np.array([np.inf, 1e30]), np.ones(0, int)])
def test_wide_numbers_that_fit_are_taken_as_they_are(leaf):
    assert as_arrays(leaf, "data") is leaf


def test_training_and_evaluation_refuse_integers_that_would_wrap():
    y = np.full((16, 1), 2**33 + 1)
    for call in (
        lambda: nn.training.fit(STEP, begin(), (X, y), steps=1, batch_size=4),
        lambda: nn.training.fit(STEP, begin(), [(X, y)], steps=1),
        lambda: nn.training.evaluate(LOSS, begin(), (X, y), batch_size=4),
        lambda: nn.training.evaluate(LOSS, begin(), [(X, y)]),
    ):
        with pytest.raises(ValueError, match="holds 8589934593, which int32 cannot hold"):
            call()


def test_a_table_of_pandas_is_refused_with_the_mend():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(TypeError, match=r"data\[0\] is a DataFrame.*\.to_numpy\(\)"):
        as_arrays((pandas.DataFrame(X), X[:, :1]), "data")


def test_a_loader_of_torch_gives_batches():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(X[:, :1]))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    batches = [(X[:8], X[:8, :1]), (X[8:], X[8:, :1])]
    end = nn.training.fit(STEP, begin(), loader, steps=6).train
    same = nn.training.fit(STEP, begin(), batches, steps=6).train
    assert jnp.array_equal(end.params["w"], same.params["w"])
    assert nn.training.evaluate(LOSS, end, loader) == nn.training.evaluate(LOSS, end, batches)


def test_tensors_of_torch_in_half_precision_and_with_a_gradient_are_taken():
    torch = pytest.importorskip("torch")
    leaf = torch.ones(3, dtype=torch.bfloat16, requires_grad=True)
    assert as_arrays(leaf, "data").dtype == jnp.bfloat16


@pytest.mark.parametrize("batch_size", [None, 8])
def test_data_sharded_over_explicit_axes_are_refused_with_the_mend(batch_size):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    x = jax.device_put(X, NamedSharding(mesh, PartitionSpec("data")))
    data = (x, x[:, :1]) if batch_size else [(x, x[:, :1])]
    calls = [
        lambda: nn.training.fit(STEP, begin(), data, steps=1, batch_size=batch_size),
        lambda: nn.training.evaluate(LOSS, begin(), data, batch_size=batch_size),
        lambda: STEP(begin(), (x, x[:, :1])),
        lambda: nn.training.init_train(NET, OPTIMIZER, jax.random.key(0), x),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"Explicit axes.*AxisType\.Auto"):
            call()


def test_data_sharded_over_auto_axes_train_as_on_one_device():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    x = jax.device_put(X, NamedSharding(mesh, PartitionSpec("data")))
    for batch_size in (None, 8):
        one, many = (
            nn.training.fit(
                STEP,
                begin(),
                (x, x[:, :1]) if batch_size else [(x, x[:, :1])],
                steps=4,
                batch_size=batch_size,
            ).train
            for x in (X, x)
        )
        np.testing.assert_allclose(one.params["w"], many.params["w"], rtol=1e-6)
