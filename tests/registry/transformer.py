"""Entries of the registry: transformer."""

import jax

import jaxnn as nn
from tests import parts
from tests.registry.entry import Entry, features, masked, on_the_first, on_the_last, tokens

ENTRIES = {
    "feed_forward": Entry(
        lambda: nn.feed_forward(16, activation=jax.nn.silu, gated=True, dropout=0.3),
        features(6, 8),
    ),
    "transformer_block with a memory": Entry(
        lambda: parts.block(2, 16, causal=True, cross=True, pre_norm=False, dropout=0.3),
        lambda key, dtype: (features(6, 8)(key, dtype), *masked(5, 16)(key, dtype)),
        pack=on_the_first,
    ),
    "transformer cached": Entry(
        lambda: parts.transformer(
            2, 2, 8, causal=True, window=3, capacity=6, dropout=0.3, remat=True
        ),
        masked(6, 8),
    ),
    "language_model": Entry(
        lambda: parts.language_model(16, 8, 2, 2, positions="sinusoidal", tied=False, dropout=0.3),
        tokens(6),
    ),
    "gpt2 cached": Entry(lambda: nn.gpt2(16, 8, 2, 2, length=8, capacity=8), tokens(6)),
    "llama": Entry(lambda: nn.llama(16, 8, 2, 4, kv_heads=2, mlp_width=16), tokens(6)),
    "bert": Entry(
        lambda: nn.bert(16, 8, 2, 2, length=8, dropout=0.3),
        lambda key, dtype: (
            tokens(6)(key, dtype),
            masked(6)(key, dtype)[1],
            tokens(6, vocabulary=2)(key, dtype),
        ),
        pack=lambda x, mask: (x[0], mask, x[2]),
    ),
    "seq2seq_transformer": Entry(
        lambda: nn.seq2seq_transformer(16, 8, 1, 2, dropout=0.3).net,
        lambda key, dtype: (tokens(5)(key, dtype), masked(5)(key, dtype)[1], tokens(6)(key, dtype)),
        pack=on_the_last,
    ),
    "lora": Entry(
        lambda: nn.lora(
            nn.repeat(nn.mlp(16, 8), 2), 2, alpha=4.0, b_init=jax.nn.initializers.normal()
        ),
        features(8),
    ),
}
