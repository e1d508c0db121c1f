"""Pytrees of params as tensors by name, and the check of their names, shapes and dtypes.

A name is the path of a leaf with its keys joined by dots, such as "blocks.attention.qkv.w".
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_leaves_with_path

from jaxnn import core
from jaxnn.core import Tree

SHOWN = 8  # names in a message, of each kind of trouble


def flatten_names(params: Tree) -> dict[str, Any]:
    """Every leaf of a pytree by its name.

    Args:
      params: a pytree of arrays.

    Returns:
      A dict from names such as "blocks.attention.qkv.w" to arrays.

    Raises:
      TypeError: if a leaf is not an array of numbers.
      ValueError: if two leaves have the same name, which is possible for keys with dots in them.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.mlp(8, 2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> list(nn.interop.flatten_names(params))
    ['0.b', '0.w', '2.b', '2.w']
    """
    found: dict[str, Any] = {}
    for keys, leaf in tree_leaves_with_path(params):
        name = keystr(keys, simple=True, separator=".")
        if not hasattr(leaf, "dtype") or jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            raise TypeError(
                f"{name or 'the leaf'} is {core.describe(leaf)}, no array of numbers: leave it "
                "out, or give the numbers alone."
            )
        if name in found:
            raise ValueError(f"two leaves are named {name!r}: rename one of their keys.")
        found[name] = leaf
    return found


def load_into(like: Tree, tensors: Mapping[str, Any]) -> Tree:
    """A pytree in the structure of `like`, from the tensors with the names of its leaves.

    Floats are cast to the dtype of `like`; other arrays must have it. Nothing is filled in part:
    every leaf needs its tensor, and every tensor its leaf.

    Args:
      like: params, or `ShapeDtypeStruct`s from `jax.eval_shape(net.init, key, x)`.
      tensors: arrays by name.

    Returns:
      A pytree of arrays with the structure, shapes and dtypes of `like`.

    Raises:
      ValueError: if names are missing or left over, or shapes or dtypes differ, listing all of
        them.

    >>> import jax, jaxnn as nn
    >>> like, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.interop.load_into(like, {"w": jax.numpy.ones((3, 2)),
    ...     "b": jax.numpy.ones(2)})["b"].tolist()
    [1.0, 1.0]
    """
    wanted = flatten_names(like)
    check_names(wanted, tensors)
    leaves = [jnp.asarray(tensors[name], leaf.dtype) for name, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def check_names(
    wanted: Mapping[str, Any], tensors: Mapping[str, Any], spare: Collection[str] = ()
) -> None:
    """Raises ValueError unless the tensors are those that are wanted, in shape and in kind.

    Args:
      wanted: anything with a shape and a dtype, by name.
      tensors: what was given.
      spare: what the net wants and no tensor can be for, by the net's names: it is told as well.
    """
    troubles = []
    missing = [name for name in wanted if name not in tensors]
    if missing:
        troubles.append(f"missing: {listed(missing)}")
    other = [
        f"{name} is {core.describe(tensors[name])} and has to be {core.describe(leaf)}"
        for name, leaf in wanted.items()
        if name in tensors and not _fits(leaf, tensors[name])
    ]
    if other:
        troubles.append(f"misshapen: {listed(other)}")
    left = [name for name in tensors if name not in wanted]
    if left:
        troubles.append(f"left over among the tensors: {listed(left)}")
    if spare:
        troubles.append(f"left over in the net: {listed(list(spare))}")
    if troubles:
        raise ValueError(f"these tensors are not this net's. {'; '.join(troubles)}.")


def listed(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _fits(leaf: Any, tensor: Any) -> bool:
    kin = core.floating(leaf) and core.floating(tensor)
    return leaf.shape == tensor.shape and (kin or leaf.dtype == tensor.dtype)
