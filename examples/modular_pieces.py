"""The part of `modular` in which experts share out a problem that is in pieces.

Two of the inputs are a place, and which of six cells of the plane it lies in says how the target
depends on all inputs: linearly, and otherwise in each. A mixture has linear experts and a linear
gate, and learns by how likely it makes what is so; networks of as many numbers, of one to three
hidden layers, learn by the squared error.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Options

CENTRES = np.array(
    [[-0.6, 0.5], [0.15, 0.7], [0.65, 0.1], [-0.1, -0.1], [-0.55, -0.65], [0.4, -0.7]]
)
FEATURES = 8  # inputs, uniform in (-1, 1), of which the first two are the place
SLOPES = np.random.default_rng(0).normal(size=(len(CENTRES), FEATURES))
NOISE = 0.05
EXPERTS, TREE = 12, (3, 4)
SINGLE = {"1 hidden layer": (22,), "2 hidden layers": (12, 9), "3 hidden layers": (9, 9, 9)}
OTHERS = np.resize([0.5, -0.5], FEATURES - 2)  # where the plane is drawn
ROWS, TESTED, BATCH, STEPS, QUICK_STEPS, RATE = 8000, 2000, 100, 4000, 300, 0.1


class Pieces(NamedTuple):
    """What was learned.

    errors: by the name of the net, mean squared over the test points.
    single: the least of those of single networks.
    agreement: how far the shares of experts are the pieces, as an adjusted Rand index: 1 where a
      piece has an expert of its own, 0 by chance.
    """

    errors: dict[str, float]
    single: float
    agreement: float
    history: list[dict[str, float]]
    picture: Figure


def surface(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(target [rows, 1], piece [rows]) of inputs [rows, FEATURES]."""
    piece = np.square(x[:, None, :2] - CENTRES).sum(axis=-1).argmin(axis=1)
    return (x * SLOPES[piece]).sum(axis=1, keepdims=True), piece


def drawn(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and their targets measured with noise."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, (rows, FEATURES))
    y = surface(x)[0] + NOISE * generator.normal(size=(rows, 1))
    return x.astype(np.float32), y.astype(np.float32)


def learned(net: nn.Layer, loss, options: Options):
    """(the trained net as a function, its history)."""
    x, y = drawn(0, ROWS)
    steps = QUICK_STEPS if options.quick else STEPS
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))
    start = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, x[:BATCH]))
    train = start(jax.random.key(options.seed))
    step = nn.training.step(loss, optimizer)
    end = nn.training.fit(step, train, (x, y), steps=steps, batch_size=BATCH, every=steps // 10)
    return jax.jit(lambda x: net(end.train.params, x)), end.history


def compare(options: Options) -> Pieces:
    """Trains and measures them all."""
    # Imported here, as other examples' baselines are, for it is slow.
    from sklearn.metrics import adjusted_rand_score

    x, _ = drawn(1, TESTED)
    truth, piece = surface(x)
    likely = nn.autoencoder.gaussian_log_likelihood(4 * NOISE)
    nets, errors, history = {}, {}, []
    mixtures = {"mixture": (EXPERTS,)} | ({} if options.quick else {"tree": TREE})
    single = dict(list(SINGLE.items())[-1:]) if options.quick else SINGLE
    for title, branches in mixtures.items():
        net = nn.mixture.mixture_of_experts(nn.dense(1), *branches)
        nets[title], rows = learned(net, nn.mixture.mixture_loss(net, likely), options)
        history = history or rows
        errors[title] = float(np.square(nets[title](x).output - truth).mean())
    for title, widths in single.items():
        net = nn.mlp(*widths, 1, activation=jnp.tanh)
        nets[title], _ = learned(net, nn.training.supervised(net, nn.mse), options)
        errors[title] = float(np.square(nets[title](x) - truth).mean())
    best = min(single, key=errors.__getitem__)
    answers = np.asarray(nets["mixture"](x).log_weights).argmax(axis=1)
    picture = draw(nets["mixture"], nets[best], best, errors)
    agreement = float(adjusted_rand_score(piece, answers))
    return Pieces(errors, errors[best], agreement, history, picture)


def draw(mixture, single, title: str, errors: dict[str, float]) -> Figure:
    """The surface, who answers where, and what the mixture and the single network make of it."""
    side = np.linspace(-1, 1, 200)
    places = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    others = np.tile(OTHERS, (len(places), 1))
    points = np.concatenate([places, others], axis=1).astype(np.float32)
    truth, piece = surface(points)
    said = mixture(points)
    beside = {"mixture": f"Mixture of {EXPERTS} linear experts", title: f"Network of {title}"}
    names = [f"{name}\nmean squared error {errors[key]:.3f}" for key, name in beside.items()]
    heights = {"The target": truth, names[0]: said.output, names[1]: single(points)}
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    panels = figure.subplots(1, 4)
    extent, shown = (-1, 1, -1, 1), {"origin": "lower", "interpolation": "nearest"}
    scale = ScalarMappable(Normalize(-3, 3), "RdBu")
    for axes, (name, height) in zip(panels[[0, 2, 3]], heights.items(), strict=True):
        picture = np.reshape(height, (200, 200))
        axes.imshow(picture, extent=extent, norm=scale.norm, cmap=scale.cmap, **shown)
        axes.set_title(name, fontsize=11)
    figure.colorbar(scale, ax=panels[3], label="target")
    answers = np.asarray(said.log_weights).argmax(axis=1).reshape(200, 200)
    panels[1].imshow(answers, extent=extent, cmap="tab20", vmin=0, vmax=19, **shown)
    for expert in np.unique(answers):
        rows, columns = np.nonzero(answers == expert)
        where = side[int(np.median(columns))], side[int(np.median(rows))]
        panels[1].text(*where, str(expert), ha="center", va="center", weight="bold")
    for each in range(len(CENTRES)):
        inside = (piece == each).reshape(200, 200).astype(float)
        panels[1].contour(side, side, inside, levels=[0.5], colors="black", linewidths=0.8)
    panels[1].set_title("Which expert answers\n(number), and the pieces (lines)", fontsize=11)
    for axes in panels:
        axes.set(xlabel="x, first coordinate", ylabel="x, second coordinate")
    return figure
