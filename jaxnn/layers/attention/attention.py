"""Multi-head attention over sequences (Vaswani et al., 2017)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell, Layer, Net
from jaxnn.layers.attention import kv_cache, masks, projections
from jaxnn.layers.attention.dot_product import attend, check_implementation
from jaxnn.layers.attention.masks import KeyPositions, MaskConfig
from jaxnn.layers.noise import dropout as dropout_layer
from jaxnn.printing import factory
from jaxnn.sequences.masks import is_segments, valid_steps


@factory
def attention(
    heads: int,
    *,
    kv_heads: int | None = None,
    width: int | None = None,
    causal: bool = False,
    window: int | None = None,
    capacity: int | None = None,
    rotary: Callable | None = None,
    alibi: bool = False,
    qk_norm: bool = False,
    dropout: float = 0.0,
    bias: bool = True,
    implementation: str = "xla",
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
    out_init: Callable | None = None,
) -> Net:
    """Self-attention: y = concat_h(softmax(q_h k_h^T / sqrt(d)) v_h) w + b.

    q, k and v are one product of x [batch, time, features] with the weight "qkv", whose columns are
    the queries of all heads, then their keys, then their values, each d = width / heads wide.

    With padding, the input is a pair (x, mask) with a bool mask [batch, time] that is true at valid
    steps; the output is such a pair too, and y is zero at padding. Positions count valid steps
    only, wherever the padding is, so a padded row gives the same outputs as the row without
    padding. A mask [batch, time, time] hides keys from each query instead; a query that sees no key
    attends to zeros, so its y is the bias of "out".

    With segments int [batch, time] in the place of the mask, rows are packed: a step sees its own
    document only, whose positions count from its first step.

    With a capacity it is a `Cell` with the same params, whose carry is a cache of keys and values.
    Chunks may have any length, and padding is not stored. Steps beyond the capacity have y = NaN,
    since how full a cache is is only known at run time. With a window, a capacity of the window's
    length suffices for sequences of any length.

    Args:
      heads: number of query heads.
      kv_heads: number of heads of keys and values, each shared by heads / kv_heads heads: fewer
        than heads is grouped-query attention, 1 is multi-query attention. By default as many as
        heads.
      width: features of all heads together; by default the features of x. y has the features of x.
      causal: whether a step sees only itself and earlier steps.
      window: number of steps that a step sees: itself and window - 1 before it, and as many after
        it unless causal. By default all.
      capacity: number of steps that the cache holds; None for a layer without a cache.
      rotary: a function that rotates queries and keys by their positions, such as `rotary()`.
      alibi: whether to subtract `alibi_slopes` times the distance from the logits.
      qk_norm: whether queries and keys each pass through an `rms_norm` [d], before the rotation.
      dropout: the fraction of attention weights dropped in training, in [0, 1).
      bias: whether the projections have biases.
      implementation: "xla", or "cudnn", NVIDIA's kernel on a GPU for half precision, which supports
        no dropout and cannot be exported. Other dtypes and devices are computed by XLA.
      w_init: initializer of the weights, as in `dense`.
      b_init: initializer of the biases, as in `dense`.
      out_init: initializer of the weight of "out"; w_init by default.

    Returns:
      A layer from x [batch, time, features] to y of the same shape and dtype; a cell if there is a
      capacity.

    Raises:
      ValueError: when built, if kv_heads does not divide heads or if there is a capacity without
        causal; at init, if the heads do not divide the width, if the mask has another shape or if a
        chunk is longer than the capacity; if the params or the carry belong to another net.
      TypeError: if the mask is not bool or x is not floating point.
      RuntimeError: if "cudnn" is not available.

    (Grouped: Ainslie et al., GQA, 2023; multi-query: Shazeer, Fast transformer decoding, 2019;
    query-key norm: Henry et al., 2020, Dehghani et al., Scaling vision transformers, 2023; window:
    Beltagy et al., Longformer, 2020.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.attention(4, kv_heads=2, causal=True), jnp.ones((2, 5, 8))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape, params["qkv"]["w"].shape
    ((2, 5, 8), (8, 16))
    """
    heads_spec = projections.head_spec(
        "attention", heads, kv_heads, width, qk_norm, bias, w_init, b_init, out_init
    )
    rule = _rule(heads_spec.title, causal, window, alibi, dropout, implementation)
    spec = None
    if capacity is not None:
        spec = kv_cache.CacheSpec(core.check_int(capacity, "attention: capacity"), rule.window)
        if not causal:
            raise ValueError(
                "attention: a cache cannot hold later steps: take causal=True with a capacity."
            )

    def project(params, x, positions):
        call = projections.caller(heads_spec, params, x, "qkv")
        q, k, v = projections.split(
            call("qkv", x), heads_spec.heads, heads_spec.kv_heads, heads_spec.kv_heads
        )
        q, k = projections.qk_normalize(heads_spec, call, q, k)
        if rotary is not None:
            q, k = rotary(q, positions), rotary(k, positions)
        return call, q, k, v

    def keys(params, x):
        # Only the shapes of the keys; what does not fit is refused by the trace.
        return jax.eval_shape(lambda p, x: project(p, x, masks.positions(x, None))[2], params, x)

    def init(key, x):
        x, _ = masks.check_sequence(x, heads_spec.title, capacity is None)
        params = projections.init(heads_spec, key, x, qkv=x)
        k = keys(params, x)
        if spec is not None:
            kv_cache.check_chunk(spec, k)
        return params, ()

    def whole(params, state, x, *, key=None, train=False):
        x, mask = masks.check_sequence(x, heads_spec.title)
        positions = masks.positions(x, mask)
        packed = masks.packed(mask, positions)
        call, q, k, v = project(params, masks.zero_padding(x, mask), packed.place)
        draw = _draw(heads_spec.title, dropout, key, train)
        both = None if packed.start is None else (packed.start, packed.start)
        seen = KeyPositions(positions, positions, valid_steps(mask), both)
        y = attend(q, k, v, seen, rule, aligned=True, key=draw)
        return masks.paired(call("out", projections.merge_heads(y)), mask), ()

    if spec is None:
        return Layer(init, whole, heads_spec.title)  # pyright: ignore

    def carry(params, x):
        x, mask = masks.check_sequence(x, heads_spec.title, False)
        return kv_cache.empty_cache(spec, keys(params, x), is_segments(mask))

    def chunk(params, state, carry_x, *, key=None, train=False):
        cache, x = carry_x
        x, mask = masks.check_sequence(x, heads_spec.title, False)
        positions = cache["length"][:, None] + masks.positions(x, mask)
        packed = masks.packed(mask, positions, cache)
        call, q, k, v = project(params, masks.zero_padding(x, mask), packed.place)
        valid = valid_steps(mask)
        cache, k, v, seen = kv_cache.update(spec, cache, k, v, positions, valid, packed.start)
        cache |= packed.carry
        y = attend(q, k, v, seen, rule, key=_draw(heads_spec.title, dropout, key, train))
        overflowed = kv_cache.overflowed(spec, positions)[..., None, None]
        y = jnp.where(overflowed, jnp.asarray(jnp.nan, y.dtype), y)
        return (cache, masks.paired(call("out", projections.merge_heads(y)), mask)), ()

    return Cell(init, carry, chunk)  # pyright: ignore


@factory
def cross_attention(
    heads: int,
    *,
    kv_heads: int | None = None,
    width: int | None = None,
    qk_norm: bool = False,
    dropout: float = 0.0,
    bias: bool = True,
    implementation: str = "xla",
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
    out_init: Callable | None = None,
) -> Layer:
    """Attention of one sequence to another: queries of the first, keys and values of the second.

    y = concat_h(softmax(q_h k_h^T / sqrt(d)) v_h) w + b, with the weight "q" for queries and "kv"
    for the memory; the columns of "kv" are all keys, then all values. A query that sees no key
    attends to zeros.

    Args:
      heads: number of query heads.
      kv_heads: number of heads of keys and values, each shared by heads / kv_heads heads: fewer
        than heads is grouped-query attention, 1 is multi-query attention. By default as many as
        heads.
      width: features of all heads together; by default those of the queries.
      qk_norm: whether queries and keys each pass through an `rms_norm` [d].
      dropout: the fraction of attention weights dropped in training, in [0, 1).
      bias: whether the projections have biases.
      implementation: "xla", or "cudnn", NVIDIA's kernel on a GPU for half precision, which supports
        no dropout and cannot be exported. Other dtypes and devices are computed by XLA.
      w_init: initializer of the weights, as in `dense`.
      b_init: initializer of the biases, as in `dense`.
      out_init: initializer of the weight of "out"; w_init by default.

    Returns:
      A layer from (queries [batch, time, features], memory [batch, keys, others]), or (queries,
      memory, mask) with a bool mask [batch, keys] or [batch, time, keys] that is true where a key
      may be seen, to y [batch, time, features] of the queries' dtype.

    Raises:
      ValueError: if kv_heads does not divide heads or the heads do not divide the width, if
        queries, memory and mask do not fit, or if the params belong to another net.
      TypeError: if the mask is not bool or the queries are not floating point.
      RuntimeError: if "cudnn" is not available.

    (Vaswani et al., Attention is all you need, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.cross_attention(4), (jnp.ones((2, 5, 8)), jnp.ones((2, 7, 16)))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (2, 5, 8)
    """
    heads_spec = projections.head_spec(
        "cross_attention", heads, kv_heads, width, qk_norm, bias, w_init, b_init, out_init
    )
    rule = _rule(heads_spec.title, False, None, False, dropout, implementation)

    def project(params, x, memory):
        call = projections.caller(heads_spec, params, x, "q", "kv")
        (q,) = projections.split(call("q", x), heads_spec.heads)
        k, v = projections.split(call("kv", memory), heads_spec.kv_heads, heads_spec.kv_heads)
        return call, *projections.qk_normalize(heads_spec, call, q, k), v

    def init(key, x):
        x, memory, _ = masks.check_memory(x, heads_spec.title)
        return projections.init(heads_spec, key, x, q=x, kv=memory), ()

    def apply(params, state, x, *, key=None, train=False):
        x, memory, mask = masks.check_memory(x, heads_spec.title)
        call, q, k, v = project(params, x, masks.zero_padding(memory, mask))
        seen = KeyPositions(masks.positions(x, None), masks.positions(memory, None), mask)
        y = attend(q, k, v, seen, rule, key=_draw(heads_spec.title, dropout, key, train))
        return call("out", projections.merge_heads(y)), ()

    return Layer(init, apply)


def _rule(title, causal, window, alibi, dropout, implementation) -> MaskConfig:
    window = None if window is None else core.check_int(window, f"{title}: window")
    if check_implementation(implementation, title) == "cudnn" and dropout:
        raise ValueError(f'{title}: "cudnn" does not support dropout: take dropout=0.0, or "xla".')
    return MaskConfig(causal, window, alibi, dropout_layer(dropout), implementation)


def _draw(title: str, rate: float, key: Any, train: Any) -> Any:
    return core.require_key(key, title) if core.check_train(train) and rate else None
