"""Pytrees of params by path: labels and masks for optax, freezing, counts.

A path is the keys joined by "/", such as "encoder/0/w"; patterns are those of a shell: "*" matches
anything, also "/", so that "*/b" matches all biases and "encoder/*" all of the encoder.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import jax
import optax

from jaxnn.core import Tree

UNDECAYED = ("b", "b_h", "bias", "scale")


def path_of(keys: Any) -> str:
    """The path of a leaf as text."""
    return jax.tree_util.keystr(keys, simple=True, separator="/")


def label_params(params: Tree, patterns: Mapping[str, str], default: str) -> Tree:
    """A label for every leaf, for optax: that of the first pattern that matches its path.

    Args:
      params: a pytree of arrays.
      patterns: labels by pattern.
      default: the label of leaves that no pattern matches.

    Returns:
      A pytree of strings with the structure of params.

    Raises:
      ValueError: if a pattern matches no path.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.mlp(8, 2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.label_params(params, {"0/*": "frozen"}, "trained")[0]
    {'b': 'frozen', 'w': 'frozen'}
    """
    paths = [path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise ValueError(f"patterns: no path matches {pattern!r} of {', '.join(paths)}.")

    def label(keys, leaf):
        path = path_of(keys)
        found = (name for pattern, name in patterns.items() if fnmatchcase(path, pattern))
        return next(found, default)

    return jax.tree_util.tree_map_with_path(label, params)


def mask_params(params: Tree, *patterns: str) -> Tree:
    """A mask for optax: true for every leaf whose path matches a pattern.

    Args:
      params: a pytree of arrays.
      patterns: the patterns.

    Returns:
      A pytree of bools with the structure of params.

    Raises:
      ValueError: if a pattern matches no path.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.mask_params(params, "w")
    {'b': False, 'w': True}
    """
    chosen = label_params(params, dict.fromkeys(patterns, "chosen"), "")
    return jax.tree.map(lambda label: label == "chosen", chosen)


def decayed(params: Tree) -> Tree:
    """A mask of the params that weight decay is meant for: all but biases and the scales of norms.

    It goes by the name of the leaf, since a bias under `repeat` has two axes like any matrix.

    Args:
      params: a pytree of arrays.

    Returns:
      A pytree of bools with the structure of params.

    >>> import jax, jaxnn as nn, optax
    >>> optimizer = optax.adamw(1e-3, mask=nn.decayed)
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> nn.decayed(params)
    {'b': False, 'w': True}
    """

    def decays(keys, leaf):
        return path_of(keys).split("/")[-1] not in UNDECAYED

    return jax.tree_util.tree_map_with_path(decays, params)


def freeze(
    optimizer: optax.GradientTransformation, *patterns: str
) -> optax.GradientTransformationExtraArgs:
    """The optimizer with some params left as they are, without moments for them.

    Args:
      optimizer: any optimizer of optax.
      patterns: of the paths of the params that are frozen.

    Returns:
      An optimizer.

    Raises:
      ValueError: at its `init`, if a pattern matches no path.

    >>> import jax, jaxnn as nn, optax
    >>> optimizer = nn.freeze(optax.adam(1e-3), "encoder/*")
    """
    frozen = dict.fromkeys(patterns, "frozen")
    return optax.multi_transform(
        {"trained": optimizer, "frozen": optax.set_to_zero()},
        lambda params: label_params(params, frozen, "trained"),
        mask_compatible_extra_args=True,
    )


def count_params(tree: Tree) -> int:
    """The number of entries of all arrays of a pytree.

    Args:
      tree: a pytree of arrays or `ShapeDtypeStruct`s.

    Returns:
      An int.

    Raises:
      TypeError: if a leaf is not an array.

    >>> import jax, jaxnn as nn
    >>> nn.count_params(nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))[0])
    8
    """
    return sum(leaf.size for leaf in jax.tree.leaves(_arrays(tree, "size")))


def nbytes(tree: Tree) -> int:
    """The number of bytes of all arrays of a pytree.

    Args:
      tree: a pytree of arrays or `ShapeDtypeStruct`s.

    Returns:
      An int.

    Raises:
      TypeError: if a leaf is not an array.

    >>> import jax, jaxnn as nn
    >>> nn.nbytes(nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))[0])
    32
    """
    leaves = jax.tree.leaves(_arrays(tree, "nbytes"))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _arrays(tree: Tree, title: str) -> Tree:
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"{title} takes a pytree of arrays, got {type(leaf).__name__} at "
                f"{path_of(keys) or 'its root'}."
            )
    return tree
