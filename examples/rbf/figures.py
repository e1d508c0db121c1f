"""The figures of the example `rbf`."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from examples import data
from examples.rbf.series import Network

SHOWN = slice(0, 150)  # steps of the test


def draw_series(networks: dict[str, Network]) -> Figure:
    """The series and its forecasts, the errors, and the receptive fields of the centers."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    figure.suptitle("Mackey-Glass: six steps ahead, by 50 radial basis functions", fontsize=15)
    upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
    left, right = upper.subplots(1, 2, width_ratios=(3, 2))
    truth = next(iter(networks.values())).split.test_y[:, 0]
    left.plot(truth[SHOWN], color="black", label="truth")
    for (name, network), color in zip(networks.items(), ("tab:orange", "tab:blue"), strict=True):
        guess = network.predicted[:, 0]
        errors = guess - truth
        left.plot(guess[SHOWN], color=color, linestyle="--", linewidth=1, label=name)
        label = f"{name}: RMSE {np.sqrt(np.mean(errors**2)):.4f}"
        right.hist(1e3 * errors, bins=60, range=(-20, 20), color=color, alpha=0.6, label=label)
    left.set(title="The first 150 test steps", xlabel="step", ylabel="x")
    left.legend()
    right.set(title="Errors", xlabel="forecast less truth (thousandths)", ylabel="test rows")
    right.legend()
    panels = lower.subplots(1, 2, sharex=True, sharey=True)
    for axes, (name, network) in zip(panels, networks.items(), strict=True):
        _fields(axes, name, network)
    return figure


def _fields(axes: Axes, name: str, network: Network) -> None:
    """The centers of a network, each with a circle of its width, along two of the inputs."""
    rows, hidden = network.split.x, network.params["rbf"]
    axes.scatter(rows[:, 0], rows[:, 3], s=4, color="gray", label="training rows")
    angle = np.linspace(0, 2 * np.pi, 60)
    for center, width in zip(hidden["centres"], jnp.exp(hidden["log_width"]), strict=True):
        x, y = float(center[0]), float(center[3])
        axes.plot(
            x + width * np.cos(angle), y + width * np.sin(angle), "tab:blue", lw=0.5, alpha=0.6
        )
    centers = np.asarray(hidden["centres"])[:, [0, 3]]
    axes.scatter(*centers.T, s=16, color="red", label="centers")
    axes.set(title=f"Centers, with circles of one width: {name}", xlabel="x(t - 18)", ylabel="x(t)")
    axes.set(xlim=(0, 1.7), ylim=(0, 1.7), aspect="equal")
    axes.legend(loc="lower right")


def draw_digits(params: Any, rows: data.Split, beliefs: np.ndarray) -> Figure:
    """Centers with the class they are evidence for, and the digits that are least certain."""
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    figure.suptitle("Digits by 600 radial basis functions", fontsize=15)
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    left.suptitle("Centers, and the digit with the largest weight from each")
    weights = np.asarray(params["head"]["w"])
    strongest = np.argsort(-np.abs(weights).max(axis=1))[:50]
    for axes, index in zip(left.subplots(5, 10).flat, strongest, strict=True):
        axes.imshow(np.asarray(params["rbf"]["centres"])[index].reshape(28, 28), cmap="gray_r")
        axes.set_title(str(weights[index].argmax()), fontsize=8)
        axes.axis("off")
    right.suptitle("The least certain digits, and their two most probable classes")
    uncertain = np.argsort(beliefs.max(axis=1))[:20]
    for axes, index in zip(right.subplots(4, 5).flat, uncertain, strict=True):
        best = np.argsort(-beliefs[index])[:2]
        axes.imshow(rows.test_x[index].reshape(28, 28), cmap="gray_r")
        classes = ", ".join(f"{each}: {100 * beliefs[index, each]:.0f} %" for each in best)
        axes.set_title(f"truth {rows.test_y[index]}\n{classes}", fontsize=8)
        axes.axis("off")
    return figure
