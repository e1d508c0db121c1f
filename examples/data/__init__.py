"""The examples' real data, each with one fixed split, as NumPy arrays.

No seed of a run moves a split: what is compared is compared on the same rows.
"""

from examples.data.fetched import fetched
from examples.data.images import digits, faces, fashion, small_digits
from examples.data.photographs import photographs
from examples.data.scenes import Scenes, pasted_digits
from examples.data.split import Split
from examples.data.tabular import Shuttle, breast_cancer, diabetes, petals, shuttle, wine
from examples.data.video import carphone

__all__ = [
    "Scenes",
    "Shuttle",
    "Split",
    "breast_cancer",
    "carphone",
    "diabetes",
    "digits",
    "faces",
    "fashion",
    "fetched",
    "pasted_digits",
    "petals",
    "photographs",
    "shuttle",
    "small_digits",
    "wine",
]
