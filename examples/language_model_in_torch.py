"""The net and the loop of `language_model` in PyTorch, from the same params."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch.nn import functional

import jaxnn as nn


class Twin(NamedTuple):
    """A net in training.

    advance: (n) -> None, trains for n steps.
    measure: pieces [rows, context + 1] -> nats a character.
    """

    advance: Callable[[int], None]
    measure: Callable[[np.ndarray], float]


def twin(
    params: Any, heads: int, pieces: np.ndarray, batch: int, rates: np.ndarray, seed: int
) -> Twin:
    """The twin of a GPT-2 with these params, which learns from `pieces`, step i at rates[i]."""
    depth = len(params["blocks"]["mlp"]["up"]["w"])
    blocks = [jax.tree.map(lambda leaf, i=i: leaf[i], params["blocks"]) for i in range(depth)]
    ours = params | {"blocks": blocks}
    held = jax.tree_util.tree_map_with_path(_tensor, ours)
    leaves = list(zip(jax.tree.leaves(held), jax.tree.leaves(nn.decayed(ours)), strict=True))
    groups = [
        {"params": [leaf for leaf, decays in leaves if decays], "weight_decay": 0.1},
        {"params": [leaf for leaf, decays in leaves if not decays], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    text, order = torch.tensor(pieces), torch.Generator().manual_seed(seed)
    coming = iter(rates.tolist())

    def advance(n):
        for rate in itertools.islice(coming, n):
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = text[torch.randint(len(text), (batch,), generator=order)]
            optimizer.zero_grad()
            _loss(held, heads, rows).backward()
            torch.nn.utils.clip_grad_norm_(jax.tree.leaves(held), 1.0)
            optimizer.step()

    @torch.no_grad()
    def measure(pieces):
        parts = torch.tensor(pieces).split(128)
        total = sum(len(rows) * _loss(held, heads, rows).item() for rows in parts)
        return total / len(pieces)

    return Twin(advance, measure)


def _tensor(path: Any, leaf: Any) -> torch.Tensor:
    """A tensor that learns; matrices lie as torch's Linear has them."""
    tensor = torch.tensor(np.asarray(leaf))
    table = path[0].key in ("embed", "positions")
    tensor = tensor.T.contiguous() if tensor.ndim == 2 and not table else tensor
    return tensor.requires_grad_()


def _loss(held: dict, heads: int, rows: torch.Tensor) -> torch.Tensor:
    tokens, targets = rows[:, :-1].long(), rows[:, 1:].long()
    embed = held["embed"]["w"]
    x = functional.embedding(tokens, embed) + held["positions"]["w"][: tokens.shape[1]]
    for block in held["blocks"]:
        h = _norm(block["attention_norm"], x)
        qkv = _dense(block["attention"]["qkv"], h).unflatten(-1, (3, heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + _dense(block["attention"]["out"], h.transpose(1, 2).flatten(2))
        h = _dense(block["mlp"]["up"], _norm(block["mlp_norm"], x))
        x = x + _dense(block["mlp"]["down"], functional.gelu(h, approximate="tanh"))
    logits = functional.linear(_norm(held["norm"], x), embed)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _dense(held: dict, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, held["w"], held["b"])


def _norm(held: dict, x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], held["scale"], held["b"])
