"""A transformer translates captions of photographs from German to English.

It learns from 29000 pairs of Multi30k: encoder and decoder share one table of 5000 parts of words,
which also makes the logits. German is read in small letters; English keeps its own, but for the
first of each sentence, which is made large again in what is written. Sentences of like length make
a batch, so that little of it is padding. The params are those of the lowest loss on the 1014
validation pairs; the 1000 test pairs chose nothing. Measured is the corpus BLEU of sacrebleu, with
its own tokenizer and case, against the English as it was written. Published are 33.5 for recurrent
networks with attention and 30.8 for a small transformer. Beside it stands the translation of the
training sentence that is most like the one to translate.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import sacrebleu
from sklearn.feature_extraction.text import TfidfVectorizer

import jaxnn as nn
from examples import Check, Options, Result, data
from examples import translation_pictures as draw
from examples.data import tokens
from examples.data.tokens import PADDING, START, STOP, Tokens
from examples.data.translation import Pairs

THRESHOLD = 33.0  # BLEU on the 1000 test pairs, by beam search
DEPTH, HEADS, DROPOUT, SMOOTHING = 3, 8, 0.2, 0.1
RATE, WARMUP = 1e-3, 1 / 9  # of the optimizer; the share of the steps in which it grows
BATCH_TOKENS, LONGEST = 1536, 64  # of either language: a batch's with its padding, a sentence's
PENALTY = 1.0  # of length, in the score of a translation
SHOWN, DRAWN = 10, 1  # sentences written out, and the one whose attention is drawn


class Scale(NamedTuple):
    """How much is done.

    width: of a token; the layers between are twice as wide.
    vocabulary: parts of words.
    lengths: to which batches are padded.
    pairs, tested: to learn from; of validation and test each.
    steps, every: of training; between validations.
    beams: how many translations of a sentence go on at each step.
    """

    width: int
    vocabulary: int
    lengths: tuple[int, ...]
    pairs: int
    tested: int
    steps: int
    every: int
    beams: int


FULL = Scale(256, 5000, (12, 16, 20, 24, 32), 29000, 1014, 3600, 200, 5)
QUICK = Scale(64, 600, (16,), 2000, 16, 20, 10, 1)


def scale(options: Options) -> Scale:
    return QUICK if options.quick else FULL


# Sentences as tokens


def read(text: str) -> str:
    """German as the encoder reads it."""
    return text.lower()


def written(text: str) -> str:
    """English as the decoder writes it: its first letter is small, unless it has to be large."""
    return text[:1].lower() + text[1:]


def restored(text: str) -> str:
    """English with its first letter large."""
    return text[:1].upper() + text[1:]


def rows_of(pairs: Pairs, parts: Tokens) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sources, targets, lengths): [rows, LONGEST], [rows, LONGEST + 1], of the longer one [rows].

    A source ends in STOP, a target begins with START and ends in STOP; longer ones are cut.
    """
    rows = len(pairs.german)
    sources = np.full((rows, LONGEST), PADDING, np.int32)
    targets = np.full((rows, LONGEST + 1), PADDING, np.int32)
    targets[:, 0] = START
    longest = np.zeros(rows, np.int32)
    for texts, rows_to in (
        ([read(text) for text in pairs.german], sources),
        ([written(text) for text in pairs.english], targets[:, 1:]),
    ):
        given, lengths = parts.encode(texts)
        lengths = np.minimum(lengths, LONGEST - 1)
        rows_to[:, : given.shape[1]] = given[:, :LONGEST]
        rows_to[np.arange(LONGEST) > lengths[:, None]] = PADDING
        rows_to[np.arange(rows), lengths] = STOP
        longest = np.maximum(longest, lengths + 1)
    return sources, targets, longest


def batch_rows(length: int) -> int:
    return BATCH_TOKENS // length // 8 * 8


