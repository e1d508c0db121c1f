"""Tensors by name from a .pt file of PyTorch, without PyTorch and without running its pickle.

Since PyTorch 1.6 such a file is a zip: one pickle describes the tensors, and their numbers are
beside it. Before, it was a row of pickles followed by the numbers. Both forms are read, and what is
read, kept and returned is bounded by the size of the file.
"""

import io
import math
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from jaxnn.interop.torch_pickle import DTYPES, Storage, Tensor, Unknown, read_pickle

MEND = "torch.save(model.state_dict(), path)"
MAGIC = 0x1950A86A20F9469CFC6C  # what a file of PyTorch's before 1.6 begins with
DEPTH = 64  # of dicts and lists in each other


def load_torch(path: str | os.PathLike, part: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .pt file of PyTorch by name; `load_into` puts them into the structure of a
    network.

    Nested dicts and lists are read as well, with their names joined by dots. What is not a tensor,
    such as an epoch or the settings of an optimizer, is left out. Arrays may share memory, as the
    tensors did.

    Args:
      path: the file.
      part: names joined by dots, such as "model" or "state.model", of the only part that is read;
        everything by default.

    Returns:
      A dict from names to arrays.

    Raises:
      OSError: if there is no such file.
      KeyError: if there is no such part, with the parts that there are.
      ValueError: if the file is truncated, damaged or without tensors, or holds an object of a
        class that is not PyTorch's, with its name; `part` may leave it out.

    >>> import jaxnn as nn
    >>> tensors = nn.interop.load_torch("net.pt", part="model")  # doctest: +SKIP
    """
    with open(path, "rb") as file:
        bare = file.read(1) == b"\x80"
        file.seek(0)
        if bare:
            made, numbers = _read_legacy(file, str(path))
            return _arrays(made, part, numbers, str(path))
    damage = (
        zipfile.BadZipFile,
        EOFError,
        RuntimeError,
        NotImplementedError,
        OSError,
        struct.error,
    )
    try:
        with zipfile.ZipFile(path) as archive:
            made, numbers = _read_zip(archive, str(path))
            return _arrays(made, part, numbers, str(path))
    except damage as error:
        raise ValueError(f"{path} is truncated or damaged, or no .pt file ({error}).") from error


def _arrays(made: Any, part: str | None, numbers: Any, path: str) -> dict[str, np.ndarray]:
    node = made
    for name in part.split(".") if part else ():
        names = {str(key): key for key in node} if isinstance(node, dict) else {}
        if name not in names:
            raise KeyError(f"{path} has no part {part!r}: there are {sorted(names) or 'none'}.")
        node = node[names[name]]
    views: dict[str, Tensor] = {}
    for name, view in _views(node, part or "", path, set(), 0):
        name = name[len(part) + 1 :] if part else name
        if name in views:
            raise ValueError(f"{path} holds two tensors named {name!r}: rename one.")
        views[name] = view
    if not views:
        raise ValueError(f"{path} holds no tensors by name: write them with {MEND}.")
    storages = {view.storage: numbers(view.storage) for view in views.values()}
    return {name: _array(storages[view.storage], view, name, path) for name, view in views.items()}


def _views(node: Any, name: str, path: str, seen: set, depth: int) -> Iterator[tuple[str, Tensor]]:
    """The tensors in dicts and lists within each other, by their keys joined by dots."""
    if isinstance(node, Tensor):
        if name:
            yield name, node
        return
    if isinstance(node, Unknown):
        raise ValueError(
            f"{path} was refused: its pickle asks for {node.name}{f', as {name}' if name else ''}. "
            f"No code of it is run: choose a part without it, or write {MEND}."
        )
    if not isinstance(node, dict | list | tuple) or isinstance(node, Storage):
        return
    if id(node) in seen or depth > DEPTH:
        if not len(node):
            return
        raise ValueError(f"{path} was refused: {name!r} is met twice, or lies too deep.")
    seen.add(id(node))
    items = dict.items(node) if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        yield from _views(value, f"{name}.{key}" if name else str(key), path, seen, depth + 1)


# The two forms of file


def _read_zip(archive: zipfile.ZipFile, path: str) -> tuple[Any, Any]:
    program = [name for name in archive.namelist() if PurePosixPath(name).name == "data.pkl"]
    if len(program) != 1:
        raise ValueError(f"{path} is an archive without one data.pkl: write it with {MEND}.")
    folder = PurePosixPath(program[0]).parent
    order = str(folder / "byteorder")
    if order in archive.namelist() and _bytes(archive, order, path) != b"little":
        raise ValueError(f"{path} is big-endian: load it with PyTorch and write it anew, {MEND}.")
    made = read_pickle(io.BytesIO(_bytes(archive, program[0], path)), path)

    def numbers(storage):
        name = str(folder / "data" / storage.key)
        return _numbers(_bytes(archive, name, path), storage, name, path)

    return made, numbers


def _read_legacy(file: Any, path: str) -> tuple[Any, Any]:
    if read_pickle(file, path) != MAGIC:
        raise ValueError(f"{path} is a bare pickle, and none of PyTorch's: write {MEND}.")
    read_pickle(file, path)  # the version of the form
    system = read_pickle(file, path)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError(f"{path} is big-endian: load it with PyTorch and write it anew, {MEND}.")
    made = read_pickle(file, path)
    keys = read_pickle(file, path)
    if not isinstance(keys, list) or not all(type(key) is str for key in keys):
        raise ValueError(f"{path} is damaged: it does not say which numbers lie in it.")
    rest = file.read()
    starts, place = {}, 0
    kinds = {storage.key: storage for storage in _storages(made)}
    for key in keys:
        if key not in kinds or place + 8 > len(rest):
            raise ValueError(f"{path} is truncated or damaged: the numbers of {key} are missing.")
        count = int.from_bytes(rest[place : place + 8], "little", signed=True)
        size = count * np.dtype(DTYPES[kinds[key].kind]).itemsize
        if count < 0 or place + 8 + size > len(rest):
            raise ValueError(f"{path} is truncated or damaged: the numbers of {key} are missing.")
        starts[key] = place + 8, size
        place += 8 + size

    def numbers(storage):
        start, size = starts.get(storage.key, (0, -1))
        if size < 0:
            raise ValueError(f"{path} is damaged: the numbers of {storage.key} are missing.")
        return _numbers(rest[start : start + size], storage, storage.key, path)

    return made, numbers


def _storages(node: Any) -> Iterator[Storage]:
    """The storages of all tensors, each dict and list visited once."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, Tensor):
            yield node.storage
        elif isinstance(node, Storage):
            yield node
        elif isinstance(node, dict | list | tuple) and id(node) not in seen:
            seen.add(id(node))
            waiting.extend(dict.values(node) if isinstance(node, dict) else node)


def _bytes(archive: zipfile.ZipFile, name: str, path: str) -> bytes:
    try:
        found = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"{path} is damaged: its {name} is missing.") from None
    if found.compress_type != zipfile.ZIP_STORED:
        # PyTorch compresses nothing; what does could swell without end.
        raise ValueError(f"{path} was refused: its {name} is compressed; write it with {MEND}.")
    return archive.read(found)


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
    if math.prod(shape) > max(numbers.size, 1):
        raise ValueError(
            f"{path} was refused: {name!r} of shape {list(shape)} claims more numbers than the "
            f"{numbers.size} of its storage: save tensor.clone() in the place of an expanded one."
        )
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    steps = [s * numbers.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], shape, steps, writeable=False)
