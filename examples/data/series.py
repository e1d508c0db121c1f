"""Numbers that follow each other in time."""

from typing import NamedTuple

import numpy as np

from examples.data.split import need


class Series(NamedTuple):
    """Values float32 [steps], and when each was measured, float64 [steps] in years."""

    time: np.ndarray
    values: np.ndarray


def sunspots() -> Series:
    """The mean number of sunspots in each of the years 1700 to 2008.

    (Wolf's number, from the National Geophysical Data Center; from statsmodels.)
    """
    table = need("statsmodels.api").datasets.sunspots.load_pandas().data
    return Series(table["YEAR"].to_numpy(float), table["SUNACTIVITY"].to_numpy(np.float32))


def air_passengers() -> Series:
    """Thousands of international airline passengers in each of the 144 months of 1949 to 1960.

    (Box and Jenkins, Time series analysis, 1970; from river.)
    """
    rows = list(need("river.datasets").AirlinePassengers())
    months = [row["month"] for row, _ in rows]
    time = np.array([month.year + (month.month - 1) / 12 for month in months])
    return Series(time, np.array([count for _, count in rows], np.float32))
