"""Tensors by name from a .pt file of PyTorch's, without PyTorch and without running its pickle.

Such a file is a zip: one pickle says which tensors there are, and the numbers lie beside it. A
pickle is a program. Here it may call two functions, both ours, and make an `OrderedDict`; any other
name it asks for is refused. What it builds are plain tuples that say where a tensor lies; only
then are numbers read.
"""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
}
MEND = "torch.save(model.state_dict(), path)"


class Storage(NamedTuple):
    """A file of numbers in the archive."""

    kind: str
    key: str
    count: int


class Tensor(NamedTuple):
    """A tensor: numbers of a storage from an offset on, with strides in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def load_torch(path: Any) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch state dict by name; `fill` puts them in the structure of a net.

    Dicts within the dict are read as well, with their names joined by dots. Arrays may be views of
    one memory, as the tensors were.

    Raises:
      OSError: where there is no file.
      ValueError: for a file that is truncated or damaged, one of PyTorch's before 1.6, one that
        holds anything but tensors, and for a pickle that asks for anything else, by its name.

    >>> import jaxnn as nn
    >>> tensors = nn.interop.load_torch("net.pt")  # doctest: +SKIP
    """
    with open(path, "rb") as file:
        head = file.read(4)
    if head[:1] == b"\x80":
        raise ValueError(
            f"{path} is a bare pickle, as PyTorch wrote before 1.6: load it with PyTorch there and "
            f"write it anew, {MEND}."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, str(path))
    except (zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise ValueError(f"{path} is truncated or damaged, or no .pt file ({error}).") from error


def _read(archive: zipfile.ZipFile, path: str) -> dict[str, np.ndarray]:
    program = [name for name in archive.namelist() if PurePosixPath(name).name == "data.pkl"]
    if len(program) != 1:
        raise ValueError(f"{path} is an archive without one data.pkl: write it with {MEND}.")
    folder = PurePosixPath(program[0]).parent
    order = str(folder / "byteorder")
    if order in archive.namelist() and _bytes(archive, order, path) != b"little":
        raise ValueError(f"{path} is big-endian: load it with PyTorch and write it anew, {MEND}.")
    made = _unpickle(_bytes(archive, program[0], path), path)
    views = dict(_views(made, "", path, {}))
    storages = {view.storage: str(folder / "data" / view.storage.key) for view in views.values()}
    held = {
        storage: _numbers(_bytes(archive, name, path), storage, name, path)
        for storage, name in storages.items()
    }
    return {name: _array(held[view.storage], view, name, path) for name, view in views.items()}


def _bytes(archive: zipfile.ZipFile, name: str, path: str) -> bytes:
    try:
        found = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"{path} is damaged: its {name} is missing.") from None
    if found.compress_type != zipfile.ZIP_STORED:
        # PyTorch compresses nothing; what does could swell without end.
        raise ValueError(f"{path} was refused: its {name} is compressed; write it with {MEND}.")
    return archive.read(found)


# The pickle


def _unpickle(program: bytes, path: str) -> Any:
    # Made anew for each file: what a pickle is given, it could change for the next one.
    def rebuild_tensor(storage, offset, shape, strides, *rest):
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor lies in no storage")
        return Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))

    def rebuild_parameter(view, *rest):
        return view

    admitted: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
        ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
        **{("torch", kind): kind for kind in DTYPES},
    }

    class Reader(pickle.Unpickler):
        def find_class(self, module, name, /):
            if (module, name) not in admitted:
                raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}")
            return admitted[module, name]

        def persistent_load(self, pid, /):
            word, kind, key, _, count = pid
            if word != "storage" or kind not in DTYPES:
                raise pickle.UnpicklingError(f"its pickle asks for a {word} of {kind}")
            return Storage(str(kind), str(key), int(count))

    try:
        return Reader(io.BytesIO(program)).load()
    except Exception as error:  # a pickle can go wrong in any way
        raise ValueError(
            f"{path} was refused: {error}. Tensors alone are read, and no code is run: {MEND}."
        ) from error


def _views(node: Any, name: str, path: str, seen: dict) -> Iterator[tuple[str, Tensor]]:
    """The tensors in dicts within dicts, by their keys joined by dots."""
    if isinstance(node, Tensor) and name:
        if name in seen:
            raise ValueError(f"{path} holds two tensors named {name!r}: rename one.")
        seen[name] = node
        yield name, node
        return
    if not isinstance(node, dict) or id(node) in seen:
        kind = "dict met before" if isinstance(node, dict) else type(node).__name__
        place = f"{name!r} is" if name else "it is"
        raise ValueError(
            f"{path} holds more than tensors by name, {place} a {kind}: write them alone, {MEND}."
        )
    seen[id(node)] = node
    # Its own `items` could be anything, set by the pickle.
    for key, value in dict.items(node):
        yield from _views(value, f"{name}.{key}" if name else str(key), path, seen)


# The numbers


def _numbers(data: bytes, storage: Storage, name: str, path: str) -> np.ndarray:
    dtype = np.dtype(DTYPES[storage.kind])
    if len(data) != storage.count * dtype.itemsize:
        raise ValueError(
            f"{path} is damaged: its {name} has {len(data)} bytes for {storage.count} numbers of "
            f"{dtype}."
        )
    return np.frombuffer(data, dtype)


def _array(numbers: np.ndarray, view: Tensor, name: str, path: str) -> np.ndarray:
    shape, strides = view.shape, view.strides
    last = view.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=False))
    positive = min((view.offset, *shape, *strides)) >= 0
    if len(shape) != len(strides) or not positive or (0 not in shape and last >= len(numbers)):
        raise ValueError(
            f"{path} is damaged: {name!r} of shape {list(shape)} reaches beyond its storage."
        )
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    steps = [s * numbers.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], shape, steps, writeable=False)
