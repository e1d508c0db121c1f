"""The language model in three sizes, its loss and its optimizer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

import jaxnn as nn

VOCABULARY = 69  # 65 characters and 4 special tokens
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
    positions: str = "learned"
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
    positions="rotary",
)


def model(scale: Scale, capacity: int | None = None) -> Any:
    return nn.language_model(
        VOCABULARY,
        scale.width,
        scale.depth,
        scale.heads,
        length=scale.context,
        positions=scale.positions,
        capacity=capacity,
        dropout=scale.dropout,
        attention_dropout=0.0,
        unroll=scale.depth,
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
