"""Low-rank adaptation: fine-tuning by a product of two thin matrices added to each weight."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core, tree
from jaxnn.checks import check_number
from jaxnn.core import Cell, Layer, Net, Tree
from jaxnn.printing import factory

BEGIN = jax.nn.initializers.zeros


@factory
def lora(
    layer: Layer | Cell,
    rank: int,
    *patterns: str,
    alpha: float | None = None,
    a_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = BEGIN,
) -> Net:
    """Replace the weights of a layer by w + (alpha / rank) a b, where a and b have few entries.

    Params are {"base", "lora"}: those of the layer, and by the path of each weight a [inputs, rank]
    and b [rank, outputs]. Under `repeat` and `ensemble` every slice has its own. To train only
    these, freeze the others: `nn.freeze(optimizer, "base/*")`. Insert the params of a trained net
    by `params | {"base": trained}`; `merge_lora` turns the result back into params of the layer.

    Args:
      layer: any layer, cell or net; it is not changed.
      rank: rank of the product.
      *patterns: paths of weights, such as "*/qkv/w", as in `labels`; by default all matrices named
        "w".
      alpha: scales the product by alpha / rank; by default by 1.
      a_init: initializer of a; LeCun normal by default.
      b_init: initializer of b; zeros by default, with which the net starts equal to the layer.

    Returns:
      A layer or cell with the inputs and outputs of `layer`.

    Raises:
      ValueError: if the rank is below 1 or above a side of a weight, if nothing matches or a match
        is not a matrix, or if the params belong to another net.

    (Hu et al., LoRA: low-rank adaptation of large language models, 2021.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn, optax
    >>> net, x = nn.lora(nn.mlp(8, 2), 2, "0/w"), jnp.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> jax.tree.map(jnp.shape, params["lora"])
    {'0/w': {'a': (3, 2), 'b': (2, 8)}}
    >>> optimizer = nn.freeze(optax.adam(1e-3), "base/*")
    """
    rank = core.check_int(rank, "lora: rank")
    if alpha is not None:
        check_number(alpha, "lora: alpha")
    scale = _scale(rank, alpha)

    def pair(key, path, w):
        *leading, inputs, outputs = w.shape
        if rank > min(inputs, outputs):
            raise ValueError(
                f"lora of rank {rank} exceeds a side of {path}, {core.describe(w)}: take a lower "
                "rank, or exclude it by patterns."
            )

        def one(i):
            slice_key = core.fold_in(key, i)
            a = a_init(core.fold_in(slice_key, 0), (inputs, rank), w.dtype)
            return {"a": a, "b": b_init(core.fold_in(slice_key, 1), (rank, outputs), w.dtype)}

        made = jax.vmap(one)(jnp.arange(math.prod(leading)))
        return jax.tree.map(lambda leaf: leaf.reshape(*leading, *leaf.shape[1:]), made)

    def init(key, x):
        base, state = layer.init(core.fold_in(key, 0), x)
        chosen, pair_key = _chosen(base, patterns), core.fold_in(key, 1)
        pairs = {
            path: pair(core.fold_in(pair_key, i), path, w)
            for i, (path, w) in enumerate(chosen.items())
        }
        return {"base": base, "lora": pairs}, state

    def carry(params, x):
        return core.initial_carry(layer, _merged(params, scale), x)

    def apply(params, state, carry_x, *, key=None, train=False):
        memory, x = carry_x
        merged = _merged(params, scale)
        y, memory, state = core.apply_either(layer, merged, state, memory, x, key=key, train=train)
        return (memory, y), state

    return core.layer_or_cell("lora", init, carry, apply, layer)


def merge_lora(params: Tree, *, alpha: float | None) -> Tree:
    """The params of the layer inside a `lora`, with each weight w + (alpha / rank) a b.

    Args:
      params: params of a `lora`.
      alpha: the alpha given to `lora`, None if none was given. It is not part of the params and has
        no default here, since a wrong one would silently give other weights.

    Returns:
      The params of the layer, with the shapes and dtypes of "base".

    Raises:
      ValueError: if the params are not those of a `lora`.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.lora(nn.dense(4), 2), jnp.ones((8, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> merged = nn.merge_lora(params, alpha=None)
    >>> bool((nn.dense(4)(merged, x) == net(params, x)).all())
    True
    """
    ranks = {pair["a"].shape[-1] for pair in _parts(params)[1].values()}
    return _merged(params, _scale(ranks.pop(), alpha))


def _scale(rank: int, alpha: float | None) -> float:
    return 1.0 if alpha is None else alpha / rank


def _parts(params: Tree) -> tuple[Tree, dict]:
    if not isinstance(params, dict) or set(params) != {"base", "lora"}:
        got = sorted(params) if isinstance(params, dict) else type(params).__name__
        raise ValueError(f"lora takes params ['base', 'lora'], got {got}: give those of nn.lora.")
    return params["base"], params["lora"]


def _chosen(base: Tree, patterns: tuple[str, ...]) -> dict[str, jax.Array]:
    """The weights to which a product is added, by path."""
    leaves = {tree.path_of(at): leaf for at, leaf in jax.tree_util.tree_leaves_with_path(base)}
    if patterns:
        taken = jax.tree.leaves(tree.mask_params(base, *patterns))
    else:
        taken = [path.split("/")[-1] == "w" and leaf.ndim > 1 for path, leaf in leaves.items()]
    chosen = {path: leaves[path] for path, keep in zip(leaves, taken, strict=True) if keep}
    flat = {path: core.describe(leaf) for path, leaf in chosen.items() if leaf.ndim < 2}
    if flat or not chosen:
        raise ValueError(
            f"lora takes matrices, got {flat or 'none'}: choose by patterns among "
            f"{', '.join(leaves)}."
        )
    return chosen


def _merged(params: Tree, scale: float) -> Tree:
    base, pairs = _parts(params)
    remaining = dict(pairs)

    def merge(at, w):
        pair = remaining.pop(tree.path_of(at), None)
        return w if pair is None else w + scale * jnp.matmul(pair["a"], pair["b"])

    merged = jax.tree_util.tree_map_with_path(merge, base)
    if remaining:
        raise ValueError(
            f"lora: {sorted(remaining)} match no weight: these are the params of another net."
        )
    return merged
