"""The figures of the example."""

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import jaxnn as nn
from examples.data.split import need
from examples.social.articles import SUBJECTS
from examples.social.club import LEADERS


def draw_club(graph: nn.graph.Graph, sides: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Draw the club, its members colored by their predicted side, with rings around the errors.

    Args:
      graph: the friendships.
      sides: int [members], 0 for the teacher's side, 1 for the president's.
      probabilities: floats [members], of the president's side.
    """
    networkx = need("networkx")
    friends = networkx.Graph(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
    layout = networkx.spring_layout(friends, seed=3)
    x = np.array([layout[i] for i in range(len(sides))])
    wrong = (probabilities > 0.5) != sides
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots()
    for one, other in friends.edges:
        axes.plot(*x[[one, other]].T, color="lightgrey", lw=0.8, zorder=1)
    for side, marker, title in ((0, "o", "teacher's side"), (1, "s", "president's side")):
        members = sides == side
        points = axes.scatter(
            *x[members].T,
            c=probabilities[members],
            cmap="coolwarm",
            vmin=0,
            vmax=1,
            s=260,
            marker=marker,
            edgecolors="black",
            linewidths=0.6,
            zorder=2,
            label=title,
        )
    axes.scatter(*x[wrong].T, s=620, facecolors="none", edgecolors="tab:green", lw=2, label="wrong")
    for i, position in enumerate(x):
        weight = "bold" if i in LEADERS else "normal"
        axes.annotate(str(i + 1), position, ha="center", va="center", fontsize=8, weight=weight)
    axes.set(
        title=f"A karate club that split: {int((~wrong).sum())} of {len(sides)} members predicted "
        "right, from two labels (1 and 34)",
        xlabel="position of a spring layout (no unit)",
        ylabel="position of a spring layout (no unit)",
    )
    axes.legend(loc="lower left", labelspacing=1.2, borderpad=1)
    figure.colorbar(points, ax=axes, label="probability of the president's side")
    return figure


class Panel(NamedTuple):
    """The title of a network, and its articles as points [articles, 2]."""

    title: str
    points: np.ndarray


def draw_articles(panels: list[Panel], y: np.ndarray, method: str) -> Figure:
    """Draw the test articles by the hidden features of each network, colored by subject.

    Args:
      panels: one for each network.
      y: int [articles], their subjects.
      method: the name of the projection of the hidden features to the plane.
    """
    figure = Figure(figsize=(15, 7), layout="constrained")
    figure.suptitle("Test articles, by the hidden features of both networks")
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for subject, name in enumerate(SUBJECTS):
            axes.scatter(*panel.points[y == subject].T, s=9, label=name)
        axes.set(
            title=panel.title,
            xlabel=f"{method} of the hidden features, first (no unit)",
            ylabel="second (no unit)",
        )
    axes.legend(markerscale=2, title="subject", fontsize=9)
    return figure
