"""Texts as rows of tokens and back: by characters, and by frequent pairs of bytes.

Both share four special tokens, which come first and never occur in a text: padding, unknown, start
and stop. `encode` adds neither start nor stop: whoever trains a network adds them where they are
needed.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from examples.data.split import need

PADDING, UNKNOWN, START, STOP = range(4)
SPECIAL = ("<padding>", "<unknown>", "<start>", "<stop>")


class Tokens(NamedTuple):
    """Two functions that are inverse to each other, except for unknown tokens.

    encode: texts -> (tokens int32 [rows, time], lengths int32 [rows]), where time is the length of
      the longest text, and shorter ones end in PADDING.
    decode: tokens int [rows, time] -> texts, each up to the first STOP, without special tokens.
    names: tokens int [time] -> the name of each.
    size: the number of tokens, including the special ones.
    """

    encode: Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]
    decode: Callable[[Any], list[str]]
    names: Callable[[Any], list[str]]
    size: int


def characters(texts: Iterable[str]) -> Tokens:
    """A token for each character of the texts, in the order of Unicode.

    >>> from examples.data import tokens
    >>> letters = tokens.characters(["abba"])
    >>> letters.encode(["ba", "b?b"])[0].tolist(), letters.size
    ([[5, 4, 0], [5, 1, 5]], 6)
    """
    known = [*SPECIAL, *sorted(set().union(*texts))]
    index = {character: token for token, character in enumerate(known)}

    def encode(texts):
        return padded([[index.get(character, UNKNOWN) for character in text] for text in texts])

    def names(tokens):
        return [known[token] for token in tokens]

    def decode(tokens):
        return ["".join(names(_content(row))) for row in tokens]

    return Tokens(encode, decode, names, len(known))


def byte_pairs(texts: Iterable[str], size: int) -> Tokens:
    """Parts of words: starting from characters, the most frequent pair is merged, and so on.

    No part extends over a space, or contains both punctuation and letters.

    Args:
      texts: the parts are learned from them.
      size: of the vocabulary, including the special tokens; it is smaller if no pairs are left.

    Raises:
      ImportError: if `tokenizers` is absent, with the command that installs it.

    (Sennrich et al., Neural machine translation of rare words with subword units, 2016.)

    >>> from examples.data import tokens
    >>> parts = tokens.byte_pairs(["low lower lowest"], 30)
    >>> parts.decode(parts.encode(["slow lower"])[0]), parts.encode(["low"])[0].shape
    (['slow lower'], (1, 1))
    """
    library = need("tokenizers")
    tokenizer = library.Tokenizer(library.models.BPE(unk_token=SPECIAL[UNKNOWN]))
    cut = library.pre_tokenizers
    tokenizer.pre_tokenizer = cut.Sequence([cut.Metaspace(), cut.Punctuation()])
    tokenizer.decoder = library.decoders.Metaspace()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)

    def encode(texts):
        return padded([each.ids for each in tokenizer.encode_batch(list(texts))])

    def decode(tokens):
        return tokenizer.decode_batch([_content(row) for row in tokens])

    def names(tokens):
        return [tokenizer.id_to_token(int(token)) for token in tokens]

    return Tokens(encode, decode, names, tokenizer.get_vocab_size())


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens int32 [rows, time], lengths int32 [rows]) of rows of unequal lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    tokens = np.full((len(rows), max(lengths, default=0)), PADDING, np.int32)
    for padded_row, row in zip(tokens, rows, strict=True):
        padded_row[: len(row)] = row
    return tokens, lengths


def _content(row: Any) -> list[int]:
    """The tokens of a text up to its end, without the special ones."""
    tokens = [int(token) for token in row]
    end = tokens.index(STOP) if STOP in tokens else len(tokens)
    return [token for token in tokens[:end] if token >= len(SPECIAL)]