def batches(rows, lengths: tuple[int, ...], seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches (sources, targets) without end, cut to the least of the lengths that holds them.

    Each epoch has its own order. Pairs longer than all lengths, and what is left of an epoch when a
    batch is not full, are left out.
    """
    sources, targets, longest = rows
    random = np.random.default_rng(seed)
    where = np.searchsorted(lengths, longest)
    while True:
        epoch = []
        for i, length in enumerate(lengths):
            order, size = random.permutation(np.flatnonzero(where == i)), batch_rows(length)
            whole = len(order) // size * size
            epoch += [(length, some) for some in order[:whole].reshape(-1, size)]
        for i in random.permutation(len(epoch)):
            length, some = epoch[i]
            yield sources[some, :length], targets[some, : length + 1]


# The network


def network(options: Options) -> nn.EncoderDecoder:
    much = scale(options)
    return nn.encoder_decoder(
        much.vocabulary,
        much.width,
        DEPTH,
        HEADS,
        mlp_width=2 * much.width,
        dropout=DROPOUT,
        attention_dropout=0.0,
        capacity=LONGEST,
    )


def objective(net: nn.Layer):
    """The cross entropy of a token, in nats; in training SMOOTHING goes to all tokens alike."""

    def loss(params, state, batch, *, key, train):
        sources, targets = batch
        x = sources, sources != PADDING, targets[:, :-1]
        logits, state = net.apply(params, state, x, key=key, train=train)
        truth = targets[:, 1:]
        there = (truth != PADDING).astype(logits.dtype)
        # Chosen by a comparison, whose gradient needs no scatter.
        right = truth[..., None] == jnp.arange(logits.shape[-1])[None, None]
        total = jax.nn.logsumexp(logits, axis=-1)
        hit = total - jnp.where(right, logits, 0).sum(-1)
        smooth = (1 - SMOOTHING) * hit + SMOOTHING * (total - logits.mean(-1))
        plain = (hit * there).sum() / there.sum()
        if not train:
            return plain, (state, {})
        return (smooth * there).sum() / there.sum(), (state, {"cross_entropy": plain})

    return loss


def plan(options: Options):
    much, net = scale(options), network(options).net
    length, warmup = much.lengths[0], round(WARMUP * much.steps)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, warmup, much.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule, b2=0.98))
    sources = jax.ShapeDtypeStruct((batch_rows(length), length), jnp.int32)
    targets = jax.ShapeDtypeStruct((batch_rows(length), length + 1), jnp.int32)
    x = sources, jax.ShapeDtypeStruct(sources.shape, bool), sources
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(objective(net), optimizer), train, (sources, targets)


def with_memory(tokens: jax.Array, context: tuple) -> tuple:
    return tokens, *context


def translated(model: nn.EncoderDecoder, params, sources: np.ndarray, parts: Tokens, beams: int):
    """What the network makes of sources [rows, time], by beam search; greedy with one beam."""
    encode, size = jax.jit(model.encode), min(100, len(sources))
    order = np.argsort((sources != PADDING).sum(1), kind="stable")  # alike end at like steps
    texts = [""] * len(sources)
    for at in range(0, len(order), size):
        some = np.resize(order[at : at + size], size)  # the last ones again where there are fewer
        source = jnp.asarray(sources[some])
        found = nn.beam_search(
            model.decode,
            params,
            (),
            jnp.full((size, 1), START),
            steps=LONGEST - 1,
            beams=beams,
            stop=STOP,
            length_penalty=PENALTY,
            inputs=with_memory,
            context=(encode(params, (source, source != PADDING)), source != PADDING),
        )
        for row, text in zip(some, parts.decode(np.asarray(found.tokens[:, 0])), strict=True):
            texts[row] = restored(text)
    return texts


def attended(model: nn.EncoderDecoder, params, source: np.ndarray, target: np.ndarray):
    """Where a target [time] looks in a source [keys] to write each token: [time, keys].

    It is the mean over the heads of the last block.
    """
    before = jnp.asarray([START, *target[:-1]])[None]
    x = jnp.asarray(source)[None], jnp.ones((1, len(source)), bool), before
    seen = jax.jit(lambda params, x: nn.taps(model.net, params, (), x))(params, x)
    cross = jax.tree.map(lambda leaf: leaf[-1], params["decoder"]["blocks"]["cross"])
    queries = seen["decoder/blocks/cross_norm"][-1, 0] @ cross["q"]["w"] + cross["q"]["b"][None]
    keys = seen["encoder/norm"][0] @ cross["kv"]["w"] + cross["kv"]["b"][None]
    queries = queries.reshape(len(target), HEADS, -1)
    keys = jnp.split(keys, 2, axis=-1)[0].reshape(len(source), HEADS, -1)
    logits = jnp.einsum("thd,khd->htk", queries, keys) / queries.shape[-1] ** 0.5
    return np.asarray(jax.nn.softmax(logits, axis=-1).mean(0))


def most_alike(train: Pairs, german: list[str]) -> list[str]:
    """The English of the training sentence whose German words are most like each given one's."""
    count = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = count.fit_transform(train.german)
    return [train.english[i] for i in (count.transform(german) @ known.T).argmax(axis=1).A1]


def bleu(texts: list[str], references: list[str]) -> float:
    return sacrebleu.corpus_bleu(texts, [references]).score


def run(options: Options) -> Result:
    much, pairs = scale(options), data.multi30k()
    learned = Pairs(*(texts[: much.pairs] for texts in pairs.train))
    held, test = (
        Pairs(*(texts[: much.tested] for texts in each)) for each in (pairs.validation, pairs.test)
    )
    texts = [*map(read, learned.german), *map(written, learned.english)]
    parts = tokens.byte_pairs(texts, much.vocabulary)
    held_rows, test_rows = trimmed(rows_of(held, parts), rows_of(test, parts))

    model, (step, train, _) = network(options), plan(options)
    loss = objective(model.net)
    end = nn.training.fit(
        step,
        train,
        batches(rows_of(learned, parts), much.lengths, options.seed),
        steps=much.steps,
        every=much.every,
        validate=lambda train: nn.training.evaluate(loss, train, held_rows, batch_size=48),
        checkpoint=None if options.quick else options.folder / f"checkpoints-{options.seed}",
    )
    params = end.best.params
    by_beam, greedy = (
        translated(model, params, test_rows[0], parts, beams) for beams in (much.beams, 1)
    )
    held_by_beam = translated(model, params, held_rows[0], parts, much.beams)
    alike = most_alike(learned, test.german)
    source = test_rows[0][DRAWN]
    source = source[source != PADDING]
    target = np.append(parts.encode([written(by_beam[DRAWN])])[0][0], STOP)
    shown = list(zip(test.german, test.english, by_beam, strict=True))[:SHOWN]
    for german, english, made in () if options.quick else shown:
        print(f"  {german}\n    made       {made}\n    reference  {english}")
    return Result(
        checks=(Check("bleu", bleu(by_beam, test.english), THRESHOLD),),
        baseline="translation of the most similar training sentence, by tf-idf",
        baseline_value=bleu(alike, test.english),
        steps=much.steps,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(train.params)),
        metrics={
            "greedy_bleu": bleu(greedy, test.english),
            "validation_bleu": bleu(held_by_beam, held.english),
            "validation_loss": min(row["validation_loss"] for row in end.history),
            "training_seconds": end.history[-1]["seconds"],
        },
        history=end.history,
        figures={
            "translations": draw.translations(shown),
            "attention": draw.attention(
                attended(model, params, source, target), parts.names(source), parts.names(target)
            ),
            "training": draw.history(end.history),
        },
    )


def trimmed(*parts: tuple) -> list[tuple[np.ndarray, np.ndarray]]:
    """(sources, targets) of each, without the padding that all rows share."""
    time = max(longest.max() for _, _, longest in parts)
    return [(sources[:, :time], targets[:, : time + 1]) for sources, targets, _ in parts]
