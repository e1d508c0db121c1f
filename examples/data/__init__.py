"""The examples' real data, each with one fixed split, as NumPy arrays.

No seed of a run moves a split: what is compared is compared on the same rows.
"""

from examples.data.images import digits
from examples.data.split import Split
from examples.data.tabular import diabetes, petals

__all__ = ["Split", "diabetes", "digits", "petals"]
