"""Scaled dot-product attention, in the fastest form for each platform.

y = softmax(q k^T / sqrt(width) + bias) v for each head. On GPU and TPU it is
`jax.nn.dot_product_attention`. On the CPU the head axis moves before time, and long sequences are
computed one head at a time, with the weights recomputed in the backward pass: memory then grows
with time^2 of one head rather than of all, and the working set fits in the cache. Causal attention
is split into up to four blocks of queries, each over the keys up to its end, which saves nearly
half of the work.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import install
from jaxnn.layers.attention.masks import KeyPositions, MaskConfig, attention_mask, relative_position
from jaxnn.layers.attention.positions import alibi_slopes

LONG = 256**2  # number of logits of a head from which the CPU computes one head at a time
BLOCK = 256  # queries in the smallest block


def attend(q, k, v, pos, rule=MaskConfig(), *, aligned=False, key=None) -> jax.Array:  # noqa: B008
    """The output [batch, time, heads, width]; zeros where a query sees no key.

    Args:
      q: queries [batch, time, heads, width].
      k: keys [batch, keys, key heads, width]; each head serves heads / key heads neighbors.
      v: values of the same shape.
      pos: positions of queries and keys, and which keys are hidden.
      rule: the settings of the layer.
      aligned: whether query i and key i have the same position, for every i.
      key: a random key for dropout; None for no dropout.
    """
    if 0 in (*q.shape, *k.shape):
        return jnp.zeros(q.shape, q.dtype)
    small = q.shape[1] * k.shape[1] < LONG
    on_cpu = partial(by_head, rule=rule, aligned=aligned, one_by_one=not small)
    # The library has no dropout, and its softmax is float32 even for float64.
    unsupported = key is not None or q.dtype == jnp.float64
    other = partial(by_head, rule=rule, aligned=aligned)
    if not unsupported:
        other = partial(_whole, rule=rule)
    fused = {}
    # cuDNN supports half precision only. A net inside `with_dtype` sees float32 too, during init,
    # when the dtype of the embedded tokens is not known yet.
    if rule.implementation == "cudnn" and q.dtype.itemsize == 2:
        fused["cuda"] = partial(_fused, rule=rule, aligned=aligned)
    return jax.lax.platform_dependent(q, k, v, pos, key, cpu=on_cpu, default=other, **fused)


def _slopes(heads: int, q: Any) -> jax.Array:
    return jnp.asarray(alibi_slopes(heads), core.param_dtype(q))


# The form of jax.nn


def _whole(q, k, v, pos, key, *, rule):
    return _library(q, k, v, pos, rule=rule, aligned=False)


def _fused(q, k, v, pos, key, *, rule, aligned):
    return _library(q, k, v, pos, rule=rule, aligned=aligned, fused=True)


def _library(q, k, v, pos, *, rule, aligned, fused=False):
    mask = attention_mask(pos, rule)
    options, hidden = {}, None
    if mask is not None:
        # cuDNN does not broadcast masks along time.
        hidden = jnp.broadcast_to(mask, (mask.shape[0], q.shape[1], k.shape[1]))[:, None]
    if fused and aligned and rule.causal and pos.seen is None:
        # cuDNN then skips the hidden keys, where it would read a mask.
        left = None if rule.window is None else (rule.window - 1, 0)
        options, hidden = {"is_causal": True, "local_window_size": left}, None
    bias = None
    if rule.alibi:
        slopes = _slopes(q.shape[2], q)[None, :, None, None]
        bias = -slopes * jnp.abs(relative_position(pos)).astype(slopes.dtype)[:, None]
        bias = bias.astype(q.dtype) if fused else bias
    # It upcasts bfloat16 by promotion, which strict promotion would refuse.
    with jax.numpy_dtype_promotion("standard"):
        y = jax.nn.dot_product_attention(
            q, k, v, bias, hidden, implementation="cudnn" if fused else "xla", **options
        )
    if mask is None or pos.seen is None:
        return y
    return jnp.where(mask.any(-1)[:, :, None, None], y, jnp.zeros((), y.dtype))


def check_implementation(name: str, title: str) -> str:
    """The name of an available implementation; raises if it is unknown or unavailable."""
    if name not in ("xla", "cudnn"):
        raise ValueError(f'{title}: implementation is "xla" or "cudnn", got {name!r}.')
    if name == "cudnn":
        try:
            q = jax.ShapeDtypeStruct((1, 8, 1, 64), jnp.bfloat16)
            attention = partial(jax.nn.dot_product_attention, implementation="cudnn")
            jax.jit(attention).lower(q, q, q)
        except Exception as error:
            brings = install("cuda")
            raise RuntimeError(
                f'{title}: implementation="cudnn" needs an NVIDIA GPU and cuDNN, which JAX does '
                f'not find here: use "xla", or {brings}.'
            ) from error
    return name


# The form of this library


def by_head(q, k, v, pos, key, *, rule, aligned=False, one_by_one=False) -> jax.Array:
    """`attend`, for all heads at once or one at a time."""
    batch, time, heads, width = q.shape
    shared = k.shape[2]
    q = q.reshape(batch, time, shared, heads // shared, width).transpose(0, 2, 3, 1, 4)
    k, v = jnp.swapaxes(k, 1, 2), jnp.swapaxes(v, 1, 2)
    pos = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch, *leaf.shape[1:])), pos)
    slopes = _slopes(heads, q).reshape(shared, -1) if rule.alibi else None
    spans = _spans(time, k.shape[2], rule.causal and aligned)
    over = _one_by_one if one_by_one else jax.vmap
    # The weights are recomputed for the gradient; without a loop XLA shares them anyway. Their
    # output is kept, for the gradient of the division, except in a loop, which would copy it.
    recompute, weigh = partial(jax.checkpoint, prevent_cse=False), partial(_weigh, rule)
    block = recompute(_divided(weigh)) if one_by_one else _divided(recompute(weigh))

    def row(index, q, k, v, pos):
        def head(head_index, q, k, v, slopes):
            head_key = core.fold_in(core.fold_in(key, index), head_index)
            parts = [
                block(q[:, at], k[to], v[to], _cut(pos, at, to), slopes, core.fold_in(head_key, i))
                for i, (at, to) in enumerate(spans)
            ]
            return jnp.concatenate(parts, axis=1)

        return over(head)(jnp.arange(shared), q, k, v, slopes)

    y = over(row)(jnp.arange(batch), q, k, v, pos)
    return y.transpose(0, 3, 1, 2, 4).reshape(batch, time, heads, width)


def _one_by_one(function):
    return lambda *each: jax.lax.map(lambda each: function(*each), each)


def _spans(time: int, keys: int, looks_back: bool) -> list[tuple[slice, slice]]:
    """Blocks of queries, each with the keys that it may see."""
    count = min(4, time // BLOCK) if looks_back else 1
    if count < 2:
        return [(slice(time), slice(keys))]
    size = -(-time // count)
    return [(slice(start, start + size), slice(start + size)) for start in range(0, time, size)]


def _cut(pos: KeyPositions, at: slice, to: slice) -> KeyPositions:
    """The positions of one row, restricted to the queries `at` and the keys `to`."""
    seen = pos.seen
    if seen is not None:
        seen = seen[to] if seen.ndim == 1 else seen[at, to]
    documents = pos.documents and (pos.documents[0][at], pos.documents[1][to])
    return KeyPositions(pos.queries[at], pos.keys[to], seen, documents)


def _divided(weigh: Callable) -> Callable:
    def block(q, *given):
        y, share = weigh(q, *given)
        # By einsum, since the gradient of a broadcast is a sum over rows, which is slow on XLA:CPU.
        return jnp.einsum("gtw,gt->gtw", y, share, precision="highest").astype(q.dtype)

    return block


def _weigh(rule, q, k, v, pos, slopes, key):
    """The unnormalized values of one head, and the factor that normalizes those of each query.

    Queries are [groups, time, width], keys and values [keys, width].
    """
    groups, time, width = q.shape
    wide = core.param_dtype(q)
    logits = jnp.matmul(q.reshape(-1, width), k.T, preferred_element_type=wide)
    logits = logits.reshape(groups, time, -1) * width**-0.5
    if slopes is not None:
        logits = logits - slopes[:, None, None] * jnp.abs(relative_position(pos))[None].astype(wide)
    mask = attention_mask(pos, rule)
    if mask is not None:
        # Far below any logit and finite, since inf - inf is NaN.
        logits = jnp.where(mask[None], logits, jnp.asarray(-1e38, wide))
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    if pos.seen is not None and mask is not None:
        weights = jnp.where(mask[None], weights, jnp.zeros((), wide))
    total = weights.sum(-1, keepdims=True)
    if key is not None:
        weights, _ = rule.drop.apply((), (), weights, key=key, train=True)
    weights = weights.reshape(groups * time, -1).astype(v.dtype)
    # Divided after the product: the output is smaller than the weights.
    y = jnp.matmul(weights, v, preferred_element_type=wide).reshape(q.shape)
    return y, 1 / jnp.where(total > 0, total, jnp.ones((), wide))[..., 0]
