"""Ready transformers under the names that people search for, made of the parts in this folder."""

from collections.abc import Callable
from functools import partial

import jax

from jaxnn.core import Layer, Net
from jaxnn.layers.attention.attention import attention
from jaxnn.layers.attention.positions import rotary as rotary_positions
from jaxnn.layers.feed_forward import feed_forward
from jaxnn.layers.norm import layer_norm, rms_norm
from jaxnn.nets.transformer.block import SMALL, depth_scaled_init, transformer, transformer_block
from jaxnn.nets.transformer.text import language_model, text_encoder
from jaxnn.printing import factory

ROTARY = rotary_positions()
EXACT_GELU = partial(jax.nn.gelu, approximate=False)


@factory
def gpt2(
    vocabulary: int = 50257,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    *,
    length: int = 1024,
    mlp_width: int | None = None,
    activation: Callable = jax.nn.gelu,
    epsilon: float = 1e-5,
    tied: bool = True,
    dropout: float = 0.0,
    capacity: int | None = None,
    implementation: str = "xla",
    remat: bool = False,
    unroll: int = 1,
) -> Net:
    """GPT-2: a causal transformer with learned positions, norms before and a tied output.

    Args:
      vocabulary: the number of different tokens.
      width: features of a token.
      depth: the number of blocks.
      heads: the heads of each attention.
      length: the longest sequence.
      mlp_width: hidden features of the feedforward networks; 4 width by default.
      activation: of the feedforward networks; the tanh form of GELU by default.
      epsilon: of the layer norms.
      tied: whether the output shares the embedding.
      dropout: the fraction of embeddings, branches and attention weights dropped in training.
      capacity: the number of tokens that the cache holds; the network is then a cell, for
        `generate`.
      implementation: of the attention: "xla" or "cudnn".
      remat: whether the activations within a block are recomputed in the backward pass.
      unroll: the number of blocks that each iteration of the scan over depth writes out.

    Returns:
      A `language_model`: from tokens int [batch, time] to logits [batch, time, vocabulary].

    Raises:
      ValueError: if a size is less than 1 or heads do not divide the width.

    (Radford et al., Language models are unsupervised multitask learners, 2019.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.gpt2(10, 8, 2, 2, length=16), jax.numpy.ones((2, 5), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape, sorted(params)
    ((2, 5, 10), ['body', 'embed', 'positions'])
    """
    last = depth_scaled_init(depth)
    norm = partial(layer_norm, epsilon=epsilon)
    block = transformer_block(
        attention(
            heads,
            causal=True,
            capacity=capacity,
            dropout=dropout,
            implementation=implementation,
            w_init=SMALL,
            out_init=last,
        ),
        feed_forward(mlp_width or 4 * width, activation=activation, w_init=SMALL, out_init=last),
        norm=norm,
        dropout=dropout,
    )
    body = transformer(block, depth, norm=norm, remat=remat, unroll=unroll)
    return language_model(body, vocabulary, width, length=length, tied=tied, dropout=dropout)


