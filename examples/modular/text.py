"""The part with characters of Shakespeare, each routed to some of the experts.

Two transformers differ only in their feed-forward layers: one has dense layers, the other mixtures
of 8 experts, of which each character is routed to 2. Both take as many multiply-adds per character,
including the router: its share is given to the dense layers as additional hidden features.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options, data
from examples.data.text import windows
from examples.data.tokens import characters

VOCABULARY = 69  # 65 characters and 4 special tokens
WIDTH = 128
DEPTH = 2
HEADS = 4
CONTEXT = 64  # characters of a window
STRIDE = 8  # characters between the starts of training windows
EXPERTS = 8
TOP_K = 2  # experts of a character
EXPERT_WIDTH = 256
CAPACITY = 1.25  # rows of an expert, relative to an equal share
BATCH = 16
STEPS = 1200
QUICK_STEPS = 12
RATE = 3e-3  # the peak learning rate
ROWS_OF_HISTORY = 6
TEST_BATCH = 64
QUICK_WINDOWS = 64  # test windows of a quick run


class Comparison(NamedTuple):
    """Nats per character on the last tenth of the text, and the runs of both transformers."""

    loss: float
    dense_loss: float
    sparse_run: nn.training.FitResult
    dense_run: nn.training.FitResult


def dense_width() -> int:
    """The hidden features of a dense layer that costs as much as a mixture with its router."""
    return TOP_K * EXPERT_WIDTH + -(-EXPERTS // 2)


def model(*, sparse: bool) -> Any:
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


def multiply_adds(*, sparse: bool) -> int:
    """The multiply-adds of all feed-forward layers, per token."""
    mixture = 2 * TOP_K * EXPERT_WIDTH * WIDTH + EXPERTS * WIDTH
    return DEPTH * (mixture if sparse else 2 * dense_width() * WIDTH)


def loss_of(*, sparse: bool) -> Callable:
    """The cross entropy of each character of windows [rows, CONTEXT + 1], given those before it."""
    supervised = nn.training.supervised(
        model(sparse=sparse),
        optax.softmax_cross_entropy_with_integer_labels,
        {"accuracy": nn.accuracy},
    )

    def loss(params, state, batch, *, key=None, train=False):
        pair = batch[:, :-1], batch[:, 1:].astype(jnp.int32)
        return supervised(params, state, pair, key=key, train=train)

    return nn.mixture.routed(loss) if sparse else loss


def training_steps(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def learner(options: Options, *, sparse: bool) -> tuple[Callable, Callable, nn.training.TrainState]:
    """(loss, step, train) of one of the two."""
    steps, loss = training_steps(options), loss_of(sparse=sparse)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, steps // 20, steps, RATE / 10)
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, b1=0.9, b2=0.99, weight_decay=0.1, mask=nn.decayed),
    )
    tokens = jax.ShapeDtypeStruct((BATCH, CONTEXT), jnp.uint8)
    net = model(sparse=sparse)
    init = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, tokens))
    return loss, nn.training.step(loss, optimizer), init(jax.random.key(options.seed))


def learn(
    options: Options, training: np.ndarray, tested: np.ndarray, *, sparse: bool
) -> tuple[float, nn.training.FitResult]:
    """(the loss on the test windows, the run) of one of the two."""
    loss, step, train = learner(options, sparse=sparse)
    steps = training_steps(options)
    every = steps // ROWS_OF_HISTORY
    end = nn.training.fit(step, train, training, steps=steps, batch_size=BATCH, every=every)
    return nn.training.evaluate(loss, end.train, tested, batch_size=TEST_BATCH)["loss"], end


def compare(options: Options) -> Comparison:
    """Train and evaluate both transformers on the same text."""
    assert multiply_adds(sparse=True) <= multiply_adds(sparse=False)
    text, rest = data.shakespeare()
    tokens = characters([text + rest])
    assert tokens.size == VOCABULARY
    known, new = (tokens.encode([each])[0][0].astype(np.uint8) for each in (text, rest))
    training = windows(known, CONTEXT + 1, STRIDE)
    tested = windows(new, CONTEXT + 1, CONTEXT)[: QUICK_WINDOWS if options.quick else None]
    loss, sparse_run = learn(options, training, tested, sparse=True)
    dense_loss, dense_run = learn(options, training, tested, sparse=False)
    return Comparison(loss, dense_loss, sparse_run, dense_run)
