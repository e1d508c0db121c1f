"""The dtypes of params and inputs: which leaves are floats, and in which dtype they are
computed."""

from typing import Any

import jax
import jax.numpy as jnp

Tree = Any  # a pytree of arrays


def floating(leaf: Any) -> bool:
    """Whether a leaf holds floats."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def float_dtype(x: Tree) -> Any:
    """The dtype of the floating leaves of x, float32 where there are none."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(x) if floating(leaf)]
    return jnp.result_type(*dtypes) if dtypes else jnp.dtype(jnp.float32)


def param_dtype(x: Tree) -> Any:
    """The dtype of params for the example x: that of its floats, but float32 at least."""
    dtype = float_dtype(x)
    return dtype if dtype.itemsize > 4 else jnp.dtype(jnp.float32)


def cast(tree: Tree, dtype: Any) -> Tree:
    """Every floating leaf in `dtype`, all others as they are.

    Args:
      tree: a pytree of arrays.
      dtype: such as `jax.numpy.bfloat16`.

    Returns:
      A pytree with the structure of tree.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.cast({"w": jnp.ones(2), "count": jnp.ones((), int)}, jnp.bfloat16)["w"].dtype.name
    'bfloat16'
    """
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if floating(leaf) else leaf, tree)


def at_least_float32(tree: Tree) -> Tree:
    """Every floating leaf in the widest dtype among them, float32 at least: sums need it."""
    wide = any(floating(leaf) and leaf.dtype.itemsize > 4 for leaf in jax.tree.leaves(tree))
    return cast(tree, jnp.float64 if wide else jnp.float32)
