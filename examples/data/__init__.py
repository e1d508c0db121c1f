"""The data sets of the examples, each with one fixed split, as NumPy arrays.

No seed of a run changes a split, so that comparisons are made on the same rows.
"""

from examples.data.encoder import Pretrained, sentence_encoder
from examples.data.fetched import fetched
from examples.data.images import digits, faces, fashion, small_digits
from examples.data.molecules import Molecules, esol, molecular_graphs, tox21
from examples.data.photographs import photographs
from examples.data.scenes import Scenes, pasted_digits
from examples.data.sentiment import Snippets, sentiment
from examples.data.series import Series, air_passengers, mackey_glass, sunspots
from examples.data.social import Citations, cora, karate_club
from examples.data.speech import Spoken, spoken_digits
from examples.data.split import Split
from examples.data.tabular import Shuttle, breast_cancer, diabetes, petals, shuttle, wine, yeast
from examples.data.text import shakespeare
from examples.data.translation import Pairs, Translations, multi30k
from examples.data.video import city

__all__ = [
    "Citations",
    "Molecules",
    "Pairs",
    "Pretrained",
    "Scenes",
    "Series",
    "Shuttle",
    "Snippets",
    "Split",
    "Spoken",
    "Translations",
    "air_passengers",
    "breast_cancer",
    "city",
    "cora",
    "diabetes",
    "digits",
    "esol",
    "faces",
    "fashion",
    "fetched",
    "karate_club",
    "mackey_glass",
    "molecular_graphs",
    "multi30k",
    "pasted_digits",
    "petals",
    "photographs",
    "sentence_encoder",
    "sentiment",
    "shakespeare",
    "shuttle",
    "small_digits",
    "spoken_digits",
    "sunspots",
    "tox21",
    "wine",
    "yeast",
]
