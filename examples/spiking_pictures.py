"""The pictures of `examples/spiking.py`; itself no example."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import jaxnn as nn
from examples import data

SHOWN, TRACED = 8, 3  # digits of which spikes are drawn; neurons whose membranes are


def raster(axes, spikes: np.ndarray) -> None:
    """A point for each spike of [time, neurons]."""
    time, neuron = np.nonzero(spikes)
    axes.plot(time, neuron, "|", color="black", markersize=2.5, markeredgewidth=0.8)
    axes.set(xlim=(-0.6, len(spikes) - 0.4), ylim=(-1, spikes.shape[1]))


def draw_digits(train, net, digits: data.Split, decay: float) -> Figure:
    """For each of a few digits: itself, every spike, some membranes, and the read-out's."""
    x = digits.test_x[[int(np.flatnonzero(digits.test_y == i)[0]) for i in range(SHOWN)]]
    y = jax.device_get(jax.jit(net)(train.params, x))
    time = y.output.shape[1]
    first = train.params["stage0"][0]
    currents = jnp.asarray(x) @ first["w"] + first["b"]
    looked = nn.unroll(nn.spiking.lif(decay, membrane=True))
    held = jnp.repeat(currents[:, None], time, axis=1)
    seen = jax.device_get(jax.jit(looked)((), held))
    # The neurons that spike most over these digits.
    busiest = np.argsort(-y.spikes[0].sum(axis=(0, 1)))[:TRACED]

    figure = Figure(figsize=(15, 9.5), layout="constrained")
    figure.suptitle(
        f"A dense network of 256 spiking neurons reads digits in {time} steps", fontsize=15
    )
    axes = figure.subplots(4, SHOWN, height_ratios=(0.7, 1.4, 1, 1), sharey="row")
    for i in range(SHOWN):
        top, spikes, membranes, out = axes[:, i]
        top.imshow(x[i].reshape(28, 28), cmap="gray_r")
        top.set(xticks=[], yticks=[], title=f"read as {y.output[i].mean(axis=0).argmax()}")
        raster(spikes, y.spikes[0][i])
        spikes.set_title(f"{y.spikes[0][i].mean():.3f} a neuron a step", fontsize=9)
        for neuron in busiest:
            membranes.plot(seen["membrane"][i, :, neuron], label=f"neuron {neuron}")
        membranes.axhline(1, color="0.5", linestyle=":", label="threshold")
        for each in range(10):
            best = each == y.output[i].mean(axis=0).argmax()
            out.plot(y.output[i, :, each], color="tab:red" if best else "0.75",
                     zorder=2 + best, label="the answer" if best else None)  # fmt: skip
        out.set_xlabel("time (steps)")
    axes[1, 0].set_ylabel("hidden neuron (raster of spikes)")
    axes[2, 0].set_ylabel("membrane (thresholds)")
    axes[3, 0].set_ylabel("membrane of the read-out")
    axes[2, -1].legend(fontsize=7, loc="upper right")
    axes[3, -1].legend(fontsize=7)
    return figure


def draw_sparsity(
    sparse: list[tuple[float, float]],
    chosen: tuple[float, float],
    bits: tuple[int, ...],
    rounded: dict[str, list[float]],
) -> Figure:
    """Accuracy against spikes, under penalties of all strengths; and against bits a weight."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    rates, accuracies = np.array(sorted(sparse)).T
    left.semilogx(rates, accuracies, "o-", label="short runs, each with a penalty of its own")
    left.plot(*chosen, "*", markersize=14, color="tab:red", label="the long run")
    left.axvline(0.2, color="0.5", linestyle=":", label="the bar: fewer than 0.2")
    left.set(
        title="Sparsity against accuracy, dense network",
        xlabel="spikes a neuron a step",
        ylabel="accuracy (share of test digits)",
    )
    left.legend(fontsize=9)
    for name, values in rounded.items():
        right.plot(bits, values, "o-", label=f"{name} network")
    right.set(
        title="Weights of few bits, rounded after training",
        xlabel="bits a weight",
        ylabel="accuracy (share of test digits)",
        xticks=bits,
    )
    right.legend(fontsize=9)
    return figure


def draw_events(train, net, events: tuple, ways: tuple[str, ...]) -> Figure:
    """Events of one window of each way, the spikes that answer, and all answers."""
    x, way = jax.device_get(events)
    named = jax.jit(net)
    y = [jax.device_get(named(train.params, x[i : i + 100])) for i in range(0, len(x), 100)]
    guesses = np.concatenate([each.output.mean(axis=1).argmax(axis=-1) for each in y])
    figure = Figure(figsize=(15, 8.5), layout="constrained")
    figure.suptitle(
        f"Which way a window pans over a clip, from its events: {np.mean(guesses == way):.3f} of "
        f"{len(way)} windows over frames never learned from",
        fontsize=14,
    )
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1), squeeze=False)[0]
    shown = [int(np.flatnonzero(way == each)[0]) for each in range(0, len(ways), 2)]
    times = range(0, x.shape[1], 2)
    axes = left.subplots(len(shown), len(times) + 1, squeeze=False)
    inner = y[0].spikes[-1]
    for row, i in zip(axes, shown, strict=True):
        for axis, time in zip(row, times, strict=False):
            on, off = x[i, time, ..., 0], x[i, time, ..., 1]
            axis.imshow(on - off, cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set(xticks=[], yticks=[])
            if i == shown[0]:
                axis.set_title(f"step {time}", fontsize=10)
        row[0].set_ylabel(f"{ways[way[i]]}\nnamed {ways[guesses[i]]}")
        if i < len(inner):
            raster(row[-1], inner[i].reshape(len(inner[i]), -1))
        row[-1].set_ylabel("neuron", fontsize=8)
    axes[0, -1].set_title("spikes of the last layer", fontsize=10)
    axes[-1, -1].set_xlabel("time (steps)")
    axes[-1, 0].set_xlabel("red: lighter, blue: darker")

    counts = np.zeros((len(ways), len(ways)))
    np.add.at(counts, (way, guesses), 1)
    axis = right.subplots()
    drawn = axis.imshow(counts / counts.sum(axis=1, keepdims=True), cmap="viridis", vmin=0, vmax=1)
    axis.set(title="Answers of each way", xlabel="named", ylabel="truth")
    axis.set_xticks(range(len(ways)), ways, rotation=45, ha="right")
    axis.set_yticks(range(len(ways)), ways)
    right.colorbar(drawn, ax=axis, label="share of the windows of a way", shrink=0.7)
    return figure