@factory
def llama(
    vocabulary: int = 32000,
    width: int = 4096,
    depth: int = 32,
    heads: int = 32,
    *,
    kv_heads: int | None = None,
    length: int | None = None,
    mlp_width: int = 11008,
    rotary: Callable = ROTARY,
    activation: Callable = jax.nn.silu,
    epsilon: float = 1e-6,
    bias: bool = False,
    tied: bool = False,
    window: int | None = None,
    capacity: int | None = None,
    implementation: str = "xla",
    remat: bool = False,
    unroll: int = 1,
) -> Net:
    """Llama: a causal transformer with rotary positions, RMS norms and gated feedforward networks.

    With a window it is Mistral.

    Args:
      vocabulary: the number of different tokens.
      width: features of a token.
      depth: the number of blocks.
      heads: the heads of the queries of each attention.
      kv_heads: the heads of keys and values; as many as heads by default.
      length: the longest sequence, if it is to be checked.
      mlp_width: hidden features of the feedforward networks.
      rotary: the positions, such as `nn.rotary(500_000.0)`.
      activation: of the gate; SiLU by default, which makes it SwiGLU.
      epsilon: of the RMS norms.
      bias: whether dense layers have a bias.
      tied: whether the output shares the embedding.
      window: the number of steps that each step sees, itself included; all by default.
      capacity: the number of tokens that the cache holds; the network is then a cell, for
        `generate`.
      implementation: of the attention: "xla" or "cudnn".
      remat: whether the activations within a block are recomputed in the backward pass.
      unroll: the number of blocks that each iteration of the scan over depth writes out.

    Returns:
      A `language_model`: from tokens int [batch, time] to logits [batch, time, vocabulary].

    Raises:
      ValueError: if a size is less than 1, or heads do not fit the width or kv_heads.

    (Touvron et al., Llama 2: Open foundation and fine-tuned chat models, 2023.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.llama(10, 8, 2, 4, kv_heads=2, mlp_width=16), jax.numpy.ones((2, 5), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape, sorted(params)
    ((2, 5, 10), ['body', 'embed', 'head'])
    """
    last = depth_scaled_init(depth)
    norm = partial(rms_norm, epsilon=epsilon)
    block = transformer_block(
        attention(
            heads,
            kv_heads=kv_heads,
            causal=True,
            window=window,
            capacity=capacity,
            rotary=rotary,
            bias=bias,
            implementation=implementation,
            w_init=SMALL,
            out_init=last,
        ),
        feed_forward(
            mlp_width, activation=activation, gated=True, bias=bias, w_init=SMALL, out_init=last
        ),
        norm=norm,
    )
    body = transformer(block, depth, norm=norm, remat=remat, unroll=unroll)
    return language_model(body, vocabulary, width, length=length, positions=None, tied=tied)


@factory
def bert(
    vocabulary: int = 30522,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    *,
    length: int = 512,
    types: int = 2,
    mlp_width: int | None = None,
    activation: Callable = EXACT_GELU,
    epsilon: float = 1e-12,
    dropout: float = 0.0,
    attention_dropout: float | None = None,
    implementation: str = "xla",
    remat: bool = False,
    unroll: int = 1,
) -> Layer:
    """BERT without its pooler: a transformer that looks both ways, with norms after the sums.

    Args:
      vocabulary: the number of different tokens.
      width: features of a token.
      depth: the number of blocks.
      heads: the heads of each attention.
      length: the longest sequence.
      types: the number of segment types, or 0 for none.
      mlp_width: hidden features of the feedforward networks; 4 width by default.
      activation: of the feedforward networks; the exact GELU by default.
      epsilon: of the layer norms.
      dropout: the fraction of embeddings and branches dropped in training.
      attention_dropout: the fraction of attention weights dropped; as dropout by default.
      implementation: of the attention: "xla" or "cudnn".
      remat: whether the activations within a block are recomputed in the backward pass.
      unroll: the number of blocks that each iteration of the scan over depth writes out.

    Returns:
      A `text_encoder`: from tokens int [batch, time], also with a mask and types, to features
      [batch, time, width].

    Raises:
      ValueError: if a size is less than 1 or heads do not divide the width.

    (Devlin et al., BERT: Pre-training of deep bidirectional transformers, 2018.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.bert(10, 8, 2, 2, length=16), jax.numpy.ones((2, 5), int)
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, (x, jax.numpy.array([5, 3]))).shape, sorted(params)
    ((2, 5, 8), ['body', 'embed', 'embed_norm', 'positions', 'types'])
    """
    norm = partial(layer_norm, epsilon=epsilon)
    block = transformer_block(
        attention(
            heads,
            dropout=dropout if attention_dropout is None else attention_dropout,
            implementation=implementation,
            w_init=SMALL,
        ),
        feed_forward(mlp_width or 4 * width, activation=activation, w_init=SMALL),
        norm=norm,
        pre_norm=False,
        dropout=dropout,
    )
    return text_encoder(
        transformer(block, depth, norm=None, remat=remat, unroll=unroll),
        vocabulary,
        width,
        length=length,
        types=types,
        norm=norm,
        dropout=dropout,
    )
