"""Time series."""

from typing import NamedTuple

import numpy as np

from examples.data.split import Split, need


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


def mackey_glass() -> Split:
    """A chaotic series six steps ahead: 500 rows for training, and the next 500 for test.

    dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), from x(0) = 1.2 and zeros before it.
    x [rows, 4] float32 are x(t - 18), x(t - 12), x(t - 6) and x(t), for t of 118 to 1117; y
    [rows, 1] is x(t + 6).

    It is solved by the Runge-Kutta method of fourth order in steps of 0.1.

    (Mackey and Glass, Oscillation and chaos in physiological control systems, 1977.)
    """
    step = 0.1
    delay = 170  # steps
    last = 11_240  # step
    x = np.zeros(delay + last + 1)  # with zeros before the start
    x[delay] = 1.2

    def slope(now, before):
        return 0.2 * before / (1 + before**10) - 0.1 * now

    for i in range(delay, delay + last):
        before, after = x[i - delay], x[i - delay + 1]
        middle = (before + after) / 2
        a = slope(x[i], before)
        b = slope(x[i] + step / 2 * a, middle)
        c = slope(x[i] + step / 2 * b, middle)
        d = slope(x[i] + step * c, after)
        x[i + 1] = x[i] + step / 6 * (a + 2 * b + 2 * c + d)
    whole = x[delay::10].astype(np.float32)
    t = np.arange(118, 1118)
    rows = np.stack([whole[t - 18], whole[t - 12], whole[t - 6], whole[t]], axis=1)
    y = whole[t + 6][:, None]
    return Split(rows[:500], y[:500], rows[500:], y[500:])
