"""The cases of `benchmarks/sequences.py` in PyTorch, eager; generation is a loop with a cache."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn import functional as fn

from benchmarks.peers import cases, data
from benchmarks.peers.torch.layers import CASES as LAYERS
from benchmarks.peers.torch.layers import Gpt, gpt


def attend(attention: Any, x: Any, cache: Any, start: int) -> Any:
    """Attention of new tokens to all tokens so far; the cache is updated in place."""
    batch, time, _ = x.shape
    q, k, v = attention.qkv(x).view(batch, time, 3, 4, 32).permute(2, 0, 3, 1, 4)
    cache[0, :, :, start : start + time], cache[1, :, :, start : start + time] = k, v
    keys, values = cache[:, :, :, : start + time]
    y = fn.scaled_dot_product_attention(q, keys, values, is_causal=time > 1)
    return attention.out(y.transpose(1, 2).reshape(batch, time, 128))


def forward(net: Any, tokens: Any, caches: Any, start: int) -> Any:
    """The logits after the last of the tokens; `start` is the position of the first one."""
    x = net.tokens(tokens) + net.positions[start : start + tokens.shape[1]]
    for block, cache in zip(net.blocks, caches, strict=True):
        norm, attention = block.attention
        x = x + attend(attention, norm(x), cache, start)
        x = x + block.mlp(x)
    return net.head(x[:, -1:])


@torch.inference_mode()
def generate(net: Any, prompt: Any, count: int) -> Any:
    """The most likely tokens after a prompt: [batch, count]."""
    batch, time = prompt.shape
    caches = torch.empty(len(net.blocks), 2, batch, 4, time + count, 32)
    token, earlier = forward(net, prompt, caches, 0).argmax(-1), []
    for start in range(time, time + count - 1):
        earlier.append(token)
        token = forward(net, token, caches, start).argmax(-1)
    return torch.cat([*earlier, token], 1)


def generated(count: int) -> tuple[Callable[[int], None], int]:
    net, prompt = Gpt(1024, 4), torch.from_numpy(data.prompts())

    def run(steps: int) -> None:
        for _ in range(steps):
            generate(net, prompt, count)

    return run, sum(param.numel() for param in net.parameters())


CASES: dict[str, Callable] = {title: LAYERS[title] for title in (cases.GPT, cases.LSTM, cases.GRU)}
CASES |= {title: partial(generated, count) for title, count in cases.GENERATED.items()}
CASES[cases.DEEP_GPT] = lambda: gpt(8, 128, depth=12)
