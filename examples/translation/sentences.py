"""Sentences as rows of tokens, and batches of sentences of similar length."""

from collections.abc import Iterator

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from examples.data.tokens import PADDING, START, STOP, Tokens
from examples.data.translation import Pairs

MAX_TOKENS = 64  # of a sentence, with its STOP; longer ones are cut off
BATCH_TOKENS = 1536  # of either language in a batch, including padding


def source_text(text: str) -> str:
    """German as the encoder reads it."""
    return text.lower()


def target_text(text: str) -> str:
    """English as the decoder writes it: with a lowercase first letter."""
    return text[:1].lower() + text[1:]


def capitalized(text: str) -> str:
    """English with an uppercase first letter."""
    return text[:1].upper() + text[1:]


def training_texts(pairs: Pairs) -> list[str]:
    """The texts of both languages, from which the tokens are learned."""
    return [*map(source_text, pairs.german), *map(target_text, pairs.english)]


def token_rows(pairs: Pairs, tokens: Tokens) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sources [rows, MAX_TOKENS], targets [rows, MAX_TOKENS + 1], lengths [rows]) of pairs.

    A source ends with STOP; a target begins with START and ends with STOP. The length is that of
    the longer of the two, with its STOP.
    """
    rows = len(pairs.german)
    sources = np.full((rows, MAX_TOKENS), PADDING, np.int32)
    targets = np.full((rows, MAX_TOKENS + 1), PADDING, np.int32)
    targets[:, 0] = START
    longest = np.zeros(rows, np.int32)
    for texts, output in (
        ([source_text(text) for text in pairs.german], sources),
        ([target_text(text) for text in pairs.english], targets[:, 1:]),
    ):
        encoded, lengths = tokens.encode(texts)
        lengths = np.minimum(lengths, MAX_TOKENS - 1)
        output[:, : encoded.shape[1]] = encoded[:, :MAX_TOKENS]
        output[np.arange(MAX_TOKENS) > lengths[:, None]] = PADDING
        output[np.arange(rows), lengths] = STOP
        longest = np.maximum(longest, lengths + 1)
    return sources, targets, longest


def without_common_padding(*parts: tuple) -> list[tuple[np.ndarray, np.ndarray]]:
    """(sources, targets) of each of the results of `token_rows`, cut to the longest of them all."""
    time = max(longest.max() for _, _, longest in parts)
    return [(sources[:, :time], targets[:, : time + 1]) for sources, targets, _ in parts]


def batch_rows(length: int) -> int:
    """The rows of a batch of this length, a multiple of 8."""
    return BATCH_TOKENS // length // 8 * 8


def batches(rows, lengths: tuple[int, ...], seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches (sources, targets), cut to the smallest of the lengths that holds them.

    Each epoch has its own order. Pairs longer than all lengths, and what is left of an epoch when a
    batch is not full, are left out.
    """
    sources, targets, longest = rows
    random = np.random.default_rng(seed)
    bucket = np.searchsorted(lengths, longest)
    while True:
        epoch = []
        for i, length in enumerate(lengths):
            order, size = random.permutation(np.flatnonzero(bucket == i)), batch_rows(length)
            full = len(order) // size * size
            epoch += [(length, index) for index in order[:full].reshape(-1, size)]
        for i in random.permutation(len(epoch)):
            length, index = epoch[i]
            yield sources[index, :length], targets[index, : length + 1]


def most_similar(train: Pairs, german: list[str]) -> list[str]:
    """For each German sentence, the English of the most similar training sentence by tf-idf."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = vectorizer.fit_transform(train.german)
    return [train.english[i] for i in (vectorizer.transform(german) @ known.T).argmax(axis=1).A1]
