"""Entries of the registry: attention."""

import jax.numpy as jnp

import jaxnn as nn
from jaxnn.layers.attention.attention import attention, cross_attention
from jaxnn.layers.attention.positions import rotary
from jaxnn.layers.norm import rms_norm
from tests.registry.entry import (
    HALF,
    Entry,
    features,
    masked,
)

ENTRIES = {
    "attention": Entry(lambda: attention(2), features(6, 8)),
    "attention causal with rotary and grouped heads": Entry(
        lambda: attention(4, kv_heads=2, causal=True, rotary=rotary()), features(6, 16)
    ),
    "attention in a window with alibi and one key head": Entry(
        lambda: attention(2, kv_heads=1, causal=True, window=3, alibi=True), features(6, 8)
    ),
    "attention of another width with query-key norm": Entry(
        lambda: attention(2, width=16, bias=False, qk_norm=True), features(6, 8)
    ),
    "attention with dropout": Entry(lambda: attention(2, dropout=0.3), features(6, 8)),
    "attention masked": Entry(lambda: attention(2, alibi=True), masked(6, 8)),
    "attention cached": Entry(
        lambda: attention(4, kv_heads=2, causal=True, capacity=8, rotary=rotary()), features(6, 16)
    ),
    "attention cached in a ring": Entry(
        lambda: attention(2, causal=True, window=3, capacity=4, alibi=True), features(6, 8)
    ),
    "attention cached, masked, with dropout": Entry(
        lambda: attention(2, causal=True, capacity=6, rotary=rotary(), qk_norm=True, dropout=0.3),
        masked(6, 8),
    ),
    "attention cached under repeat": Entry(
        lambda: nn.repeat(
            nn.residual(nn.serial(rms_norm(), attention(2, causal=True, capacity=6))), 2
        ),
        features(6, 8),
    ),
    "attention in half precision": Entry(
        lambda: nn.with_dtype(attention(2, causal=True, capacity=6, alibi=True), jnp.bfloat16),
        features(6, 8),
        HALF,
    ),
    "cross_attention": Entry(
        lambda: cross_attention(4, kv_heads=2, qk_norm=True),
        lambda key, dtype: (features(3, 16)(key, dtype), features(5, 8)(key, dtype)),
    ),
    "cross_attention masked": Entry(
        lambda: cross_attention(2, dropout=0.3),
        lambda key, dtype: (features(3, 8)(key, dtype), *masked(5, 8)(key, dtype)),
    ),
}
