"""The same net and training loop in PyTorch, from the same params."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch.nn import functional

import jaxnn as nn
from examples.language_model.network import BETAS, MAX_NORM, WEIGHT_DECAY

ROWS = 128  # windows that are evaluated at once


class Twin(NamedTuple):
    """A net in training.

    advance: (n) -> None, trains for n steps.
    measure: windows [rows, context + 1] -> nats per character.
    """

    advance: Callable[[int], None]
    measure: Callable[[np.ndarray], float]


def twin(
    params: Any, heads: int, windows: np.ndarray, batch: int, rates: np.ndarray, seed: int
) -> Twin:
    """The twin of a GPT-2 with these params.

    Args:
      params: those of the net in JAX, which are copied.
      heads: of attention.
      windows: uint8 [windows, context + 1], from which batches are drawn at random.
      batch: windows a step.
      rates: floats [steps], the learning rate of each step.
      seed: of the batches.
    """
    body = params["body"]
    depth = len(body["blocks"]["mlp"]["up"]["w"])
    blocks = [jax.tree.map(lambda leaf, i=i: leaf[i], body["blocks"]) for i in range(depth)]
    unstacked = params | {"body": body | {"blocks": blocks}}
    weights = jax.tree_util.tree_map_with_path(_tensor, unstacked)
    tensors = jax.tree.leaves(weights)
    decays = jax.tree.leaves(nn.decayed(unstacked))
    groups = [
        {
            "params": [tensor for tensor, flag in zip(tensors, decays, strict=True) if flag],
            "weight_decay": WEIGHT_DECAY,
        },
        {
            "params": [tensor for tensor, flag in zip(tensors, decays, strict=True) if not flag],
            "weight_decay": 0.0,
        },
    ]
    optimizer = torch.optim.AdamW(groups, betas=BETAS)
    text, order = torch.tensor(windows), torch.Generator().manual_seed(seed)
    remaining_rates = iter(rates.tolist())

    def advance(n):
        for rate in itertools.islice(remaining_rates, n):
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = text[torch.randint(len(text), (batch,), generator=order)]
            optimizer.zero_grad()
            _loss(weights, heads, rows).backward()
            torch.nn.utils.clip_grad_norm_(tensors, MAX_NORM)
            optimizer.step()

    @torch.no_grad()
    def measure(windows):
        parts = torch.tensor(windows).split(ROWS)
        total = sum(len(rows) * _loss(weights, heads, rows).item() for rows in parts)
        return total / len(windows)

    return Twin(advance, measure)


def _tensor(path: Any, leaf: Any) -> torch.Tensor:
    """A trainable tensor, whose matrices have the layout of torch's Linear."""
    tensor = torch.tensor(np.asarray(leaf))
    table = path[0].key in ("embed", "positions")
    tensor = tensor.T.contiguous() if tensor.ndim == 2 and not table else tensor
    return tensor.requires_grad_()


def _loss(weights: dict, heads: int, rows: torch.Tensor) -> torch.Tensor:
    tokens, targets = rows[:, :-1].long(), rows[:, 1:].long()
    embed = weights["embed"]["w"]
    x = functional.embedding(tokens, embed) + weights["positions"]["w"][: tokens.shape[1]]
    for block in weights["body"]["blocks"]:
        h = _norm(block["attention_norm"], x)
        qkv = _dense(block["attention"]["qkv"], h).unflatten(-1, (3, heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + _dense(block["attention"]["out"], h.transpose(1, 2).flatten(2))
        h = _dense(block["mlp"]["up"], _norm(block["mlp_norm"], x))
        x = x + _dense(block["mlp"]["down"], functional.gelu(h, approximate="tanh"))
    logits = functional.linear(_norm(weights["body"]["norm"], x), embed)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _dense(weights: dict, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, weights["w"], weights["b"])


def _norm(weights: dict, x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], weights["scale"], weights["b"])
