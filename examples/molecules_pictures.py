"""The pictures of the example `molecules`."""

from collections.abc import Callable

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from examples.data import Molecules
from examples.data import molecules as chemistry

SHOWN = 8  # molecules drawn


def draw_atoms(
    molecules: Molecules, tested: np.ndarray, found: np.ndarray, told: Callable
) -> Figure:
    """Molecules to test, their atoms coloured by how much each adds to what the network says."""
    sizes = molecules.graph.sizes[tested, 0]
    able = np.flatnonzero((sizes >= 6) & (sizes <= 24))
    # From the least to the most soluble.
    order = able[np.argsort(found[able])]
    some = order[np.linspace(0, len(order) - 1, SHOWN).astype(int)]
    parts = [told(int(tested[i])) for i in some]
    most = max(np.abs(each).max() for each in parts)
    colours = ScalarMappable(Normalize(-most, most), "coolwarm_r")
    figure = Figure(figsize=(15, 8), layout="constrained")
    figure.suptitle(
        "Molecules the network never saw, and what each atom adds to their solubility", fontsize=15
    )
    plots = figure.subplots(2, SHOWN // 2)
    for axes, i, each in zip(plots.flat, some, parts, strict=True):
        index = int(tested[i])
        axes.imshow(chemistry.picture(molecules.smiles[index], colours.to_rgba(each)[:, :3]))
        axes.set_title(f"found {found[i]:.1f}, measured {molecules.y[index, 0]:.1f}")
        axes.set(xticks=[], yticks=[], xlabel=f"{len(each)} atoms (hydrogen left out)")
    figure.colorbar(colours, ax=plots, label="solubility that is lost without the atom (log mol/L)")
    return figure


def draw_errors(
    y: np.ndarray, found: np.ndarray, error: float, history: list, bar: float
) -> Figure:
    """What was found of the molecules to test against what was measured, and how it was learned."""
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    plane, curve = figure.subplots(1, 2)
    plane.scatter(y, found, s=14, alpha=0.7, label="molecules to test")
    ends = [y.min() - 0.5, y.max() + 0.5]
    plane.plot(ends, ends, color="black", lw=0.8, label="found as measured")
    plane.set(
        title=f"Solubility of molecules to test: RMSE {error:.2f}",
        xlabel="measured (log mol/L)",
        ylabel="found (log mol/L)",
    )
    plane.legend()
    steps = [row["step"] for row in history]
    curve.plot(steps, [row["validation_loss"] for row in history], label="validation rows")
    curve.axhline(bar, color="black", ls=":", label="the bar (test rows, mean of three runs)")
    curve.set(title="Learning", xlabel="step", ylabel="RMSE (log mol/L)")
    curve.legend()
    return figure
