"""Transformers over features: one block, and a stack of blocks.

A sequence is x [batch, time, width], or a pair (x, mask) with a mask bool [batch, time] that is
true where a step is present; a pair that comes in goes out as a pair. A block with cross attention
takes and returns a triple (x, memory, memory_mask): x as before, memory [batch, keys, features] and
memory_mask bool [batch, keys], or None if all keys may be seen.

If the attention has a capacity, all of these are cells with the same params, whose carry is the
cache of keys and values of x; the memory is passed again with each chunk. Networks over tokens are
in `jaxnn.nets.transformer.text`.
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
from jaxnn.layers.attention.masks import paired
from jaxnn.layers.noise import dropout as dropped
from jaxnn.layers.norm import layer_norm
from jaxnn.printing import factory
from jaxnn.sequences.masks import split_mask

SMALL = jax.nn.initializers.normal(0.02)


@factory
def transformer_block(
    attention: Layer | Cell,
    feed_forward: Layer,
    *,
    cross: Layer | None = None,
    norm: Callable = layer_norm,
    pre_norm: bool = True,
    dropout: float = 0.0,
) -> Net:
    """Attention and then a feedforward network, each with a residual connection.

    h = x + attention(norm(x)), y = h + feed_forward(norm(h)); if not pre_norm,
    h = norm(x + attention(x)), y = norm(h + feed_forward(h)). With `cross`, cross attention to a
    memory stands between the two. Params are {"attention_norm", "attention", "mlp_norm", "mlp"},
    and also "cross_norm" and "cross" with cross attention.

    Args:
      attention: a layer over time, such as `nn.attention(8, causal=True)`; a cell, such as an
        attention with a capacity, makes the block a cell.
      feed_forward: a layer over features, such as `nn.feed_forward(2048)`.
      cross: attention to a memory, such as `nn.cross_attention(8)`; the block then takes and
        returns (x, memory, memory_mask).
      norm: a function that makes a norm: `layer_norm`, `rms_norm`,
        `partial(layer_norm, epsilon=1e-12)`.
      pre_norm: whether the norms come before attention and feed_forward, or after the sums.
      dropout: the fraction of the outputs of attention and feed_forward that is dropped in
        training, in [0, 1).

    Returns:
      A layer (or a cell) from x [batch, time, width] to y of the same shape and dtype.

    Raises:
      TypeError: if a part is neither a layer nor a function.
      ValueError: if dropout is out of range, or an output does not have the shape of its input.

    (Vaswani et al., Attention is all you need, 2017; norms before: Xiong et al., On layer
    normalization in the transformer architecture, 2020.)

    >>> import jax, jaxnn as nn
    >>> net = nn.transformer_block(nn.attention(4, causal=True), nn.feed_forward(32))
    >>> x = jax.numpy.ones((2, 5, 8))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (2, 5, 8)
    """
    children = {"attention_norm": norm(), "attention": with_dropout(attention, dropout)}
    if cross is not None:
        children |= {"cross_norm": norm(), "cross": with_dropout(cross, dropout)}
    children |= {"mlp_norm": norm(), "mlp": with_dropout(feed_forward, dropout)}

    pair = partial(split_mask, title="transformer_block", segments=True, queries=True)

    def around(norm, layer, x):
        return add((x, layer(norm(x)))) if pre_norm else norm(add((x, layer(x))))

    def block(f, x):
        x, *rest = triple(x) if cross is not None else (x,)
        x, mask = pair(x)
        x = around(f.attention_norm, lambda h: pair(f.attention(couple(h, mask)))[0], x)
        if cross is not None:
            x = around(f.cross_norm, lambda h: f.cross((h, *rest)), x)
        y = couple(around(f.mlp_norm, f.mlp, x), mask)
        return (y, *rest) if cross is not None else y

    net = wire(block, **children)
    return net if cross is not None else core.takes_mask("transformer_block", net)


@factory
def transformer(
    block: Layer | Cell,
    depth: int,
    *,
    norm: Callable | None = layer_norm,
    remat: bool = False,
    unroll: int = 1,
) -> Net:
    """Blocks in a row as one scan over depth, with a last norm.

    y = norm(block_depth(... block_1(x))). Params are {"blocks", "norm"}; those of the blocks have a
    leading axis of size depth.

    Args:
      block: such as `transformer_block`. If it takes (x, memory, memory_mask), so does the
        transformer, which returns the features of x alone.
      depth: the number of blocks.
      norm: a function that makes the last norm, which blocks with `pre_norm` need; None for none.
      remat: whether the activations within a block are recomputed in the backward pass.
      unroll: the number of blocks that each iteration of the scan writes out, as in `repeat`.

    Returns:
      A layer (or a cell, if the block is one) from x [batch, time, width] to y of the same shape
      and dtype.

    Raises:
      ValueError: if depth or unroll is less than 1, or the block changes the shape of x.

    (Vaswani et al., Attention is all you need, 2017.)

    >>> import jax, jaxnn as nn
    >>> block = nn.transformer_block(nn.attention(4, alibi=True), nn.feed_forward(32))
    >>> net, x = nn.transformer(block, 3), jax.numpy.ones((2, 5, 8))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape, params["blocks"]["mlp"]["up"]["w"].shape
    ((2, 5, 8), (3, 8, 32))
    """
    blocks = repeat(remated(block) if remat else block, depth, unroll=unroll)
    children = {"blocks": blocks} | ({} if norm is None else {"norm": norm()})

    def flow(f, x):
        y = f.blocks(x)
        y, mask = split_mask(
            y[0] if is_triple(y) else y, "transformer", segments=True, queries=True
        )
        return paired(y if norm is None else f.norm(y), mask)

    net = wire(flow, **children)
    takes_mask = isinstance(block, Layer) and block.couples == block.name
    return core.takes_mask("transformer", net) if takes_mask else net


def depth_scaled_init(depth: int, w_init: Callable = SMALL) -> Callable:
    """The initializer of the last weights of each branch: w_init / sqrt(2 depth).

    With it the variance of the residual stream of `depth` blocks with `pre_norm` does not grow with
    depth.

    Args:
      depth: the number of blocks.
      w_init: the initializer that is scaled; a normal of standard deviation 0.02 by default.

    Returns:
      An initializer (key, shape, dtype) -> weights, for `out_init` of `attention` and
      `feed_forward`.

    Raises:
      ValueError: if depth is less than 1.

    (Radford et al., Language models are unsupervised multitask learners, 2019.)

    >>> import jax, jaxnn as nn
    >>> init = nn.depth_scaled_init(8, jax.nn.initializers.ones)
    >>> init(jax.random.key(0), (2,), "float32").tolist()
    [0.25, 0.25]
    """
    scale = (2 * core.check_int(depth, "depth_scaled_init: depth")) ** -0.5
    return lambda key, shape, dtype: w_init(key, shape, dtype) * scale


# Pieces that networks over tokens share


def is_triple(x: Any) -> bool:
    """Whether x is (x, memory, memory_mask)."""
    return type(x) is tuple and len(x) == 3


def couple(x: Any, mask: Any) -> Any:
    """The pair (x, mask), or x alone if there is no mask."""
    return x if mask is None else (x, mask)


def triple(x: Any) -> tuple:
    """x, which must be (x, memory, memory_mask); raises ValueError if it is not."""
    if not is_triple(x):
        raise ValueError(
            "a transformer with cross attention takes (x, memory, memory_mask), with None for no "
            f"mask, got {core.describe(x)}."
        )
    return x


def changed(x: Any, change: Callable) -> Any:
    """x with its features changed, also within a pair or a triple."""
    return (changed(x[0], change), *x[1:]) if type(x) is tuple else change(x)


def with_dropout(layer: Any, rate: float, *, before: bool = False) -> Net:
    """The layer with dropout on its output, or on its input; its params stay its own."""
    drop = dropped(rate)
    if rate == 0:
        return layer

    def apply(params, state, carry_x, *, key=None, train=False):
        def thin(x):
            return drop.apply((), (), x, key=core.fold_in(key, 1), train=train)[0]

        memory, x = carry_x
        x, layer_key = changed(x, thin) if before else x, core.fold_in(key, 0)
        y, memory, state = core.apply_either(
            layer, params, state, memory, x, key=layer_key, train=train
        )
        return (memory, y if before else changed(y, thin)), state

    return core.layer_or_cell(
        layer.name, layer.init, partial(core.initial_carry, layer), apply, layer
    )
