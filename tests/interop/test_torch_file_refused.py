# pyright: reportArgumentType=false
import contextlib
import os
import pickle
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxnn.interop import load_torch
from tests.interop.torch_program import NUMBERS, entries, push, tensor, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pt"


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
    with pytest.raises(ValueError, match=r"refused: its pickle asks for (posix|nt)\.system"):
        load_torch(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("program", "asked"),
    [
        (b"cbuiltins\neval\n(" + push("1/0") + b"tR", "builtins.eval"),
        (b"ctorch._utils\n_rebuild_tensor_v3\n", "torch._utils._rebuild_tensor_v3"),
        (b"ctorch\nQInt8Storage\n", "torch.QInt8Storage"),
        (b"ccollections\nOrderedDict.fromkeys\n", "collections.OrderedDict.fromkeys"),
        (b"(" + push("1/0") + b"ibuiltins\neval\n", "what no file of tensors holds"),
        (tensor(word="module"), "no storage of numbers"),
        (tensor(kind="QInt8"), "torch.QInt8Storage as a storage"),
    ],
)
def test_any_other_name_is_refused(path, program, asked):
    with pytest.raises(ValueError, match=f"(asks for|makes) {asked}.* No code of it is run"):
        load_torch(write(path, program))


@pytest.mark.parametrize(
    "program",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + push(1) + push(0) + b"tR",  # no storage
        push(b"x") + b")R",  # a call of what is no function
        b"u",  # nothing to work on
        b"\x96" + b"\xff" * 8,  # more bytes than there are
    ],
)
def test_a_pickle_that_makes_no_sense_is_refused(path, program):
    with pytest.raises(ValueError, match=r"net\.pt was refused: .* No code of it is run"):
        load_torch(write(path, program))


def test_a_dict_with_methods_of_the_pickle_is_read_by_our_own(path):
    # An OrderedDict has attributes, which a pickle may set: they are not asked.
    held = b"ccollections\nOrderedDict\n)R(" + push("w") + tensor() + b"u"
    attributes = b"}(" + push("items") + b"ctorch._utils\n_rebuild_tensor_v2\nu"
    assert list(load_torch(write(path, held + attributes + b"b"))) == ["w"]


def test_what_a_pickle_sets_on_a_function_is_not_kept(path):
    spoil = b"ctorch._utils\n_rebuild_tensor_v2\nN}" + push("__defaults__") + b"(" + push(1)
    with pytest.raises(ValueError, match="holds no tensors by name"):
        load_torch(write(path, spoil + b"ts\x86b"))
    found = load_torch(write(path, entries(w=tensor())))
    assert (found["w"] == NUMBERS.reshape(2, 3)).all()


@pytest.mark.parametrize("program", [tensor(), push([1, 2]), push("text"), entries(epoch=push(3))])
def test_a_file_without_tensors_by_name_is_refused(path, program):
    with pytest.raises(ValueError, match=r"holds no tensors by name: write them with torch\.save"):
        load_torch(write(path, program))


def test_what_is_no_tensor_is_left_out_and_a_part_is_picked(path):
    inner = entries(w=tensor(), epoch=push(3))
    write(path, entries(model=inner, rate=push(0.1), other=entries(v=tensor())))
    assert list(load_torch(path)) == ["model.w", "other.v"]
    assert list(load_torch(path, "model")) == ["w"]
    with pytest.raises(KeyError, match=r"no part 'model\.x': there are \['epoch', 'w'\]"):
        load_torch(path, "model.x")


def test_a_part_without_an_unknown_object_is_read(path):
    unknown = b"cargparse\nNamespace\n)R}" + push("rate") + push(1) + b"sb"
    write(path, entries(model=entries(w=tensor()), args=unknown))
    with pytest.raises(ValueError, match=r"asks for argparse\.Namespace, as args"):
        load_torch(path)
    assert list(load_torch(path, "model")) == ["w"]


def doubled(times):
    """A tuple that holds one twice, that one another twice, and so on."""
    return b"(t" + b"".join(b"q%c0h%ch%c\x86" % (i, i, i) for i in range(times))


@pytest.mark.parametrize(
    "program",
    [
        b"}" + doubled(40) + push(1) + b"s",  # hashing the key would take 2^40 steps
        b"\x8f(" + doubled(40) + b"\x90",
        b"("
        + push("storage")
        + b"ctorch\nFloatStorage\n"
        + doubled(40)
        + push("cpu")
        + push(6)
        + b"tQ",
        b"}" + doubled(30) + b"r\xff\xff\xff\x0f" + b"0",  # place 2^28 of the memo
    ],
)
def test_a_small_file_takes_little_time_and_memory(path, program):
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(ValueError, match="refused|no tensors"):
        load_torch(write(path, program))
    assert time.perf_counter() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_view_that_claims_more_than_its_storage_is_refused(path):
    program = entries(w=tensor(shape=(10**9, 10**3), strides=(0, 0)))
    with pytest.raises(ValueError, match="claims more numbers than the 6 of its storage"):
        load_torch(write(path, program))


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_torch_itself_are_read(path, legacy):
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 2, 5, 5)).sum().backward()
    optimizer.step()
    whole = torch.arange(12.0).reshape(3, 4)
    saved = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "shape": torch.Size([1, 2]),
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.int64, torch.bool)],
        "turned": whole.T,
        "part": whole[1:, ::2],
    }
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    found = load_torch(path, "model")
    assert set(found) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert np.array_equal(found[name], value.numpy()), name
    found = load_torch(path)
    assert np.array_equal(found["turned"], whole.T.numpy())
    assert np.array_equal(found["part"], whole[1:, ::2].numpy())
    assert [str(found[f"kinds.{i}"].dtype) for i in range(3)] == ["bfloat16", "int64", "bool"]
    moments = optimizer.state_dict()["state"][0]["exp_avg"].numpy()
    assert np.array_equal(found["optimizer.state.0.exp_avg"], moments)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_with_bytes_changed_is_refused_or_read(path, legacy):
    torch = pytest.importorskip("torch")
    torch.save(
        {"w": torch.arange(6.0), "n": [1, "a"]}, path, _use_new_zipfile_serialization=not legacy
    )
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        path.write_bytes(
            bytes(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data)
        )
        with contextlib.suppress(ValueError):  # any other error ends the test
            assert sum(leaf.size for leaf in load_torch(path).values()) <= 6


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


def test_a_pickle_that_is_none_of_pytorchs_is_refused(path):
    path.write_bytes(pickle.dumps({"w": [1.0]}, 2))
    with pytest.raises(ValueError, match=r"a bare pickle, and none of PyTorch's"):
        load_torch(path)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(ValueError, match=r"net\.pt was refused: .*No code of it is run"):
        load_torch(path)
