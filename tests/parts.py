# pyright: reportArgumentType=false
"""Transformers in one call, by the options of all of their parts."""

import jax

import jaxnn as nn

SMALL = jax.nn.initializers.normal(0.02)
MASKING = ("causal", "window", "capacity", "rotary", "alibi", "qk_norm", "implementation")


def block(
    heads, hidden, *, cross=False, norm=nn.layer_norm, pre_norm=True, dropout=0.0,
    attention_dropout=None, activation=jax.nn.gelu, gated=False, bias=True, kv_heads=None,
    w_init=SMALL, out_init=None, **masking,
):  # fmt: skip
    """A `transformer_block` of `attention`, `feed_forward` and, with cross, `cross_attention`."""
    assert set(masking) <= set(MASKING)
    weights = {"bias": bias, "w_init": w_init, "out_init": out_init}
    shared = {
        "kv_heads": kv_heads,
        "dropout": dropout if attention_dropout is None else attention_dropout,
        **weights,
    }
    return nn.transformer_block(
        nn.attention(heads, **shared, **masking),
        nn.feed_forward(hidden, activation=activation, gated=gated, **weights),
        cross=nn.cross_attention(heads, **shared) if cross else None,
        norm=norm,
        pre_norm=pre_norm,
        dropout=dropout,
    )


def transformer(depth, heads, hidden, *, remat=False, unroll=1, norm=nn.layer_norm, **options):
    """A `transformer` whose blocks are those of `block`, with a last norm after pre-norm blocks."""
    pre_norm, w_init = options.get("pre_norm", True), options.get("w_init", SMALL)
    last = nn.depth_scaled_init(depth, w_init) if pre_norm else w_init
    made = block(heads, hidden, norm=norm, **{"out_init": last} | options)
    return nn.transformer(made, depth, norm=norm if pre_norm else None, remat=remat, unroll=unroll)


def attending(positions):
    """(positions of the embeddings, options of the attention) for a kind of positions."""
    if positions == "rotary":
        return None, {"rotary": nn.rotary()}
    if positions == "alibi":
        return None, {"alibi": True}
    return (None, {"rotary": positions}) if callable(positions) else (positions, {})


def language_model(
    vocabulary, width, depth, heads, *, positions="learned", length=None, tied=True, dropout=0.0,
    w_init=SMALL, **options,
):  # fmt: skip
    """A `language_model` whose body is that of `transformer`."""
    added, seen = attending(positions)
    options = {"causal": True, "dropout": dropout, "w_init": w_init} | seen | options
    body = transformer(depth, heads, 4 * width, **options)
    return nn.language_model(
        body, vocabulary, width,
        length=length, positions=added, tied=tied, dropout=dropout, w_init=w_init,
    )  # fmt: skip


def encoder_decoder(
    vocabulary, width, depth, heads, *, positions="sinusoidal", capacity=None, length=None,
    source_vocabulary=None, decoder_depth=None, dropout=0.0, **options,
):  # fmt: skip
    """An `encoder_decoder` whose parts are those of `transformer`."""
    added, seen = attending(positions)
    options = {"w_init": jax.nn.initializers.glorot_uniform(), "dropout": dropout} | seen | options

    def decoder(capacity):
        deep = decoder_depth or depth
        return transformer(
            deep, heads, 4 * width, causal=True, cross=True, capacity=capacity, **options
        )

    return nn.encoder_decoder(
        transformer(depth, heads, 4 * width, **options), decoder(None), vocabulary, width,
        cached=None if capacity is None else decoder(capacity),
        source_vocabulary=source_vocabulary, length=length, positions=added, dropout=dropout,
    )  # fmt: skip
