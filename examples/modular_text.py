"""The part of `modular` in which experts read Shakespeare, a character at a time.

Two transformers differ in their feedforward layers alone: one has dense layers, the other mixtures
of 8 experts, of which each character goes to 2. Both take as many multiply-adds a character, with
the router's counted: its share is given to the dense layers as hidden features.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options, data
from examples.data.text import windows
from examples.data.tokens import characters

VOCABULARY = 69  # 65 characters and 4 special tokens
WIDTH, DEPTH, HEADS, CONTEXT = 128, 2, 4, 64
EXPERTS, TOP_K, EXPERT_WIDTH, CAPACITY = 8, 2, 256, 1.25
BATCH, STEPS, QUICK_STEPS, RATE = 16, 1200, 12, 3e-3


def dense_width() -> int:
    """Hidden features of the dense layer that takes what a mixture takes, with its router."""
    return TOP_K * EXPERT_WIDTH + -(-EXPERTS // 2)


def model(sparse: bool) -> Any:
    """Logits of the next token, tokens int [batch, time] to [batch, time, VOCABULARY]."""
    if sparse:
        mlp = nn.mixture.sparse_mixture(EXPERT_WIDTH, EXPERTS, TOP_K, capacity=CAPACITY)
    else:
        mlp = nn.feed_forward(dense_width())
    attention = nn.residual(nn.serial(nn.layer_norm(), nn.attention(HEADS, causal=True)))
    block = nn.serial(attention, nn.residual(nn.serial(nn.layer_norm(), mlp)))
    return nn.unroll(
        nn.serial(
            embed=nn.embedding(VOCABULARY, WIDTH),
            positions=nn.learned_positions(CONTEXT),
            blocks=nn.repeat(block, DEPTH),
            norm=nn.layer_norm(),
            head=nn.dense(VOCABULARY),
        )
    )


def multiply_adds(sparse: bool) -> int:
    """Of all feedforward layers, a token."""
    mixture = 2 * TOP_K * EXPERT_WIDTH * WIDTH + EXPERTS * WIDTH
    return DEPTH * (mixture if sparse else 2 * dense_width() * WIDTH)


def objective(sparse: bool) -> Callable:
    """The cross entropy of each character of pieces [rows, CONTEXT + 1] after those before it."""
    plain = nn.training.supervised(
        model(sparse), optax.softmax_cross_entropy_with_integer_labels, {"accuracy": nn.accuracy}
    )

    def loss(params, state, batch, *, key=None, train=False):
        pair = batch[:, :-1], batch[:, 1:].astype(jnp.int32)
        return plain(params, state, pair, key=key, train=train)

    return nn.mixture.routed(loss) if sparse else loss


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def learner(options: Options, sparse: bool) -> tuple:
    """(loss, step, train) of one of the two."""
    steps = length(options)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 20, steps, RATE / 10)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, b1=0.9, b2=0.99, weight_decay=0.1, mask=nn.decayed),
    )
    tokens = jax.ShapeDtypeStruct((BATCH, CONTEXT), jnp.uint8)
    start = jax.jit(lambda key: nn.training.init_train(model(sparse), optimizer, key, tokens))
    loss = objective(sparse)
    return loss, nn.training.step(loss, optimizer), start(jax.random.key(options.seed))


def learned(options: Options, sparse: bool) -> tuple[dict[str, float], nn.training.FitResult]:
    """(what it is worth on the last tenth of the text, its run)."""
    text, rest = data.shakespeare()
    letters = characters([text + rest])
    assert letters.size == VOCABULARY
    known, tested = (letters.encode([each])[0][0].astype(np.uint8) for each in (text, rest))
    pieces = windows(known, CONTEXT + 1, 8)
    tested = windows(tested, CONTEXT + 1, CONTEXT)[: 64 if options.quick else None]
    loss, step, train = learner(options, sparse)
    steps = length(options)
    end = nn.training.fit(step, train, pieces, steps=steps, batch_size=BATCH, every=steps // 6)
    return nn.training.evaluate(loss, end.train, tested, batch_size=64), end
