"""Sparse mixtures of experts: a router sends each row to a few of many experts.

Such a net has many times the params of a dense net for the same work per row. The auxiliary losses
that keep all experts in use, and the usage of each expert, are in the state as a `Routing`;
`routed` adds them to the loss of a net.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice
from jaxnn.combine import ensemble
from jaxnn.core import Layer, Tree
from jaxnn.layers.dense import dense
from jaxnn.layers.feed_forward import feed_forward
from jaxnn.nets.mixture.modular import vmap_modules
from jaxnn.nets.mixture.routing import (
    NOWHERE,
    Choice,
    Routing,
    capacity_slots,
    gather,
    router_stats,
    scatter,
    top_k_route,
)
from jaxnn.printing import factory
from jaxnn.sequences.masks import split_mask, valid_steps, zero_masked

FORMS = ("auto", "blocks", "ragged")


@factory
def sparse_mixture(
    width: int,
    n: int,
    top_k: int = 2,
    *,
    capacity: float | None = None,
    shared: int = 0,
    activation: Callable = jax.nn.gelu,
    gated: bool = False,
    bias: bool = True,
    form: str = "auto",
    axis_name: str | None = None,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
    out_init: Callable | None = None,
) -> Layer:
    """A router and n feed-forward experts, top_k of which process each row.

    y = sum over the top_k experts i of g_i f_i(x)

    g is the softmax of the router's logits x w over the chosen experts, or over all experts if
    top_k is 1. The layer takes the place of a `feed_forward`.

    The params are {"router", "experts"}, and "shared" with shared experts; those of the experts
    are the params of `ensemble(feed_forward(width), n)`. The state is a `Routing` of the last pass.

    With a capacity, each expert accepts ceil(capacity rows top_k / n) rows in training, first
    choices first; the others are dropped and contribute zeros, so that in a residual they pass
    unchanged. Nothing is dropped without a capacity, or in evaluation, in which the rows of a batch
    must not affect each other.

    Args:
      width: the number of hidden features of each expert.
      n: the number of experts.
      top_k: the number of experts that process each row.
      capacity: the room of each expert in training, as a multiple of an equal share of the rows;
        1.25 is usual, and None sets no limit.
      shared: the number of additional experts of the same width that process every row, with a
        weight of 1.
      activation: a function of arrays, applied to the hidden features of each expert.
      gated: whether the experts are gated, as in `feed_forward`.
      bias: whether the dense layers of the experts have biases.
      form: how rows are grouped if none is dropped: "ragged" uses `jax.lax.ragged_dot`; "blocks"
        pads the rows of each expert to whole blocks. "auto" uses blocks on a CPU, where XLA
        computes a ragged product as n whole ones, and ragged elsewhere.
      axis_name: the mesh axis over which `jax.shard_map` splits both rows and experts; rows travel
        by all-to-all. `expert_parallel` sets all of this up.
      w_init: an initializer of the experts' weights.
      b_init: an initializer of the experts' biases.
      out_init: an initializer of the weights of each expert's last layer; `w_init` by default.

    Returns:
      A layer from x [..., features] to y [..., features] of x's dtype. For (x, mask), with mask
      bool [batch, time], the padding goes to no expert, takes no room, counts in no loss or usage,
      and its output is zero.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if top_k exceeds n, if the capacity is not positive, or if the form is unknown; at
        the first call, if the params belong to another net.

    (Shazeer et al., Outrageously large neural networks, 2017; top_k = 1: Fedus, Zoph and Shazeer,
    Switch transformers, 2021; z loss: Zoph et al., ST-MoE, 2022; shared experts: Dai et al.,
    DeepSeekMoE, 2024; blocks: Gale et al., MegaBlocks, 2022.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.mixture.sparse_mixture(16, 4, 2, shared=1), jnp.ones((6, 5, 8))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> y, state = jax.eval_shape(net.apply, params, state, x)
    >>> y.shape, params["experts"]["up"]["w"].shape, state.usage.shape
    ((6, 5, 8), (4, 8, 16), (4,))
    """
    width = core.check_int(width, "sparse_mixture: width")
    n = core.check_int(n, "sparse_mixture: n")
    top_k, shared = _check_options(n, top_k, capacity, shared, form)
    options: dict[str, Any] = {"activation": activation, "gated": gated, "bias": bias}
    options |= {"w_init": w_init, "b_init": b_init, "out_init": out_init}
    expert = feed_forward(width, **options)
    router, common = dense(n, bias=False), feed_forward(max(shared, 1) * width, **options)
    parts = ("router", "experts", "shared") if shared else ("router", "experts")

    def init(key, x):
        x, _ = split_mask(x, "sparse_mixture", segments=True)
        core.check_features(x, "sparse_mixture")
        layers = (router, ensemble(expert, n), common)
        params = {
            part: layer.init(core.fold_in(key, i), x)[0]
            for i, (part, layer) in enumerate(zip(parts, layers, strict=False))
        }
        # An array for each statistic, since a train step cannot donate one buffer twice.
        shapes = {"balance": (), "z": (), "usage": (n,), "dropped": ()}
        zeros = {title: jnp.zeros(shape, core.param_dtype(x)) for title, shape in shapes.items()}
        return params, Routing(**zeros)

    def apply(params, state, x, *, key=None, train=False):
        core.require_state(state, "sparse_mixture")
        x, mask = split_mask(x, "sparse_mixture", segments=True)
        mask = valid_steps(mask)
        x = x if mask is None else zero_masked(x, mask)
        valid = None if mask is None else jnp.asarray(mask).reshape(-1)
        rows = jnp.asarray(core.check_features(x, "sparse_mixture")).reshape(-1, x.shape[-1])
        core.unpack_params(params, x, "sparse_mixture", *parts)
        logits = router(params["router"], rows.astype(core.param_dtype(x)))
        choice = top_k_route(logits, top_k, valid)
        room = None if axis_name is None else rows.shape[0]
        if core.check_train(train) and capacity is not None:
            room = max(math.ceil(capacity * rows.shape[0] * top_k / n), 1)
        if rows.shape[0] == 0:
            y, dropped = rows, jnp.zeros((), jnp.int32)
        elif room is None:
            y = _dropless(params["experts"], rows, choice, expert, activation, form)
            dropped = jnp.zeros((), jnp.int32)
        else:
            y, dropped = _with_capacity(expert, params["experts"], rows, choice, room, axis_name)
        y = y + common(params["shared"], rows) if shared else y
        y = y if valid is None else jnp.where(valid[:, None], y, 0)
        return y.reshape(x.shape), router_stats(logits, choice, dropped, axis_name, valid)

    return Layer(init, apply, "sparse_mixture")


def _check_options(
    n: int, top_k: int, capacity: float | None, shared: int, form: str
) -> tuple[int, int]:
    top_k = core.check_int(top_k, "sparse_mixture: top_k")
    if top_k > n:
        raise ValueError(f"sparse_mixture: a row cannot go to top_k = {top_k} of {n} experts.")
    if capacity is not None and not 0 < capacity < math.inf:
        raise ValueError(
            f"sparse_mixture: a capacity is a positive multiple of an equal share of rows, got "
            f"{capacity!r}: 1.25 is usual, and None drops nothing."
        )
    check_choice(form, "sparse_mixture: form", FORMS)
    return top_k, core.check_int(shared, "sparse_mixture: shared", 0)


# Computing the experts


def _with_capacity(
    expert: Layer, params: Tree, x: jax.Array, choice: Choice, room: int, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """The outputs of experts that accept `room` rows each, and the number of dropped copies."""
    n, size = len(choice.counts), len(choice.counts) * room
    slot = capacity_slots(choice, room * jnp.arange(n, dtype=jnp.int32), room, size)
    inside = scatter(x, slot, size).reshape(n, room, -1)
    if axis_name is None:
        y = vmap_modules(expert, n)(params, inside)
    else:  # send the rows to the devices of their experts, and the results back
        send = partial(jax.lax.all_to_all, axis_name=axis_name, tiled=True)
        local = jax.tree.leaves(params)[0].shape[0]
        y = vmap_modules(expert, local)(params, send(inside, split_axis=0, concat_axis=1))
        y = send(y, split_axis=1, concat_axis=0)
    y = gather(y.reshape(size, -1), slot, choice.weights.astype(x.dtype))
    return y, ((slot == size) & (choice.ranks < NOWHERE)).sum(dtype=jnp.int32)


def _dropless(params, x, choice, expert: Layer, activation: Callable, form: str) -> jax.Array:
    ragged, blocks = partial(_ragged, activation), partial(_blocks, expert)
    if form == "auto":
        return jax.lax.platform_dependent(params, x, choice, cpu=blocks, default=ragged)
    return (ragged if form == "ragged" else blocks)(params, x, choice)


def _ragged(activation: Callable, params: Tree, x: jax.Array, choice: Choice) -> jax.Array:
    """The copies sorted by expert, without gaps, in ragged products with a group per expert."""
    size, counts = choice.experts.size, choice.counts
    slot = capacity_slots(choice, jnp.cumsum(counts, dtype=jnp.int32) - counts, size, size)
    owner = jnp.repeat(jnp.arange(len(counts), dtype=jnp.int32), counts, total_repeat_length=size)
    params = core.cast(params, x.dtype)

    def layer(name, h):
        # Under vmap, ragged_dot needs a batch of weights as well; XLA removes this zero.
        w = params[name]["w"] + (counts[0] * 0).astype(h.dtype)
        y = jax.lax.ragged_dot(h, w, counts)
        return y + params[name]["b"][owner] if "b" in params[name] else y

    inside = scatter(x, slot, size)
    h = layer("up", inside)
    h = activation(layer("gate", inside)) * h if "gate" in params else activation(h)
    return gather(layer("down", h), slot, choice.weights.astype(x.dtype))


def _blocks(expert: Layer, params: Tree, x: jax.Array, choice: Choice) -> jax.Array:
    """The copies sorted by expert, padded to whole blocks, in one product over all blocks."""
    n, copies = len(choice.counts), choice.experts.size
    block = _block(copies, n)
    padded = -(-choice.counts // block) * block
    ends = jnp.cumsum(padded, dtype=jnp.int32)
    blocks = (copies + n * (block - 1)) // block  # the largest possible number
    slot = capacity_slots(choice, ends - padded, copies, blocks * block)
    first = block * jnp.arange(blocks, dtype=jnp.int32)[:, None]
    owner = ((ends - padded)[None] <= first) & (first < ends[None])

    def weights_of_blocks(leaf):
        # Not an index: its gradient would add up one block at a time, on one core.
        return jnp.tensordot(owner.astype(leaf.dtype), leaf, 1, precision="highest")

    block_params = jax.tree.map(weights_of_blocks, core.cast(params, x.dtype))
    inside = scatter(x, slot, blocks * block).reshape(blocks, block, -1)
    y = vmap_modules(expert, blocks)(block_params, inside).reshape(blocks * block, -1)
    return gather(y, slot, choice.weights.astype(x.dtype))


def _block(copies: int, n: int) -> int:
    """The rows of a block: half of an equal share, to limit the padding, but 8 to 128."""
    if jax.export.is_symbolic_dim(copies):
        return 128
    return min(max(1 << max(copies // (2 * n), 1).bit_length() - 1, 8), 128)
