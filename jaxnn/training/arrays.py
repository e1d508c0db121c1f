"""What training takes as data: pytrees of arrays, each with its rows along the first axis."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from jaxnn.core import Tree, describe, floating


def as_arrays(data: Any, what: str) -> Tree:
    """The pytree with every leaf an array of numbers that JAX holds as they are.

    Arrays of other libraries come in by `__dlpack__` (PyTorch's tensors) or `__array__`.

    Raises:
      TypeError: if leaves are not arrays of numbers, such as Python numbers, strings and
        tables of pandas.
      ValueError: for integers that JAX's dtype would wrap, and floats that it would make infinite.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(data)
    listed = next((path for path, leaf in leaves if isinstance(leaf, int | float | str)), None)
    if listed is not None:
        place = what + jax.tree_util.keystr(listed[:1])
        raise TypeError(
            f"{place} holds Python values of type {type(_at(data, listed)).__name__}, not arrays: "
            "make it an array with np.asarray(...)."
        )
    arrays = [_array(leaf, what + jax.tree_util.keystr(path)) for path, leaf in leaves]
    return jax.tree.unflatten(structure, arrays)


def refuse_explicit_axes(data: Tree, what: str) -> None:
    """Raises ValueError where a leaf is sharded over an axis of type Explicit of a mesh.

    On such axes JAX asks the author of every product for the sharding of its output, which layers
    that know nothing of meshes cannot say.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        sharding: Any = jax.typeof(leaf).sharding if isinstance(leaf, jax.Array) else None
        mesh = getattr(sharding, "mesh", None)
        if mesh is None or AxisType.Explicit not in mesh.axis_types:
            continue
        if any(axis is not None for axis in sharding.spec):
            raise ValueError(
                f"{what}{jax.tree_util.keystr(path)} is sharded over Explicit axes of a mesh: make "
                "the mesh with axis_types=(jax.sharding.AxisType.Auto,) * its number of axes."
            )


def count_rows(data: Tree, what: str) -> int:
    """Rows of a pytree of arrays; raises ValueError where there are none or they differ."""
    leaves = jax.tree.leaves(data)
    if any(jnp.ndim(leaf) == 0 for leaf in leaves):
        raise ValueError(f"{what} holds a scalar, {describe(data)}: every leaf needs a row axis.")
    counts = {leaf.shape[0] for leaf in leaves}
    if len(counts) > 1:
        raise ValueError(f"{what} has leaves of unequal rows, {describe(data)}: make them equal.")
    if counts in (set(), {0}):
        raise ValueError(f"{what} has no rows, {describe(data)}: there is nothing to learn from.")
    return counts.pop()


def common_rows(batch: Tree, what: str) -> int | None:
    """The rows of a batch, None where its leaves share no row axis, such as those of one graph."""
    leaves = jax.tree.leaves(batch)
    counts = {leaf.shape[0] if jnp.ndim(leaf) else None for leaf in leaves}
    if counts in (set(), {0}):
        raise ValueError(f"{what} has no rows, {describe(batch)}: there is nothing to learn from.")
    return counts.pop() if len(counts) == 1 and None not in counts else None


def refuse_nan(data: Tree) -> None:
    """Raises ValueError where a floating leaf holds NaN, naming the leaf and its first row."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        if floating(leaf):
            bad = jnp.isnan(leaf).reshape(leaf.shape[0], -1).any(axis=1)
            if bad.any():
                raise ValueError(
                    f"data{jax.tree_util.keystr(path)} holds NaN in {int(bad.sum())} rows, first "
                    f"in row {int(bad.argmax())}: fill them in, or leave those rows out."
                )


def _at(data: Any, path: tuple) -> Any:
    leaves = jax.tree_util.tree_leaves_with_path(data)
    return next(leaf for held, leaf in leaves if held == path)


def _array(leaf: Any, place: str) -> Any:
    if isinstance(leaf, jax.Array):
        refuse_explicit_axes(leaf, place)
        return leaf
    if type(leaf).__module__.partition(".")[0] in ("pandas", "polars"):
        raise TypeError(
            f"{place} is a {type(leaf).__name__}, whose columns have no shape of their own: give "
            "its numbers, .to_numpy(), as float32."
        )
    if not isinstance(leaf, np.ndarray | np.generic):
        leaf = _foreign(leaf, place)
        if isinstance(leaf, jax.Array):
            return leaf
    if leaf.dtype.kind != "b" and not jnp.issubdtype(leaf.dtype, jnp.number):
        raise TypeError(f"{place} holds {leaf.dtype}, not numbers: encode it as numbers first.")
    held = jax.dtypes.canonicalize_dtype(leaf.dtype)
    if held != leaf.dtype and leaf.size:
        _refuse_overflow(leaf, held, place)
    return leaf


def _foreign(leaf: Any, place: str) -> Any:
    if hasattr(leaf, "__dlpack__"):
        leaf = leaf.detach() if hasattr(leaf, "detach") else leaf
        try:
            return np.from_dlpack(leaf)
        except (BufferError, RuntimeError):  # a dtype or a device that NumPy does not have
            return jnp.from_dlpack(leaf)
    if hasattr(leaf, "__array__"):
        return np.asarray(leaf)
    raise TypeError(f"{place} is a {type(leaf).__name__}, not an array: give arrays of numbers.")


def _refuse_overflow(leaf: Any, held: Any, place: str) -> None:
    if leaf.dtype.kind in "iu":
        limits = np.iinfo(held)
        bad = (leaf < limits.min) | (leaf > limits.max)
    elif leaf.dtype.kind == "f":
        bad = np.isfinite(leaf) & (np.abs(leaf) > np.finfo(held).max)
    else:
        return
    if bad.any():
        raise ValueError(
            f"{place} holds {leaf[bad].flat[0]}, which {held} cannot hold: number the values anew, "
            'scale them, or set jax.config.update("jax_enable_x64", True).'
        )
