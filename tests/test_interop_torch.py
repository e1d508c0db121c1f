# pyright: reportArgumentType=false
import os
import pickle
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.interop import fill, load_torch

GOLDEN = Path(__file__).parent / "golden" / "interop.npz"
NUMBERS = np.arange(6, dtype=np.float32)


def push(value) -> bytes:
    """The part of a pickle that makes a value."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(kind="Float", key="0", count=6, offset=0, shape=(2, 3), strides=(3, 1), word="storage"):
    """The part of a pickle that makes a tensor."""
    pid = b"(" + push(word) + f"ctorch\n{kind}Storage\n".encode() + push(key) + push("cpu")
    storage = pid + push(count) + b"tQ"
    rest = (
        push(offset) + push(shape) + push(strides) + push(False) + b"ccollections\nOrderedDict\n)R"
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def entries(**values: bytes) -> bytes:
    """The part of a pickle that makes a dict."""
    return b"}(" + b"".join(push(name) + value for name, value in values.items()) + b"u"


def write(path: Path, program: bytes, data=None, compression=zipfile.ZIP_STORED, **more) -> Path:
    """A file as torch.save writes it, for a pickle."""
    data = {"0": NUMBERS.tobytes()} if data is None else data
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", b"\x80\x02" + program + b".")
        for name, content in {"byteorder": b"little", "version": b"3\n", **more}.items():
            archive.writestr(f"net/{name}", content)
        for key, content in data.items():
            archive.writestr(f"net/data/{key}", content)
    return path


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
    assert fill({"turned": jnp.ones((3, 2))}, {"turned": found["turned"]})["turned"][2, 1] == 5


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


# What is refused


class Malicious:
    """Pickles to a call of os.system."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_code_is_refused_by_name(path, tmp_path, protocol):
    mark = tmp_path / "mark"
    program = pickle.dumps({"w": Malicious(mark)}, protocol)
    pickle.loads(program)
    assert mark.exists()  # it is a real one
    mark.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", program)
    with pytest.raises(ValueError, match=r"refused: its pickle asks for (posix|nt)\.system\."):
        load_torch(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("program", "asked"),
    [
        (b"cbuiltins\neval\n(" + push("1/0") + b"tR", "builtins.eval"),
        (b"ctorch._utils\n_rebuild_tensor_v3\n", "torch._utils._rebuild_tensor_v3"),
        (b"ctorch\nQInt8Storage\n", "torch.QInt8Storage"),
        (b"ccollections\nOrderedDict.fromkeys\n", "collections.OrderedDict.fromkeys"),
        (b"(" + push("1/0") + b"ibuiltins\neval\n", "builtins.eval"),
        (tensor(word="module"), "a module of FloatStorage"),
    ],
)
def test_any_other_name_is_refused(path, program, asked):
    with pytest.raises(ValueError, match=f"asks for {asked}. Tensors alone are read, and no code"):
        load_torch(write(path, program))


@pytest.mark.parametrize(
    "program",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + push(1) + push(0) + b"tR",  # no storage
        push(b"x") + b")R",  # a call of what is no function
        b"ctorch\nFloatStorage\n}" + push("a") + push(1) + b"sb",  # attributes of what has none
        b"u",  # nothing to work on
        b"\x96" + b"\xff" * 8,  # more bytes than there are
    ],
)
def test_a_pickle_that_makes_no_sense_is_refused(path, program):
    with pytest.raises(ValueError, match=r"net\.pt was refused: .* torch\.save\(model\.state_dict"):
        load_torch(write(path, program))


def test_a_dict_with_methods_of_the_pickle_is_read_by_our_own(path):
    # An OrderedDict has attributes, which a pickle may set: they are not asked.
    held = b"ccollections\nOrderedDict\n)R(" + push("w") + tensor() + b"u"
    attributes = b"}(" + push("items") + b"ctorch._utils\n_rebuild_tensor_v2\nu"
    assert list(load_torch(write(path, held + attributes + b"b"))) == ["w"]


def test_functions_are_made_anew_for_each_file(path):
    # A pickle may set attributes of what it is given: the next file must not see them.
    spoil = b"ctorch._utils\n_rebuild_tensor_v2\nN}" + push("__defaults__") + b"(" + push(1)
    with pytest.raises(ValueError, match="it is a function"):
        load_torch(write(path, spoil + b"ts\x86b"))
    test_views_are_read_by_offset_and_stride(path)


@pytest.mark.parametrize(
    ("program", "what"),
    [
        (tensor(), "it is a Tensor"),
        (push([1, 2]), "it is a list"),
        (entries(model=entries(w=tensor(), epoch=push(3))), "'model.epoch' is a int"),
        (b"}q\x09" + push("a") + b"h\x09s", "'a' is a dict met before"),
    ],
)
def test_what_is_no_dict_of_tensors_is_refused(path, program, what):
    with pytest.raises(ValueError, match=f"more than tensors by name, {what}: write them alone"):
        load_torch(write(path, program))


def test_two_tensors_of_one_name_are_refused(path):
    program = b"}(" + push("a.b") + tensor() + push("a") + entries(b=tensor()) + b"u"
    with pytest.raises(ValueError, match=r"two tensors named 'a\.b'"):
        load_torch(write(path, program))


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset": 1},
        {"offset": -1},
        {"strides": (-3, 1)},
        {"strides": (4, 1)},
        {"strides": (3,)},
        {"shape": (3, 3)},
        {"shape": (-2, 3)},
        {"shape": (), "strides": (), "offset": 6},
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(path, wrong):
    with pytest.raises(ValueError, match=r"net\.pt is damaged: 'w' of shape .* reaches beyond"):
        load_torch(write(path, entries(w=tensor(**wrong))))


def test_damage_is_told(path):
    with pytest.raises(FileNotFoundError):
        load_torch(path)
    program = entries(w=tensor())
    with pytest.raises(ValueError, match="data/0 is missing"):
        load_torch(write(path, program, {}))
    with pytest.raises(ValueError, match="data/0 has 8 bytes for 6 numbers of float32"):
        load_torch(write(path, program, {"0": b"12345678"}))
    with pytest.raises(ValueError, match="big-endian"):
        load_torch(write(path, program, byteorder=b"big"))
    with pytest.raises(ValueError, match="is compressed"):
        load_torch(write(path, program, compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match=r"without one data\.pkl"):
        load_torch(write(path, program, **{"other/data.pkl": b""}))
    whole = write(path, program).read_bytes()
    for left in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:left])
        with pytest.raises(ValueError, match=r"truncated or damaged, or no \.pt file"):
            load_torch(path)
    at = whole.index(NUMBERS.tobytes()) + 4
    path.write_bytes(whole[:at] + b"!" + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"damaged.*Bad CRC-32"):
        load_torch(path)


def test_a_file_of_before_the_archives_says_how_to_mend_it(path):
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(
        ValueError, match=r"before 1\.6: .* torch\.save\(model\.state_dict\(\), path"
    ):
        load_torch(path)
