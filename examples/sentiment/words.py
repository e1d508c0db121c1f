"""Sentences as words, and as rows of tokens."""

import re
from collections import Counter

import numpy as np

VOCABULARY = 16_384  # room for every word of the training sentences
TIME = 48  # words of a sentence; longer ones are cut off
WORDS = re.compile(r"n't|[a-z]+(?=n't)|'[a-z]+|[a-z]+|[0-9]+|[^\sa-z0-9]")


def words(text: str) -> list[str]:
    """The words of a text in lowercase, and its punctuation: "don't" is "do" and "n't"."""
    return WORDS.findall(text.lower().replace("''", '"'))


def vocabulary(texts) -> dict[str, int]:
    """A number for each word, from 1 for the most frequent; 0 is for all unknown words."""
    counts = Counter(word for text in texts for word in words(text))
    return {word: i + 1 for i, (word, _) in enumerate(counts.most_common(VOCABULARY - 1))}


def encode(texts, known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens int32 [rows, TIME], zeros after the last, lengths int32 [rows])."""
    rows = [[known.get(word, 0) for word in words(text)[:TIME]] for text in texts]
    tokens = np.array([[*row, *[0] * (TIME - len(row))] for row in rows], np.int32)
    return tokens, np.array([len(row) for row in rows], np.int32)
