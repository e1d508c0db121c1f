"""The recurrent network and the transformer: their training, and their predictions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options
from examples.sentiment.words import TIME, VOCABULARY

VECTOR = 128  # features of a word
WIDTH = 64  # of each direction of the recurrent network
MEMBERS = 4  # networks whose ratings are averaged
WORD_DROPOUT = 0.2  # the share of words that are dropped
DROPOUT = 0.5  # of the word vectors, and of the features of a sentence
HEADS = 4  # of the transformer
BLOCK_DROPOUT = 0.1  # of the attention weights and the branches of the transformer
W_INIT = jax.nn.initializers.normal(0.02)  # of the transformer, as in GPT-2
BATCH = 64
STEPS = 1060  # about eight epochs
QUICK_STEPS = 8
WARMUP_STEPS = 50
ROWS_OF_HISTORY = 20
RATE = 2e-3  # the peak learning rate of the recurrent network
TRANSFORMER_RATE = 1e-3
UNIT = 2.0  # by which ratings are divided for the networks


def vectors() -> nn.Layer:
    # An unknown word has the vector of a dropped word: zeros.
    return nn.serial(
        nn.embedding(VOCABULARY, VECTOR, padding=0),
        nn.dropout(WORD_DROPOUT, shared=(2,)),
        nn.dropout(DROPOUT),
    )


def recurrent() -> nn.Layer:
    body = nn.stack(vectors(), nn.rnn(nn.gru, WIDTH, bidirectional=True))
    return nn.rnn_classifier(body, 1, pool="max", dropout=DROPOUT)


def attentive() -> nn.Layer:
    def flow(f, x):
        tokens, lengths = x
        mask = nn.length_mask(lengths, tokens.shape[1])
        h, _ = f.blocks((f.positions(f.vectors(tokens)), mask))
        return f.head(f.dropout(nn.pool_steps(h, mask, "max")))

    last = nn.depth_scaled_init(1)
    block = nn.transformer_block(
        nn.attention(HEADS, dropout=BLOCK_DROPOUT, w_init=W_INIT, out_init=last),
        nn.feed_forward(2 * VECTOR, w_init=W_INIT, out_init=last),
        dropout=BLOCK_DROPOUT,
    )
    return nn.wire(
        flow,
        vectors=vectors(),
        positions=nn.unroll(nn.learned_positions(TIME)),
        blocks=nn.transformer(block, 1),
        dropout=nn.dropout(DROPOUT),
        head=nn.dense(1),
    )


net, transformer = nn.ensemble(recurrent(), MEMBERS), nn.ensemble(attentive(), 1)


def squared_error(net: nn.Layer) -> Callable:
    """The squared error of the ratings of each member, summed over members."""

    def loss(params, state, batch, *, key, train):
        x, ratings = batch
        y, state = net.apply(params, state, x, key=key, train=train)
        error = y[..., 0] - ratings[None] / UNIT
        return jnp.square(error).mean(axis=1).sum(), (state, {})

    return loss


def training_steps(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options, net: nn.Layer = net, rate: float = RATE):
    steps = training_steps(options)
    warmup = min(WARMUP_STEPS, steps // 2)
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, warmup, steps)
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(schedule))
    x = jax.ShapeDtypeStruct((BATCH, TIME), jnp.int32), jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    batch = x, jax.ShapeDtypeStruct((BATCH,), jnp.float32)
    return nn.training.step(squared_error(net), optimizer), train, batch


def learn(options: Options, net: nn.Layer, rate: float, x, ratings) -> nn.training.FitResult:
    step, train, _ = plan(options, net, rate)
    steps = training_steps(options)
    every = max(steps // ROWS_OF_HISTORY, 4)
    return nn.training.fit(step, train, (x, ratings), steps=steps, batch_size=BATCH, every=every)


def predict(net: nn.Layer, params, x, rows: int = 256) -> np.ndarray:
    """The ratings [members, sentences] of encoded sentences."""
    predict_batch = jax.jit(lambda params, x: net(params, x)[..., 0])
    count = len(x[1])
    # Filled up with empty sentences, so that one compiled program serves all batches.
    x = [np.concatenate([part, np.zeros((-count % rows, *part.shape[1:]), np.int32)]) for part in x]
    parts = [
        predict_batch(params, tuple(jnp.asarray(part[i : i + rows]) for part in x))
        for i in range(0, count, rows)
    ]
    return UNIT * np.concatenate(parts, axis=1)[:, :count]


def word_effects(net: nn.Layer, params, x, shown: int) -> list[np.ndarray]:
    """What each word of the first sentences adds: the rating with it minus that without it."""
    tokens, lengths = np.repeat(x[0][:shown], TIME + 1, axis=0), np.repeat(x[1][:shown], TIME + 1)
    # Row i of a sentence lacks word i, and the last row lacks none.
    without = tokens.reshape(-1, TIME + 1, TIME)
    without[:, np.arange(TIME), np.arange(TIME)] = 0
    ratings = predict(net, params, (tokens, lengths)).mean(axis=0).reshape(-1, TIME + 1)
    return list(ratings[:, -1:] - ratings[:, :-1])
