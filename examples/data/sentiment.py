"""Sentences of movie reviews."""

import tarfile
from typing import NamedTuple

import numpy as np

from examples.data.fetched import fetched
from examples.data.split import need

ARCHIVE = "hutto_ICWSM_2014.tar.gz"
MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


class Snippets(NamedTuple):
    """Sentences for training and for test.

    x, test_x: texts, object [rows].
    y, test_y: int32 [rows], 1 if the mean rating is above 0.
    ratings, test_ratings: float32 [rows], the mean of about twenty people, from -4 to 4.
    """

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    ratings: np.ndarray
    test_ratings: np.ndarray


def sentiment() -> Snippets:
    """10605 sentences of movie reviews, 5242 of them positive: four fifths for training.

    Raises:
      ImportError, OSError: as `fetched`.

    (Hutto and Gilbert, VADER: A parsimonious rule-based model for sentiment analysis of social
    media text, 2014; the sentences are those of Pang and Lee, Seeing stars, 2005.)
    """
    with tarfile.open(fetched(ARCHIVE)) as archive:
        content = archive.extractfile(MEMBER)
        if content is None:
            raise OSError(f"{ARCHIVE} lacks {MEMBER}: delete it, so that it is fetched again.")
        rows = [line.split("\t") for line in content.read().decode().splitlines()]
    texts = np.array([text for _, _, text in rows], object)
    ratings = np.array([float(rating) for _, rating, _ in rows], np.float32)
    y = (ratings > 0).astype(np.int32)
    split = need("sklearn.model_selection").train_test_split
    x, test_x, y, test_y, ratings, test_ratings = split(
        texts, y, ratings, test_size=0.2, random_state=0, stratify=y
    )
    return Snippets(x, y, test_x, test_y, ratings, test_ratings)
