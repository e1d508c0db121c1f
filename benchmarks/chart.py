"""Charts of times: horizontal bars from zero, one panel for each case.

If the times of a panel are too far apart, they are points on a logarithmic axis, which has no zero.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnn.checks import install

FAR = 40  # the ratio of the longest time to the shortest above which the axis is logarithmic
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2")


class Bar(NamedTuple):
    """A median with its quartiles; bars of a group share a color, bars of a label a position."""

    label: str
    group: str
    low: float
    median: float
    high: float


class Panel(NamedTuple):
    """Bars under a title, and a limit (time, label) that is drawn as a line."""

    title: str
    bars: Sequence[Bar]
    limit: tuple[float, str] | None = None


def draw(path: Path, title: str, unit: str, panels: Sequence[Panel]) -> None:
    """Write panels, two in a row, as a PNG; they share groups and the label of the limit.

    Raises:
      ImportError: if matplotlib is not installed, with the command that installs it.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(f"charts need matplotlib: {install('bench')}") from error
    matplotlib.use("agg")
    from matplotlib import pyplot

    groups = list(dict.fromkeys(bar.group for panel in panels for bar in panel.bars))
    longest = max(len({bar.label for bar in panel.bars}) for panel in panels)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(6.4 * columns, 1 + rows * (1 + 0.28 * longest * (1 + len(groups)))),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, panel in zip(axes.flat, panels, strict=False):
        _panel(axis, panel, groups)
        axis.set_xlabel(f"{unit}, median and quartiles (shorter is faster)")
    figure.suptitle(title)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _panel(axis, panel: Panel, groups: list[str]) -> None:
    labels = list(dict.fromkeys(bar.label for bar in panel.bars))
    height = 0.8 / len(groups)
    ends = [bar.low for bar in panel.bars] + [bar.high for bar in panel.bars]
    ends += [panel.limit[0]] if panel.limit else []
    far = max(ends) > FAR * min(ends)
    for rank, group in enumerate(groups):
        bars = [bar for bar in panel.bars if bar.group == group]
        offset = (rank - (len(groups) - 1) / 2) * height
        positions = [labels.index(bar.label) + offset for bar in bars]
        medians = [bar.median for bar in bars]
        spread = [[b.median - b.low for b in bars], [b.high - b.median for b in bars]]
        color = COLORS[rank % len(COLORS)]
        if far:
            axis.errorbar(medians, positions, xerr=spread, fmt="o", color=color, label=group)
        else:
            axis.barh(positions, medians, height, xerr=spread, color=color, label=group)
        for position, bar in zip(positions, bars, strict=True):
            number = f"{bar.median:.0f}" if bar.median >= 100 else f"{bar.median:.3g}"
            end = 1.1 * bar.high if far else bar.high + 0.01 * max(ends)
            axis.text(end, position, number, va="center", fontsize=8)
    if panel.limit:
        time, label = panel.limit
        axis.axvline(time, color="black", linestyle="--", linewidth=1, label=label)
    axis.set_yticks(range(len(labels)), labels)
    if far:
        axis.set_xscale("log")
        axis.set_xlim(min(ends) / 2, 3 * max(ends))
    else:
        axis.set_xlim(0, 1.12 * max(ends))
    axis.set_ylim(len(labels) - 0.5, -0.5)  # the first label at the top
    axis.set_title(textwrap.fill(panel.title, 48))
