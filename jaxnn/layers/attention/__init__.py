"""Attention: the layers, their masks, positions and cache.

- attention: `attention` of a sequence to itself and `cross_attention` to another.
- dot_product: scaled dot-product attention in the fastest form for each platform.
- kv_cache: the carry of an attention cell, the keys and values of earlier steps.
- masks: which keys a query may see, from padding and from the causal and window settings.
- positions: `rotary` and `alibi_slopes`, positions that are not learned.
- projections: the weights that make queries, keys and values, and that join the heads.
"""
