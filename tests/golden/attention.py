"""Golden values of attention: PyTorch's multi-head attention and its scaled dot product."""

import numpy as np
import torch
from torch.nn import functional

from tests.golden.make import draw, record

BATCH, TIME, KEYS, WIDTH, HEADS = 2, 5, 4, 8, 4


def _weights(q=WIDTH, kv=WIDTH):
    return {
        "q": draw(WIDTH, q, seed=1) / 4,
        "k": draw(WIDTH, kv, seed=2) / 4,
        "v": draw(WIDTH, kv, seed=3) / 4,
        "b": draw(3 * WIDTH, seed=4),
        "out": draw(WIDTH, WIDTH, seed=5) / 4,
        "out_b": draw(WIDTH, seed=6),
    }


def _multi_head(query, memory, w, hidden=None, masked=None):
    """torch.nn.MultiheadAttention's function; its masks are true where a key is hidden."""
    y, _ = functional.multi_head_attention_forward(
        *(each.transpose(0, 1) for each in (query, memory, memory)),
        embed_dim_to_check=WIDTH,
        num_heads=HEADS,
        in_proj_weight=None,
        in_proj_bias=w["b"],
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=w["out"],
        out_proj_bias=w["out_b"],
        need_weights=False,
        key_padding_mask=hidden,
        attn_mask=masked,
        use_separate_proj_weight=True,
        q_proj_weight=w["q"],
        k_proj_weight=w["k"],
        v_proj_weight=w["v"],
    )
    return y.transpose(0, 1)


def _grouped(x, qkv, out, scale=None, mask=None):
    """Two heads of keys and values for four of queries, without biases."""
    split = functional.linear(x, qkv).unflatten(-1, (8, 2)).transpose(1, 2)
    q, k, v = split.split([4, 2, 2], dim=1)
    if scale is not None:
        q, k = (
            functional.rms_norm(each, (2,), s, 1e-6) for each, s in zip((q, k), scale, strict=True)
        )
    y = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True
    )
    return functional.linear(y.transpose(1, 2).flatten(2), out)


def cases() -> dict[str, dict[str, np.ndarray]]:
    """Cases by name, as `record` returns them."""
    x = {"x": draw(BATCH, TIME, WIDTH)}
    memory = {"memory": draw(BATCH, KEYS, 3, seed=7)}
    there = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]) > 0
    steps = torch.arange(TIME)
    near = (steps[:, None] >= steps) & (steps[:, None] - steps < 2)
    seen = draw(BATCH, TIME, TIME, seed=8) > -0.5
    seen = seen | torch.eye(TIME, dtype=torch.bool)
    grouped = {"qkv": draw(16, WIDTH, seed=9), "out": draw(WIDTH, WIDTH, seed=10)}
    scale = {"q_scale": draw(2, seed=11), "k_scale": draw(2, seed=12)}
    return {
        "self": record(lambda x, **w: _multi_head(x, x, w), x | _weights()),
        "self causal": record(
            lambda x, **w: _multi_head(x, x, w, masked=steps[:, None] < steps), x | _weights()
        ),
        "self padded": record(
            lambda x, mask, **w: _multi_head(x, x, w, hidden=~mask) * mask[..., None],
            x | {"mask": there} | _weights(),
        ),
        "self masked": record(
            lambda x, mask, **w: _multi_head(
                x, x, w, masked=(~mask).repeat_interleave(HEADS, dim=0)
            ),
            x | {"mask": seen} | _weights(),
        ),
        "cross": record(
            lambda x, memory, **w: _multi_head(x, memory, w), x | memory | _weights(kv=3)
        ),
        "cross padded": record(
            lambda x, memory, mask, **w: _multi_head(x, memory, w, hidden=~mask),
            x | memory | {"mask": there[:, :KEYS]} | _weights(kv=3),
        ),
        "grouped causal": record(_grouped, x | grouped),
        "grouped window": record(lambda **w: _grouped(**w, mask=near), x | grouped),
        "grouped query-key norm": record(
            lambda x, qkv, out, q_scale, k_scale: _grouped(x, qkv, out, (q_scale, k_scale)),
            x | grouped | scale,
        ),
    }
