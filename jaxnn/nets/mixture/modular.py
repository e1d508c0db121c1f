"""Modular networks: independent modules side by side, each on a part of the input, and a combiner.

`modular` has n modules of one kind, computed together as one vmap; modules of several kinds go into
`jaxnn.parallel`. If a gate decides which module is heard, it is a mixture of experts: with all of
them in `jaxnn.nets.mixture.dense`, with a few of many in `jaxnn.nets.mixture.sparse`. To take,
swap, freeze or place one module among the others, see `jaxnn.nets.mixture.module_params`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.combine import ensemble
from jaxnn.core import Cell, Layer
from jaxnn.flow import wire
from jaxnn.printing import factory


def average(outputs: jax.Array) -> jax.Array:
    """The mean over modules, which are the first axis.

    Args:
      outputs: the outputs of n modules, [n, batch, ...].

    Returns:
      The mean [batch, ...], of the same dtype.

    Raises:
      ValueError: if there is no module or no batch axis.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.average(jnp.array([[[1.0], [2.0]], [[3.0], [4.0]]])).tolist()
    [[2.0], [3.0]]
    """
    return _check_outputs(outputs, "average").mean(axis=0)


def join_features(outputs: jax.Array) -> jax.Array:
    """The features of all modules side by side; modules are the first axis.

    Args:
      outputs: the outputs of n modules, [n, ..., features].

    Returns:
      The joined features [..., n features], of the same dtype.

    Raises:
      ValueError: if there is no module or no batch axis.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.join_features(jnp.arange(4).reshape(2, 1, 2)).tolist()
    [[0, 1, 2, 3]]
    """
    _check_outputs(outputs, "join_features")
    return jnp.moveaxis(outputs, 0, -2).reshape(*outputs.shape[1:-1], -1)


def _check_outputs(outputs: jax.Array, title: str) -> jax.Array:
    if outputs.ndim < 2 or not outputs.shape[0]:
        raise ValueError(
            f"{title} takes the outputs of at least one module, [modules, batch, ...], got "
            f"{core.describe(outputs)}."
        )
    return outputs


def feature_parts(n: int) -> Callable:
    """A function that splits the features into n equal parts, which become the first axis.

    Args:
      n: the number of parts.

    Returns:
      A function from x [..., n f] to its parts [n, ..., f], of x's dtype. It raises ValueError if
      the number of features is not a multiple of n.

    Raises:
      ValueError: if n is less than 1.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.mixture.feature_parts(2)(jnp.arange(4).reshape(1, 4)).tolist()
    [[[0, 1]], [[2, 3]]]
    """
    n = core.check_int(n, "feature_parts: n")

    def parts(x):
        if x.ndim == 0 or x.shape[-1] % n:
            raise ValueError(
                f"feature_parts({n}) splits the features into {n} equal parts, got "
                f"{core.describe(x)}: give a multiple of {n} features."
            )
        return jnp.moveaxis(x.reshape(*x.shape[:-1], n, x.shape[-1] // n), -2, 0)

    return parts


@factory
def vmap_modules(layer: Any, n: int) -> Layer:
    """n copies of a layer, each with its own params and its own input, computed as one vmap.

    y_i = f(params_i, x_i)

    `jaxnn.ensemble` gives all copies the same input.

    Args:
      layer: the layer f.
      n: the number of copies.

    Returns:
      A layer from x to y, pytrees in which every leaf is [n, ...]; so are all leaves of params and
      state. The dtype of y is that of the layer's output.

    Raises:
      TypeError: if the layer is a cell.
      ValueError: if n is less than 1; at init, if the first axis of x is not n.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.mixture.vmap_modules(nn.dense(2), 5), jnp.ones((5, 4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, net(params, x).shape
    ((5, 3, 2), (5, 4, 2))
    """
    child, n = core.lift(layer), core.check_int(n, "vmap_modules: n")
    if isinstance(child, Cell):
        raise TypeError("vmap_modules takes a layer, got a cell: unroll it first.")

    def check_leading(x):
        for leaf in jax.tree.leaves(x):
            if leaf.ndim == 0 or leaf.shape[0] != n:
                raise ValueError(
                    f"vmap_modules of {n} modules takes [{n}, ...], got {core.describe(leaf)}."
                )

    def init(key, x):
        check_leading(x)
        one = jax.eval_shape(lambda x: jax.tree.map(lambda leaf: leaf[0], x), x)
        with core.error_scope("vmap_modules", None, child, one):
            return jax.vmap(lambda i: child.init(core.fold_in(key, i), one))(jnp.arange(n))

    def apply(params, state, x, *, key=None, train=False):
        check_leading(x)

        def member(params, state, x, i):
            return child.apply(params, state, x, key=core.fold_in(key, i), train=train)

        with core.error_scope("vmap_modules", None, child, x):
            return jax.vmap(member)(params, state, x, jnp.arange(n))

    return Layer(init, apply)


@factory
def modular(
    module: Any, n: int, combine: Any = average, *, parts: Callable | None = None
) -> core.Net:
    """n modules side by side, each on its part of the input, and a combiner of their outputs.

    y = combine([m_1(x_1), ..., m_n(x_n)])

    The params are {"modules", "combine"}; those of the modules have a leading axis of n.

    Args:
      module: a layer; the modules are copies of it, each with its own params.
      n: the number of modules.
      combine: a layer or function of the outputs [n, batch, ...]: `average` by default,
        `join_features`, or for example `serial(join_features, mlp(16, 1))`.
      parts: a function of x that returns a pytree with leaves [n, batch, ...], the part of each
        module, such as `feature_parts(n)`; by default all modules take all of x.

    Returns:
      A layer from x [batch, ...] to the output of the combiner.

    Raises:
      ValueError: if n is less than 1; at init, if the first axis of the parts is not n.

    (Auda and Kamel, Modular neural networks: a survey, 1999.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> parts = nn.mixture.feature_parts(3)
    >>> net = nn.mixture.modular(nn.mlp(8, 2), 3, nn.mixture.join_features, parts=parts)
    >>> x = jnp.ones((4, 6))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> params["modules"][0]["w"].shape, jax.eval_shape(net, params, x).shape
    ((3, 2, 8), (4, 6))
    """
    modules = ensemble(module, n) if parts is None else vmap_modules(module, n)

    def flow(f, x):
        return f.combine(f.modules(x if parts is None else parts(x)))

    return wire(flow, modules=modules, combine=combine)
