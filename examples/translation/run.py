"""The run of the example: train on the captions, translate the test sentences, and measure."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import sacrebleu

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.data.tokens import PADDING, STOP, Tokens, byte_pairs
from examples.data.translation import Pairs
from examples.translation import figures, sentences
from examples.translation.decoding import cross_attention, translate
from examples.translation.network import loss_of, network, scale_of
from examples.translation.sentences import batch_rows, token_rows

THRESHOLD = 33.0  # BLEU on the 1000 test pairs, by beam search
RATE = 1e-3  # learning rate after the warm-up
WARMUP = 1 / 9  # the share of the steps in which the learning rate rises
MAX_NORM = 1.0  # to which gradients are clipped
VALIDATION_BATCH = 48
SHOWN = 10  # sentences that are printed and drawn
ATTENDED = 1  # the test sentence whose attention is drawn


class Corpus(NamedTuple):
    """Sentence pairs and their tokens.

    validation_rows, test_rows: (sources, targets) as tokens.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    tokens: Tokens
    validation_rows: tuple[np.ndarray, np.ndarray]
    test_rows: tuple[np.ndarray, np.ndarray]


class Outputs(NamedTuple):
    """What the trained network writes.

    by_beam, greedy: translations of the test sentences.
    validation: translations of the validation sentences, by beam search.
    attention: [time, keys], from the tokens of one translation to those of its source.
    source, target: the names of these tokens.
    """

    by_beam: list[str]
    greedy: list[str]
    validation: list[str]
    attention: np.ndarray
    source: list[str]
    target: list[str]


def plan(options: Options):
    scale, net = scale_of(options), network(options).net
    length, warmup = scale.lengths[0], round(WARMUP * scale.steps)
    schedule = optax.warmup_cosine_decay_schedule(0.0, RATE, warmup, scale.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(MAX_NORM), optax.adam(schedule, b2=0.98))
    sources = jax.ShapeDtypeStruct((batch_rows(length), length), jnp.int32)
    targets = jax.ShapeDtypeStruct((batch_rows(length), length + 1), jnp.int32)
    x = sources, jax.ShapeDtypeStruct(sources.shape, bool), sources
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss_of(net), optimizer), train, (sources, targets)


def run(options: Options) -> Result:
    corpus = load(options)
    end = learn(options, corpus)
    outputs = translate_all(options, end.best.params, corpus)
    shown = list(zip(corpus.test.german, corpus.test.english, outputs.by_beam, strict=True))[:SHOWN]
    if not options.quick:
        print_translations(shown)
    return Result(
        checks=(Check("bleu", bleu(outputs.by_beam, corpus.test.english), THRESHOLD),),
        baseline="translation of the most similar training sentence, by tf-idf",
        baseline_value=bleu(
            sentences.most_similar(corpus.train, corpus.test.german), corpus.test.english
        ),
        steps=scale_of(options).steps,
        parameters=nn.count_params(end.best.params),
        metrics={
            "greedy_bleu": bleu(outputs.greedy, corpus.test.english),
            "validation_bleu": bleu(outputs.validation, corpus.validation.english),
            "validation_loss": min(row["validation_loss"] for row in end.history),
            "training_seconds": end.history[-1]["seconds"],
        },
        history=end.history,
        figures={
            "translations": figures.draw_translations(shown),
            "attention": figures.draw_attention(outputs.attention, outputs.source, outputs.target),
            "training": figures.draw_history(end.history),
        },
    )


def load(options: Options) -> Corpus:
    scale, pairs = scale_of(options), data.multi30k()
    train = Pairs(*(texts[: scale.pairs] for texts in pairs.train))
    validation, test = (
        Pairs(*(texts[: scale.tested] for texts in part)) for part in (pairs.validation, pairs.test)
    )
    tokens = byte_pairs(sentences.training_texts(train), scale.vocabulary)
    rows = sentences.without_common_padding(
        token_rows(validation, tokens), token_rows(test, tokens)
    )
    return Corpus(train, validation, test, tokens, *rows)


def learn(options: Options, corpus: Corpus) -> nn.training.FitResult:
    scale, loss = scale_of(options), loss_of(network(options).net)
    step, train, _ = plan(options)
    return nn.training.fit(
        step,
        train,
        sentences.batches(token_rows(corpus.train, corpus.tokens), scale.lengths, options.seed),
        steps=scale.steps,
        every=scale.every,
        validate=lambda train: nn.training.evaluate(
            loss, train, corpus.validation_rows, batch_size=VALIDATION_BATCH
        ),
        checkpoint=None if options.quick else options.folder / f"checkpoints-{options.seed}",
    )


def translate_all(options: Options, params, corpus: Corpus) -> Outputs:
    model, beams, tokens = network(options), scale_of(options).beams, corpus.tokens
    sources = corpus.test_rows[0]
    by_beam, greedy = (translate(model, params, sources, tokens, n) for n in (beams, 1))
    validation = translate(model, params, corpus.validation_rows[0], tokens, beams)
    source = sources[ATTENDED]
    source = source[source != PADDING]
    target = tokens.encode([sentences.target_text(by_beam[ATTENDED])])[0][0]
    target = np.append(target, STOP)
    attention = cross_attention(model, params, source, target)
    return Outputs(
        by_beam, greedy, validation, attention, tokens.names(source), tokens.names(target)
    )


def bleu(texts: list[str], references: list[str]) -> float:
    return sacrebleu.corpus_bleu(texts, [references]).score


def print_translations(shown: list[tuple[str, str, str]]) -> None:
    for german, english, translated in shown:
        print(f"  {german}\n    translated  {translated}\n    reference   {english}")
