"""Transformers over features: one block, and many of them in a row.

A sequence is x [batch, time, width], or a pair (x, mask) with the mask bool [batch, time] of the
steps that are there; what comes in as a pair goes out as one. A block that looks at a second
sequence takes and returns a triple: (x, memory, memory_mask), with x as before, memory
[batch, keys, features] and memory_mask bool [batch, keys], or None where all keys may be seen.
With a capacity all of these are cells of the same params, whose carry is the cache of keys and
values of x; the memory is given anew with each chunk. Nets over tokens are in
`jaxnn.nets.transformer.text`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from jaxnn import core
from jaxnn.combine import remat as remated
from jaxnn.combine import repeat
from jaxnn.core import Cell, Layer, Net
from jaxnn.flow import add, wire
from jaxnn.layers.attention.attention import attention, cross_attention
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.feed_forward import feed_forward
from jaxnn.layers.noise import dropout as dropped
from jaxnn.layers.norm import layer_norm
from jaxnn.printing import factory

SMALL = jax.nn.initializers.normal(0.02)


@factory
def transformer_block(
    heads: int,
    mlp_width: int,
    *,
    kv_heads: int | None = None,
    causal: bool = False,
    window: int | None = None,
    capacity: int | None = None,
    rotary: Callable | None = None,
    alibi: bool = False,
    qk_norm: bool = False,
    norm: Callable = layer_norm,
    pre_norm: bool = True,
    activation: Callable = jax.nn.gelu,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    cross: bool = False,
    implementation: str = "xla",
    w_init: Callable = SMALL,
    out_init: Callable | None = None,
) -> Net:
    """Attention, then a feedforward layer, each around which x flows.

    h = x + attention(norm(x)), y = h + mlp(norm(h)); without pre_norm h = norm(x + attention(x)),
    y = norm(h + mlp(h)). With `cross` there is a cross attention to a memory between the two.
    Params are {"attention_norm", "attention", "mlp_norm", "mlp"}, with "cross_norm" and "cross".

    Args:
      heads, kv_heads, causal, window, capacity, rotary, alibi, qk_norm, implementation: those of
        `attention`.
      mlp_width, activation, gated: those of `feed_forward`.
      norm: makes the norms: `layer_norm`, `rms_norm`, `partial(layer_norm, epsilon=1e-12)`.
      pre_norm: whether norms stand before attention and mlp, or after the sums.
      bias: whether dense layers have one.
      dropout: the fraction dropped in training of what attention and mlp put out, in [0, 1).
      attention_dropout: the fraction of the weights of attention; as dropout by default.
      cross: whether x is (x, memory, memory_mask), and so is y.
      w_init: initialiser of all weights; by default normal of standard deviation 0.02.
      out_init: of the last weights of attention and mlp; w_init by default.

    Raises:
      ValueError, TypeError, RuntimeError: as `attention` and `feed_forward` do.

    (Vaswani et al., Attention is all you need, 2017; norms before: Xiong et al., On layer
    normalization in the transformer architecture, 2020.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.transformer_block(4, 32, causal=True), jax.numpy.ones((2, 5, 8))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (2, 5, 8)
    """
    weights = dropout if attention_dropout is None else attention_dropout
    options: dict[str, Any] = {"bias": bias, "w_init": w_init, "out_init": out_init}
    shared = {"kv_heads": kv_heads, "qk_norm": qk_norm, "implementation": implementation}
    own = attention(
        heads,
        causal=causal,
        window=window,
        capacity=capacity,
        rotary=rotary,
        alibi=alibi,
        dropout=weights,
        **shared,
        **options,
    )
    mlp = feed_forward(mlp_width, activation=activation, gated=gated, **options)
    children = {"attention_norm": norm(), "attention": with_dropout(own, dropout)}
    if cross:
        other = cross_attention(heads, dropout=weights, **shared, **options)
        children |= {"cross_norm": norm(), "cross": with_dropout(other, dropout)}
    children |= {"mlp_norm": norm(), "mlp": with_dropout(mlp, dropout)}

    def around(norm, layer, x):
        return add((x, layer(norm(x)))) if pre_norm else norm(add((x, layer(x))))

    def block(f, x):
        x, *rest = triple(x) if cross else (x,)
        x, mask = uncouple(x)
        x = around(f.attention_norm, lambda h: uncouple(f.attention(couple(h, mask)))[0], x)
        if cross:
            x = around(f.cross_norm, lambda h: f.cross((h, *rest)), x)
        y = couple(around(f.mlp_norm, f.mlp, x), mask)
        return (y, *rest) if cross else y

    net = wire(block, **children)
    return net if cross else core.takes_mask("transformer_block", net)


@factory
def transformer(
    depth: int,
    heads: int,
    mlp_width: int,
    *,
    kv_heads: int | None = None,
    causal: bool = False,
    window: int | None = None,
    capacity: int | None = None,
    rotary: Callable | None = None,
    alibi: bool = False,
    qk_norm: bool = False,
    norm: Callable = layer_norm,
    pre_norm: bool = True,
    activation: Callable = jax.nn.gelu,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    cross: bool = False,
    remat: bool = False,
    unroll: int = 1,
    implementation: str = "xla",
    w_init: Callable = SMALL,
    out_init: Callable | None = None,
) -> Net:
    """Blocks in a row as one scan over depth, with a last norm where norms stand before.

    y = norm(block_depth(... block_1(x))). Params are {"blocks", "norm"}, the blocks' with a leading
    axis of depth.

    Args:
      depth: how many blocks.
      cross: whether x is (x, memory, memory_mask); y is that of x alone.
      remat: whether activations within a block are computed anew in the backward pass.
      unroll: how many blocks each turn of the scan writes out, as in `repeat`.
      out_init: by default w_init / sqrt(2 depth) with pre_norm, so that what flows around the
        blocks does not grow with depth; else w_init.
      heads, mlp_width, kv_heads, causal, window, capacity, rotary, alibi, qk_norm, norm, pre_norm,
        activation, gated, bias, dropout, attention_dropout, implementation, w_init: those of
        `transformer_block`.

    Raises:
      ValueError, TypeError, RuntimeError: as `transformer_block` does, and for a depth below 1.

    (Vaswani et al., 2017; w_init and out_init: Radford et al., Language models are unsupervised
    multitask learners, 2019.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.transformer(3, 4, 32, alibi=True), jax.numpy.ones((2, 5, 8))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape, params["blocks"]["mlp"]["up"]["w"].shape
    ((2, 5, 8), (3, 8, 32))
    """
    block = transformer_block(
        heads,
        mlp_width,
        kv_heads=kv_heads,
        causal=causal,
        window=window,
        capacity=capacity,
        rotary=rotary,
        alibi=alibi,
        qk_norm=qk_norm,
        norm=norm,
        pre_norm=pre_norm,
        activation=activation,
        gated=gated,
        bias=bias,
        dropout=dropout,
        attention_dropout=attention_dropout,
        cross=cross,
        implementation=implementation,
        w_init=w_init,
        out_init=depth_scaled_init(out_init, w_init, depth, pre_norm),
    )

    def flow(f, x):
        return through(f, triple(x) if cross else x)

    net = wire(flow, **blocks_of(block, depth, norm, pre_norm, remat, unroll))
    return net if cross else core.takes_mask("transformer", net)


# Pieces that nets over tokens share


def blocks_of(
    block: Layer | Cell, depth: int, norm: Callable, pre_norm: bool, remat: bool, unroll: int
) -> dict[str, Net]:
    """The children of a transformer, for `through`."""
    blocks = repeat(remated(block) if remat else block, depth, unroll=unroll)
    return {"blocks": blocks} | ({"norm": norm()} if pre_norm else {})


def through(f: Any, x: Any) -> Any:
    """x, a pair or a triple through the blocks of `in_a_row`: y, or (y, mask)."""
    y = f.blocks(x)
    y, mask = uncouple(y[0] if type(y) is tuple and len(y) == 3 else y)
    return paired(f.norm(y) if hasattr(f, "norm") else y, mask)


def depth_scaled_init(
    out_init: Callable | None, w_init: Callable, depth: int, pre_norm: bool
) -> Callable:
    """The initialiser of what ends in the sum: out_init, or w_init scaled by depth."""
    if out_init is not None or not pre_norm:
        return out_init or w_init
    by = (2 * core.check_int(depth, "transformer: depth")) ** -0.5
    return lambda key, shape, dtype: w_init(key, shape, dtype) * by


def uncouple(x: Any) -> tuple[Any, Any]:
    """(x, mask) of a pair, (x, None) of x alone; `attention` says what does not fit."""
    return x if type(x) is tuple and len(x) == 2 else (x, None)


def couple(x: Any, mask: Any) -> Any:
    """What goes on where (x, mask) came in."""
    return x if mask is None else (x, mask)


def triple(x: Any) -> tuple:
    """(x, memory, memory_mask), which it must be."""
    if type(x) is not tuple or len(x) != 3:
        raise ValueError(
            "a transformer with cross takes (x, memory, memory_mask), with None for no mask, got "
            f"{core.describe(x)}."
        )
    return x


def changed(x: Any, change: Callable) -> Any:
    """x with its features changed, where it is a pair or a triple too."""
    return (changed(x[0], change), *x[1:]) if type(x) is tuple else change(x)


def with_dropout(layer: Any, rate: float, *, before: bool = False) -> Net:
    """The layer with dropout on what it puts out, or on what it takes; params are its own."""
    drop = dropped(rate)
    if rate == 0:
        return layer

    def apply(params, state, x, *, key=None, train=False):
        def thin(x):
            return drop.apply((), (), x, key=core.fold_in(key, 1), train=train)[0]

        memory, x = x
        x, mine = changed(x, thin) if before else x, core.fold_in(key, 0)
        y, memory, state = core.apply_either(layer, params, state, memory, x, key=mine, train=train)
        return (memory, y if before else changed(y, thin)), state

    return core.layer_or_cell(
        layer.name, layer.init, partial(core.initial_carry, layer), apply, layer
    )
