import importlib
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.interop import flatten_names, load, load_into, save

X = jnp.ones((4, 3))
NET = nn.serial(
    encoder=nn.repeat(nn.residual(nn.wire(lambda f, x: f.out(jnp.tanh(x)), out=nn.dense(3))), 2),
    head=nn.mlp(8, 2),
)
PARAMS, _ = NET.init(jax.random.key(0), X)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def equal(a, b) -> bool:
    same = jax.tree.map(lambda a, b: a.dtype == b.dtype and bool((a == b).all()), a, b)
    return jax.tree.structure(a) == jax.tree.structure(b) and all(jax.tree.leaves(same))


def test_the_package_is_found():
    assert importlib.import_module("jaxnn.interop") is nn.interop


# Names


def test_names_are_paths():
    assert list(flatten_names(PARAMS)) == [
        "encoder.body.out.b",
        "encoder.body.out.w",
        "head.0.b",
        "head.0.w",
        "head.2.b",
        "head.2.w",
    ]


@pytest.mark.parametrize("leaf", [jax.random.key(0), 3.0, "w"])
def test_a_leaf_that_is_no_array_is_named(leaf, path):
    with pytest.raises(TypeError, match=r"head\.w is .*, no array of numbers"):
        save(path, {"head": {"w": leaf}})
    assert not list(path.parent.iterdir())


def test_two_leaves_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two leaves are named 'a\.b'"):
        flatten_names({"a.b": X, "a": {"b": X}})


# Files


def test_a_file_of_another_net_names_what_differs_and_the_file(path):
    save(path, {"w": X})
    with pytest.raises(ValueError, match=r"missing: b.*left over among the tensors: w") as error:
        load(path, like={"b": X})
    assert str(path) in "".join(error.value.__notes__)


def test_what_is_saved_is_loaded(path):
    save(path, PARAMS)
    assert equal(load_into(PARAMS, load(path)), PARAMS)
    assert equal(load(path, like=PARAMS), PARAMS)
    assert equal(load_into(jax.eval_shape(NET.init, jax.random.key(0), X)[0], load(path)), PARAMS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_dtypes_and_shapes_are_kept(path, dtype, shape):
    tree = {"x": jnp.arange(6)[: np.prod(shape, dtype=int)].reshape(shape).astype(dtype)}
    save(path, tree)
    assert equal(load_into(tree, load(path)), tree)
    assert load(path)["x"].dtype == tree["x"].dtype


def test_a_view_is_written_in_its_own_order(path):
    x = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    save(path, {"turned": x.T, "strided": x[:, ::2]})
    assert (load(path)["turned"] == x.T).all()
    assert (load(path)["strided"] == x[:, ::2]).all()


def test_a_dict_of_tensors_keeps_its_names(path):
    save(path, {"transformer.h.0.ln_1.weight": X})
    assert list(load(path)) == ["transformer.h.0.ln_1.weight"]


def test_the_peer_reads_what_is_saved(path):
    torch_files = pytest.importorskip("safetensors.torch", exc_type=ImportError)
    save(path, PARAMS)
    read = torch_files.load_file(path)
    assert {name: tuple(t.shape) for name, t in read.items()} == {
        name: leaf.shape for name, leaf in flatten_names(PARAMS).items()
    }


@pytest.mark.parametrize("left", [0, 3, 8, 40, -1])
def test_a_truncated_file_is_refused(path, left):
    save(path, PARAMS)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"net\.safetensors is truncated, or no safetensors file"):
        load(path)


def test_other_files_are_refused(path):
    with pytest.raises(FileNotFoundError, match="net"):
        load(path)
    path.write_bytes(b"PK\x03\x04...")
    with pytest.raises(ValueError, match="read a .pt file with nn.interop.load_torch"):
        load(path)


def test_a_save_that_fails_leaves_what_was_there(path, monkeypatch):
    save(path, PARAMS)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        save(path, {"w": X})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"was not written: Unknown dtype .*int4"):
        save(path, {"w": X.astype(jnp.int4)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_extra_names_the_command(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for call in (lambda: save(path, PARAMS), lambda: load(path)):
        with pytest.raises(ImportError, match=r"safetensors: pip install -e '.\[train\]'"):
            call()


# Filling


def test_floats_take_the_dtype_of_the_net():
    half = {name: np.asarray(leaf, jnp.bfloat16) for name, leaf in flatten_names(PARAMS).items()}
    filled = load_into(PARAMS, half)
    assert {leaf.dtype for leaf in jax.tree.leaves(filled)} == {jnp.dtype(jnp.float32)}
    with pytest.raises(ValueError, match=r"b is int32\[2\] and has to be float32\[2\]"):
        load_into({"b": jnp.ones(2)}, {"b": jnp.ones(2, jnp.int32)})


def test_a_mismatch_says_which_names_and_shapes_and_what_was_left_over():
    tensors = flatten_names(PARAMS)
    tensors["extra.w"] = X
    tensors["head.0.w"] = tensors["head.0.w"].T
    del tensors["head.2.b"]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_into(PARAMS, tensors)
    assert str(error.value) == (
        "these tensors are not this net's. missing: head.2.b; misshapen: head.0.w is "
        "float32[8,3] and has to be float32[3,8]; left over among the tensors: extra.w."
    )


def test_a_long_mismatch_is_cut_short():
    with pytest.raises(ValueError, match=r"missing: 0\.w, .*7\.w and 4 more\.\n"):
        load_into([{"w": X}] * 12, {})
