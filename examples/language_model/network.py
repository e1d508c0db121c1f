"""The language model in three sizes, its loss and its optimizer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn

VOCABULARY = 69  # 65 characters and 4 special tokens
W_INIT = jax.nn.initializers.normal(0.02)  # as in GPT-2
BETAS = (0.9, 0.99)  # of Adam
WEIGHT_DECAY = 0.1
MAX_NORM = 1.0  # to which gradients are clipped
WARMUP = 1 / 20  # the share of the steps in which the learning rate rises
LAST_RATE = 1 / 10  # of the peak learning rate, at the last step


class Scale(NamedTuple):
    """The net, and how it is trained.

    context: characters of a window.
    stride: characters between the starts of training windows.
    every: steps between validations.
    rate: the peak learning rate.
    rotary: whether positions are rotary; they are learned otherwise.
    shown: characters that are generated at the end.
    """

    width: int
    depth: int
    heads: int
    context: int
    batch: int
    steps: int
    every: int
    rate: float
    dropout: float = 0.0
    stride: int = 1
    rotary: bool = False
    shown: int = 512


STANDARD = Scale(
    width=128, depth=4, heads=4, context=64, batch=12, steps=2000, every=200, rate=4e-3
)
QUICK = STANDARD._replace(width=64, depth=2, steps=120, every=40, stride=16, rate=1e-2, shown=64)
LARGE = Scale(
    width=192,
    depth=6,
    heads=6,
    context=128,
    batch=32,
    steps=4000,
    every=250,
    rate=2e-3,
    dropout=0.1,
    stride=2,
    rotary=True,
)


def model(scale: Scale, capacity: int | None = None) -> Any:
    """GPT-2 with the positions of the scale; with a capacity, a cell that generates text."""
    last = nn.depth_scaled_init(scale.depth)
    attention = nn.attention(
        scale.heads,
        causal=True,
        capacity=capacity,
        rotary=nn.rotary() if scale.rotary else None,
        w_init=W_INIT,
        out_init=last,
    )
    feed_forward = nn.feed_forward(4 * scale.width, w_init=W_INIT, out_init=last)
    block = nn.transformer_block(attention, feed_forward, dropout=scale.dropout)
    return nn.language_model(
        nn.transformer(block, scale.depth, unroll=scale.depth),
        VOCABULARY,
        scale.width,
        length=scale.context,
        positions=None if scale.rotary else "learned",
        dropout=scale.dropout,
    )


def loss_of(scale: Scale) -> Callable:
    """The cross entropy of each character of windows [rows, context + 1], given those before it."""
    supervised = nn.training.supervised(
        model(scale), optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
    )

    def loss(params, state, batch, *, key=None, train=False):
        pair = batch[:, :-1], batch[:, 1:].astype(jnp.int32)
        return supervised(params, state, pair, key=key, train=train)

    return loss


def schedule(scale: Scale) -> optax.Schedule:
    warmup = round(WARMUP * scale.steps)
    return optax.warmup_cosine_decay_schedule(
        0.0, scale.rate, warmup, scale.steps, LAST_RATE * scale.rate
    )


def optimizer_of(scale: Scale) -> optax.GradientTransformation:
    b1, b2 = BETAS
    adam = optax.adamw(schedule(scale), b1=b1, b2=b2, weight_decay=WEIGHT_DECAY, mask=nn.decayed)
    return optax.chain(optax.clip_by_global_norm(MAX_NORM), adam)
