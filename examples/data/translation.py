"""Sentences in two languages."""

import gzip
from typing import NamedTuple

from examples.data.fetched import fetched


class Pairs(NamedTuple):
    """Sentences, and their translations."""

    german: list[str]
    english: list[str]


class Translations(NamedTuple):
    """Pairs for training, validation and test."""

    train: Pairs
    validation: Pairs
    test: Pairs


def multi30k() -> Translations:
    """Captions of 31014 photographs in English and German: 29000, 1014 and 1000 pairs.

    The German captions are translations. The test pairs are those of 2016, from Flickr. Sentences
    are as written, without white space at their ends.

    Raises:
      ImportError, OSError: as `fetched`.

    (Elliott et al., Multi30K: multilingual English-German image descriptions, 2016.)
    """
    parts = ("train", "val", "test_2016_flickr")
    return Translations(*(Pairs(_lines(f"{each}.de"), _lines(f"{each}.en")) for each in parts))


def _lines(name: str) -> list[str]:
    with gzip.open(fetched(f"multi30k/{name}.gz"), "rt", encoding="utf-8", newline="\n") as file:
        return [line.strip() for line in file]
