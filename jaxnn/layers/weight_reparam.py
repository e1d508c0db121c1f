"""Weights computed from other params before a layer uses them, around any layer or cell.

Both wrappers find weights by path in the params of the wrapped layer: "w", "0/w", "body/0/w". Under
`repeat` and `ensemble` weights are stacked: wrap the repeated layer, `repeat(weight_norm(layer),
n)`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Net, Tree
from jaxnn.printing import factory
from jaxnn.tree import path_of

WARM_UP = 15  # power iterations in init, as in PyTorch
TINY = 1e-12  # below this, weights count as all zero


def named_w(path: str) -> bool:
    """Whether a path ends in the name "w", as those of weights do and those of biases do not."""
    return path.split("/")[-1] == "w"


@factory
def spectral_norm(layer: Any, *, steps: int = 1, where: Callable[[str], bool] = named_w) -> Net:
    """Divide every weight of a layer by its largest singular value: w / sigma.

    sigma = v . w u, with the singular vectors u [outputs] and v [inputs] of w [inputs, outputs]
    found by power iteration. In training, `steps` iterations u <- v w / |v w|, v <- w u / |w u|
    continue from the vectors in the state; evaluation uses those vectors as they are. No gradient
    passes through u and v. Weights that are all zero stay so.

    Args:
      layer: a layer or cell. Its params stay as they are, its state becomes {"vectors", "layer"}.
      steps: number of power iterations in each call in training; init takes 15.
      where: whether to choose a param, given its path, such as "0/w"; by default those named "w".
        All axes of a weight but the last are inputs, as in `dense` and `conv`.

    Returns:
      A layer or cell like `layer`.

    Raises:
      ValueError: if no param is chosen, or if one of them has fewer than two axes.

    (Miyato et al., Spectral normalization for generative adversarial networks, 2018.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.spectral_norm(nn.dense(2, bias=False), steps=20), jnp.eye(2)
    >>> params, state = net.init(jax.random.key(0), x)
    >>> y, state = net.apply(params, state, x, train=True)
    >>> round(float(jnp.linalg.norm(y, 2)), 3)
    1.0
    """
    child, steps = core.lift(layer), core.check_int(steps, "spectral_norm: steps")
    title = "spectral_norm"

    def init(key, x):
        with core.error_scope(title, None, child, x):
            params, inner = child.init(core.fold_in(key, 0), x)
        vectors = tuple(
            _iterate(w, _start(core.fold_in(core.fold_in(key, 1), i), w), WARM_UP)
            for i, w in enumerate(_chosen(params, where, title))
        )
        return params, {"vectors": vectors, "layer": inner}

    def carry(params, x):
        return core.initial_carry(child, params, x)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        state, chosen = core.require_state(state, title), _chosen(params, where, title)
        vectors = state["vectors"]
        if core.check_train(train):
            vectors = tuple(_iterate(w, v, steps) for w, v in zip(chosen, vectors, strict=True))
        scaled = _with(
            params, where, [_divided(w, v) for w, v in zip(chosen, vectors, strict=True)]
        )
        with core.error_scope(title, None, child, x):
            y, memory, inner = core.apply_either(
                child, scaled, state["layer"], memory, x, key=key, train=train
            )
        return (memory, y), {"vectors": vectors, "layer": inner}

    return core.layer_or_cell(title, init, carry, apply, child)


@factory
def weight_norm(layer: Any, *, where: Callable[[str], bool] = named_w) -> Net:
    """Learn length and direction of a layer's weights separately: w = g v / |v|.

    Each output has a length in g [outputs], initially that of v, so that the layer's output is as
    before.

    Args:
      layer: a layer or cell. Each chosen param w becomes {"g", "v"}.
      where: whether to choose a param, given its path, such as "0/w"; by default those named "w".
        All axes of a weight but the last are inputs, as in `dense` and `conv`. Weights that start
        at zero stay so.

    Returns:
      A layer or cell like `layer`.

    Raises:
      ValueError: if no param is chosen, or if one of them has fewer than two axes.

    (Salimans and Kingma, Weight normalization, 2016.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.weight_norm(nn.dense(2)), jnp.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> jax.tree.map(jnp.shape, params)
    {'b': (2,), 'w': {'g': (2,), 'v': (3, 2)}}
    """
    child = core.lift(layer)
    title = "weight_norm"

    def init(key, x):
        with core.error_scope(title, None, child, x):
            params, state = child.init(key, x)
        chosen = _chosen(params, where, title)
        return _with(params, where, [{"g": _lengths(v), "v": v} for v in chosen]), state

    def restored(params):
        pairs = _chosen(params, where, title, _is_pair)
        return _with(params, where, [_joined(**pair) for pair in pairs], _is_pair)

    def carry(params, x):
        return core.initial_carry(child, restored(params), x)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        params = restored(params)
        with core.error_scope(title, None, child, x):
            y, memory, state = core.apply_either(
                child, params, state, memory, x, key=key, train=train
            )
        return (memory, y), state

    return core.layer_or_cell(title, init, carry, apply, child)


# The power iteration


def _start(key: jax.Array, w: jax.Array) -> dict[str, jax.Array]:
    sizes = {"u": w.shape[-1], "v": w.size // w.shape[-1]}
    return {
        each: jax.random.normal(core.fold_in(key, i), (size,), w.dtype)
        for i, (each, size) in enumerate(sizes.items())
    }


def _iterate(w: jax.Array, vectors: dict, steps: int) -> dict[str, jax.Array]:
    u, v = vectors["u"], vectors["v"]
    matrix = jax.lax.stop_gradient(w).reshape(-1, w.shape[-1]).astype(u.dtype)
    _, u, v = jax.lax.fori_loop(0, steps, _step, (matrix, u, v))
    return {"u": u, "v": v}


def _step(_: Any, loop: tuple) -> tuple:
    # Not a closure, so that without jit the compiled loop is found in the cache.
    matrix, u, v = loop
    u = _unit(v @ matrix, u)
    return matrix, u, _unit(matrix @ u, v)


def _unit(vector: jax.Array, otherwise: jax.Array) -> jax.Array:
    # The iteration could not recover from a vector of zeros.
    norm = jnp.linalg.norm(vector)
    return jnp.where(norm > TINY, vector / jnp.maximum(norm, TINY), otherwise)


def _divided(w: jax.Array, vectors: dict) -> jax.Array:
    u, v = vectors["u"], vectors["v"]
    wide = w.astype(u.dtype)
    sigma = v @ wide.reshape(-1, w.shape[-1]) @ u
    return (wide / jnp.where(jnp.abs(sigma) > TINY, sigma, 1)).astype(w.dtype)


# Length and direction


def _lengths(v: jax.Array) -> jax.Array:
    """The norms of v over all axes but the last, [outputs], bounded away from 0."""
    return jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(v), range(v.ndim - 1)), TINY**2))


def _joined(g: jax.Array, v: jax.Array) -> jax.Array:
    wide = v.astype(core.param_dtype(v))
    return (
        wide * jnp.expand_dims(g.astype(wide.dtype) / _lengths(wide), range(v.ndim - 1))
    ).astype(v.dtype)


def _is_pair(node: Any) -> bool:
    return isinstance(node, dict) and set(node) == {"g", "v"}


# Weights by path


def _chosen(params: Tree, where: Callable, title: str, is_leaf: Callable | None = None) -> list:
    """The chosen weights, in the order of the params."""
    leaves = jax.tree_util.tree_leaves_with_path(params, is_leaf)
    paths = [path_of(path) for path, _ in leaves]
    weights = [leaf for path, (_, leaf) in zip(paths, leaves, strict=True) if where(path)]
    if not weights:
        raise ValueError(f"{title} found no weight among the params {paths}: choose one by where=.")
    for leaf in weights:
        if is_leaf and not is_leaf(leaf):
            raise ValueError(
                f"{title} takes {{'g', 'v'}} for a weight, got {core.describe(leaf)}: these are "
                "the params of another net."
            )
        if not is_leaf and leaf.ndim < 2:
            raise ValueError(
                f"{title} takes weights [..., outputs] of two axes at least, got "
                f"{core.describe(leaf)} among {paths}: choose others by where=."
            )
    return weights


def _with(params: Tree, where: Callable, values: list, is_leaf: Callable | None = None) -> Tree:
    """The params with the chosen ones replaced by the given values."""
    remaining = iter(values)

    def one(path, leaf):
        return next(remaining) if where(path_of(path)) else leaf

    return jax.tree_util.tree_map_with_path(one, params, is_leaf=is_leaf)
