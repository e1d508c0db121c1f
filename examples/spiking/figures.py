"""The figures of the example."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxnn as nn
from examples import data
from examples.common.figures import confusion_matrix

SHOWN = 8  # digits in the figure
NEURONS = 3  # whose membrane potentials are drawn
BATCH = 100  # windows that are classified at once


def draw_raster(axes: Axes, spikes: np.ndarray) -> None:
    """Draw a mark for each spike of [time, neurons]."""
    time, neuron = np.nonzero(spikes)
    axes.plot(time, neuron, "|", color="black", markersize=2.5, markeredgewidth=0.8)
    axes.set(xlim=(-0.6, len(spikes) - 0.4), ylim=(-1, spikes.shape[1]))


def draw_digits(
    train: nn.training.TrainState, net: nn.Layer, digits: data.Split, decay: float
) -> Figure:
    """Draw some digits with their spikes, some membrane potentials, and the outputs."""
    x = digits.test_x[[int(np.flatnonzero(digits.test_y == i)[0]) for i in range(SHOWN)]]
    y = jax.device_get(jax.jit(net)(train.params, x))
    steps, predictions = y.output.shape[1], y.output.mean(axis=1).argmax(axis=1)
    potentials = _potentials(train.params["stage0"][0], x, steps, decay)
    # The neurons with the most spikes over these digits.
    busiest = np.argsort(-y.spikes[0].sum(axis=(0, 1)))[:NEURONS]

    figure = Figure(figsize=(15, 9.5), layout="constrained")
    figure.suptitle(
        f"A dense network of {y.spikes[0].shape[-1]} spiking neurons classifies digits in {steps} "
        "steps",
        fontsize=15,
    )
    axes = figure.subplots(4, SHOWN, height_ratios=(0.7, 1.4, 1, 1), sharey="row")
    for i in range(SHOWN):
        image, raster, membranes, outputs = axes[:, i]
        image.imshow(x[i].reshape(28, 28), cmap="gray_r")
        image.set(xticks=[], yticks=[], title=f"classified as {predictions[i]}")
        draw_raster(raster, y.spikes[0][i])
        raster.set_title(f"{y.spikes[0][i].mean():.3f} per neuron and step", fontsize=9)
        for neuron in busiest:
            membranes.plot(potentials[i, :, neuron], label=f"neuron {neuron}")
        membranes.axhline(1, color="0.5", linestyle=":", label="threshold")
        _draw_outputs(outputs, y.output[i], predictions[i])
    axes[1, 0].set_ylabel("hidden neuron (raster of spikes)")
    axes[2, 0].set_ylabel("membrane potential (thresholds)")
    axes[3, 0].set_ylabel("membrane potential of the outputs")
    axes[2, -1].legend(fontsize=7, loc="upper right")
    axes[3, -1].legend(fontsize=7)
    return figure


def _potentials(params: dict, x: np.ndarray, steps: int, decay: float) -> np.ndarray:
    """The membrane potentials [rows, steps, neurons] of the first layer."""
    currents = jnp.asarray(x) @ params["w"] + params["b"]
    currents = jnp.repeat(currents[:, None], steps, axis=1)
    lif = nn.unroll(nn.spiking.lif(decay, membrane=True))
    return jax.device_get(jax.jit(lif)((), currents))["membrane"]


def _draw_outputs(axes: Axes, outputs: np.ndarray, prediction: int) -> None:
    for digit, potential in enumerate(outputs.T):
        if digit == prediction:
            axes.plot(potential, color="tab:red", zorder=3, label="the prediction")
        else:
            axes.plot(potential, color="0.75", zorder=2)
    axes.set_xlabel("time (steps)")


def draw_sparsity(
    sparsity: list[tuple[float, float]],
    chosen: tuple[float, float],
    threshold: float,
    bits: tuple[int, ...],
    accuracies: dict[str, list[float]],
) -> Figure:
    """Draw accuracy against spikes, for penalties of various strengths, and against bits.

    Args:
      sparsity: (spikes per neuron and step, accuracy) of each short run.
      chosen: the same of the long run.
      threshold: spikes per neuron and step that must not be exceeded.
      bits: per weight.
      accuracies: by the name of the network, one for each number of bits.
    """
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates, accuracy = np.array(sorted(sparsity)).T
    left.semilogx(rates, accuracy, "o-", label="short runs, each with its own penalty")
    left.plot(*chosen, "*", markersize=14, color="tab:red", label="the long run")
    left.axvline(threshold, color="0.5", linestyle=":", label=f"threshold, {threshold}")
    left.set(
        title="Sparsity against accuracy, dense network",
        xlabel="spikes per neuron and step",
        ylabel="accuracy (share of test digits)",
    )
    left.legend(fontsize=9)
    for name, values in accuracies.items():
        right.plot(bits, values, "o-", label=f"{name} network")
    right.set(
        title="Weights of few bits, rounded after training",
        xlabel="bits per weight",
        ylabel="accuracy (share of test digits)",
        xticks=bits,
    )
    right.legend(fontsize=9)
    return figure


def draw_events(
    train: nn.training.TrainState,
    net: nn.Layer,
    events: tuple[jax.Array, jax.Array],
    directions: tuple[str, ...],
) -> Figure:
    """Draw the events and spikes of windows of some directions, and the confusion matrix."""
    x, truth = jax.device_get(events)
    classify = jax.jit(net)
    y = [jax.device_get(classify(train.params, x[i : i + BATCH])) for i in range(0, len(x), BATCH)]
    predictions = np.concatenate([each.output.mean(axis=1).argmax(axis=-1) for each in y])
    figure = Figure(figsize=(15, 8.5), layout="constrained")
    figure.suptitle(
        "The direction in which a window pans over a clip, from its events: "
        f"{np.mean(predictions == truth):.3f} of {len(truth)} windows over test frames",
        fontsize=14,
    )
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1), squeeze=False)[0]
    # Every other direction fits into the figure.
    rows = [int(np.flatnonzero(truth == each)[0]) for each in range(0, len(directions), 2)]
    times = range(0, x.shape[1], 2)
    axes = left.subplots(len(rows), len(times) + 1, squeeze=False)
    for axes_of_row, i in zip(axes, rows, strict=True):
        _draw_window(axes_of_row[:-1], x[i], times)
        axes_of_row[0].set_ylabel(f"{directions[truth[i]]}\npredicted {directions[predictions[i]]}")
        spikes = y[i // BATCH].spikes[-1][i % BATCH]
        draw_raster(axes_of_row[-1], spikes.reshape(len(spikes), -1))
        axes_of_row[-1].set_ylabel("neuron", fontsize=8)
    for axis, time in zip(axes[0], times, strict=False):
        axis.set_title(f"step {time}", fontsize=10)
    axes[0, -1].set_title("spikes of the last layer", fontsize=10)
    axes[-1, -1].set_xlabel("time (steps)")
    axes[-1, 0].set_xlabel("red: lighter, blue: darker")
    confusion_matrix(right.subplots(), truth, predictions, directions)
    return figure


def _draw_window(axes: np.ndarray, events: np.ndarray, times: range) -> None:
    for axis, time in zip(axes, times, strict=True):
        lighter, darker = events[time, ..., 0], events[time, ..., 1]
        axis.imshow(lighter - darker, cmap="RdBu_r", vmin=-1, vmax=1)
        axis.set(xticks=[], yticks=[])
