"""Tensors by name in a safetensors file."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxnn.checks import install
from jaxnn.core import Tree
from jaxnn.interop.names import flatten_names, load_into


def save(path: str | os.PathLike, params: Tree) -> None:
    """Writes a pytree of arrays to a safetensors file, each as "blocks.attention.qkv.w".

    The file is written beside its place and then moved there, so that it is never there in part.

    Args:
      path: the file.
      params: any pytree of arrays; a dict of arrays by name keeps its names.

    Returns:
      None.

    Raises:
      ImportError: if safetensors is not installed, with the command that installs it.
      TypeError: if a leaf is not an array of numbers.
      ValueError: if two leaves have the same name, or safetensors does not have a dtype.

    >>> import jax, jaxnn as nn, tempfile
    >>> path = tempfile.mkdtemp() + "/net.safetensors"
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.interop.save(path, params)
    >>> {name: tensor.shape for name, tensor in nn.interop.load(path).items()}
    {'b': (2,), 'w': (3, 2)}
    """
    library = _library()
    # A view with other strides would be written in the order of its memory.
    tensors = {
        name: np.array(leaf, order="C", copy=None) for name, leaf in flatten_names(params).items()
    }
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Readers of Hugging Face's ask for this word.
        library.numpy.save_file(tensors, partial, metadata={"format": "pt"})
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except library.SafetensorError as error:
        raise ValueError(f"{path} was not written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def load(path: str | os.PathLike, like: Tree = None) -> Tree:
    """The arrays of a safetensors file by name, or as the pytree that `save` was given.

    Args:
      path: the file.
      like: params of the same structure, shapes and dtypes, or `ShapeDtypeStruct`s from
        `jax.eval_shape(net.init, key, x)`; see `load_into`.

    Returns:
      A dict from names to arrays of NumPy; with `like`, a pytree of arrays.

    Raises:
      ImportError: if safetensors is not installed, with the command that installs it.
      OSError: if there is no such file.
      ValueError: if the file is truncated or not a safetensors file, or NumPy does not have a
        dtype; if the file does not fit `like`, with the names that differ.

    >>> import jax, jaxnn as nn, tempfile
    >>> path = tempfile.mkdtemp() + "/net.safetensors"
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.interop.save(path, params)
    >>> same = nn.interop.load(path, like=params)
    >>> bool((same["w"] == params["w"]).all())
    True
    >>> sorted(nn.interop.load(path))
    ['b', 'w']
    """
    library = _library()
    with open(path, "rb") as file:
        head = file.read(4)
    if head == b"PK\x03\x04":
        raise ValueError(f"{path} is an archive: read a .pt file with nn.interop.load_torch.")
    try:
        tensors = library.numpy.load_file(path)
    except library.SafetensorError as error:
        raise ValueError(f"{path} is truncated, or no safetensors file ({error}).") from error
    except (AttributeError, KeyError) as error:
        raise ValueError(f"{path} holds a dtype that NumPy does not have ({error}).") from error
    if like is None:
        return tensors
    try:
        return load_into(like, tensors)
    except ValueError as error:
        error.add_note(f"in {path}")
        raise


def _library() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"safetensors files need safetensors: {install('train')}") from error
    return safetensors
