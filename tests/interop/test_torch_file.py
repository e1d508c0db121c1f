# pyright: reportArgumentType=false
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.interop import load_into, load_torch
from tests.interop.torch_program import NUMBERS, entries, tensor, write

GOLDEN = Path(__file__).parents[1] / "golden" / "interop.npz"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt"


# What is read


def test_a_file_of_the_peer(path):
    with np.load(GOLDEN) as held:
        file = held["torch_file/file"].tobytes()
        values = {name.split("/", 2)[2]: held[name] for name in held if "torch_file/value/" in name}
        bfloat = held["torch_file/bfloat16"]
    path.write_bytes(file)
    found = load_torch(path)
    assert found.pop("bfloat16").view(np.uint16).tolist() == bfloat.tolist()
    assert sorted(found) == sorted(values)
    for name, value in values.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert (found[name] == value).all()


def test_a_live_file_of_the_peer(path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).half()
    held = {**net.state_dict(), "parameter": net[0].weight, "turned": net[0].weight.data.T}
    torch.save(held, path)
    found = load_torch(path)
    assert list(found) == list(held)
    for name, value in held.items():
        assert (found[name] == value.detach().numpy()).all()


def test_views_are_read_by_offset_and_stride(path):
    program = entries(
        whole=tensor(),
        turned=tensor(shape=(3, 2), strides=(1, 3)),
        part=tensor(offset=1, shape=(2,), strides=(2,)),
        spread=tensor(offset=5, shape=(4, 1), strides=(0, 0)),
        scalar=tensor(offset=2, shape=(), strides=()),
        none=tensor(offset=6, shape=(0, 3), strides=(3, 1)),
    )
    found = load_torch(write(path, program))
    whole = NUMBERS.reshape(2, 3)
    assert (found["whole"] == whole).all()
    assert (found["turned"] == whole.T).all()
    assert found["part"].tolist() == [1, 3]
    assert found["spread"].tolist() == [[5]] * 4
    assert found["scalar"] == 2
    assert found["none"].shape == (0, 3)
    assert load_into({"turned": jnp.ones((3, 2))}, {"turned": found["turned"]})["turned"][2, 1] == 5


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("Half", jnp.float16), ("BFloat16", jnp.bfloat16), ("Double", np.float64), ("Long", np.int64)],
)
def test_dtypes(path, kind, dtype):
    data = {"0": NUMBERS.astype(dtype).tobytes()}
    found = load_torch(write(path, entries(x=tensor(kind)), data))["x"]
    assert found.dtype == dtype
    assert found.ravel().tolist() == NUMBERS.tolist()


def test_dicts_within_dicts_have_dotted_names(path):
    assert list(load_torch(write(path, entries(model=entries(w=tensor()), b=tensor())))) == [
        "model.w",
        "b",
    ]
