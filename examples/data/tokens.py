"""Texts as rows of tokens and back: by characters, and by pairs of bytes that come often.

Both ways share four special tokens, which come first and which no text holds: what pads a row, what
stands for the unknown, and where a text starts and stops. `encode` puts in neither of the last two:
who trains a net knows where it wants them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from examples.data.split import need

PADDING, UNKNOWN, START, STOP = range(4)
SPECIAL = ("<padding>", "<unknown>", "<start>", "<stop>")


class Tokens(NamedTuple):
    """Two functions that are each other's inverse, but for what is unknown.

    encode: texts -> (tokens int32 [rows, time], lengths int32 [rows]), where time is the length of
      the longest, and PADDING follows the shorter ones.
    decode: tokens int [rows, time] -> texts, each up to the first STOP, without special tokens.
    names: tokens int [time] -> what each stands for.
    size: how many tokens there are, with the special ones.
    """

    encode: Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]
    decode: Callable[[Any], list[str]]
    names: Callable[[Any], list[str]]
    size: int


def characters(texts: Iterable[str]) -> Tokens:
    """A token for each character that the texts hold, in the order of Unicode.

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
        return ["".join(names(_said(row))) for row in tokens]

    return Tokens(encode, decode, names, len(known))


def byte_pairs(texts: Iterable[str], size: int) -> Tokens:
    """Parts of words: of all characters, the pairs that come most often are joined, and so on.

    No part reaches over a space or holds punctuation beside letters.

    Args:
      texts: from which the parts are learned.
      size: of the vocabulary, with the special tokens; fewer where there are no pairs left.

    Raises:
      ImportError: where `tokenizers` is absent, with the command that installs it.

    (Sennrich et al., Neural machine translation of rare words with subword units, 2016.)

    >>> from examples.data import tokens
    >>> parts = tokens.byte_pairs(["low lower lowest"], 30)
    >>> parts.decode(parts.encode(["slow lower"])[0]), parts.encode(["low"])[0].shape
    (['slow lower'], (1, 1))
    """
    library = need("tokenizers")
    machine = library.Tokenizer(library.models.BPE(unk_token=SPECIAL[UNKNOWN]))
    cut = library.pre_tokenizers
    machine.pre_tokenizer = cut.Sequence([cut.Metaspace(), cut.Punctuation()])
    machine.decoder = library.decoders.Metaspace()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False
    )
    machine.train_from_iterator(texts, trainer)

    def encode(texts):
        return padded([each.ids for each in machine.encode_batch(list(texts))])

    def decode(tokens):
        return machine.decode_batch([_said(row) for row in tokens])

    def names(tokens):
        return [machine.id_to_token(int(token)) for token in tokens]

    return Tokens(encode, decode, names, machine.get_vocab_size())


def padded(rows: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """(tokens int32 [rows, time], lengths int32 [rows]) of rows of unequal lengths."""
    lengths = np.array([len(row) for row in rows], np.int32)
    tokens = np.full((len(rows), max(lengths, default=0)), PADDING, np.int32)
    for row, given in zip(tokens, rows, strict=True):
        row[: len(given)] = given
    return tokens, lengths


def _said(row: Any) -> list[int]:
    """The tokens of a text up to its end, the special ones left out."""
    given = [int(token) for token in row]
    end = given.index(STOP) if STOP in given else len(given)
    return [token for token in given[:end] if token >= len(SPECIAL)]
