"""The figures of the example."""

from collections.abc import Callable

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from examples.data import Molecules
from examples.data import molecules as chemistry

SHOWN = 8  # molecules in the figure
MIN_ATOMS, MAX_ATOMS = 6, 24  # of a molecule that is drawn, so that its atoms can be told apart


def draw_atoms(
    molecules: Molecules, test: np.ndarray, predictions: np.ndarray, atom_shares: Callable
) -> Figure:
    """Draw test molecules, each atom colored by how much it adds to the predicted solubility."""
    sizes = molecules.graph.sizes[test, 0]
    candidates = np.flatnonzero((sizes >= MIN_ATOMS) & (sizes <= MAX_ATOMS))
    # From the least to the most soluble.
    order = candidates[np.argsort(predictions[candidates])]
    rows = order[np.linspace(0, len(order) - 1, SHOWN).astype(int)]
    shares = [atom_shares(int(test[i])) for i in rows]
    limit = max(np.abs(each).max() for each in shares)
    colors = ScalarMappable(Normalize(-limit, limit), "coolwarm_r")
    figure = Figure(figsize=(15, 8), layout="constrained")
    figure.suptitle("Test molecules, and what each atom adds to their solubility", fontsize=15)
    plots = figure.subplots(2, SHOWN // 2)
    for axes, i, share in zip(plots.flat, rows, shares, strict=True):
        index = int(test[i])
        axes.imshow(chemistry.drawing(molecules.smiles[index], colors.to_rgba(share)[:, :3]))
        axes.set_title(f"predicted {predictions[i]:.1f}, measured {molecules.y[index, 0]:.1f}")
        axes.set(xticks=[], yticks=[], xlabel=f"{len(share)} atoms (without hydrogen)")
    figure.colorbar(colors, ax=plots, label="solubility lost without the atom (log mol/L)")
    return figure


def draw_errors(
    y: np.ndarray,
    predictions: np.ndarray,
    error: float,
    history: list[dict[str, float]],
    threshold: float,
) -> Figure:
    """Draw predictions on the test molecules against measurements, and the validation error.

    Args:
      y, predictions: floats [test rows], log10 of mol/L.
      error: RMSE on the test rows.
      history: of the run.
      threshold: of the RMSE.
    """
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    plane, curve = figure.subplots(1, 2)
    plane.scatter(y, predictions, s=14, alpha=0.7, label="test molecules")
    ends = [y.min() - 0.5, y.max() + 0.5]
    plane.plot(ends, ends, color="black", lw=0.8, label="prediction equal to measurement")
    plane.set(
        title=f"Solubility of the test molecules: RMSE {error:.2f}",
        xlabel="measured (log mol/L)",
        ylabel="predicted (log mol/L)",
    )
    plane.legend()
    steps = [row["step"] for row in history]
    curve.plot(steps, [row["validation_loss"] for row in history], label="validation rows")
    label = "threshold (test rows, mean of three runs)"
    curve.axhline(threshold, color="black", ls=":", label=label)
    curve.set(title="Learning", xlabel="step", ylabel="RMSE (log mol/L)")
    curve.legend()
    return figure
