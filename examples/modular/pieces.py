"""The part with a piecewise linear function, which experts divide among themselves.

The first two inputs are a position in the plane, and the cell it lies in, one of six, decides how
the target depends on all inputs: linearly, but differently in each cell. A mixture has linear
experts and a linear gate, and maximizes the likelihood of the targets; networks with as many
parameters, of one to three hidden layers, minimize the squared error.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn as nn
from examples import Options

CENTERS = np.array(
    [[-0.6, 0.5], [0.15, 0.7], [0.65, 0.1], [-0.1, -0.1], [-0.55, -0.65], [0.4, -0.7]]
)  # of the cells
FEATURES = 8  # inputs, uniform in (-1, 1), of which the first two are the position
SLOPES = np.random.default_rng(0).normal(size=(len(CENTERS), FEATURES))
NOISE = 0.05  # standard deviation of the measured targets
EXPERTS = 12  # twice as many as there are cells
TREE = (3, 4)  # branches of a tree of gates with as many experts
# Hidden widths that make as many parameters as the mixture has.
SINGLE = {"1 hidden layer": (22,), "2 hidden layers": (12, 9), "3 hidden layers": (9, 9, 9)}
QUICK_SINGLE = "3 hidden layers"
ROWS = 8000  # to train on
TEST_ROWS = 2000
BATCH = 100
STEPS = 4000
QUICK_STEPS = 300
RATE = 0.1
ROWS_OF_HISTORY = 10


class Pieces(NamedTuple):
    """The trained networks and their errors.

    errors: by the name of the network, the mean squared error on the test points.
    single: the lowest of those of single networks.
    single_name: the name of that network.
    agreement: how far the regions of the experts agree with the cells, as an adjusted Rand index:
      1 where each cell has its own expert, about 0 by chance.
    history: of the mixture.
    mixture_net, single_net: functions from inputs to outputs.
    """

    errors: dict[str, float]
    single: float
    single_name: str
    agreement: float
    history: list[dict[str, float]]
    mixture_net: Callable
    single_net: Callable


def surface(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(target [rows, 1], cell [rows]) of inputs [rows, FEATURES]."""
    cell = np.square(x[:, None, :2] - CENTERS).sum(axis=-1).argmin(axis=1)
    return (x * SLOPES[cell]).sum(axis=1, keepdims=True), cell


def sample(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs, and their targets with noise."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, (rows, FEATURES))
    y = surface(x)[0] + NOISE * generator.normal(size=(rows, 1))
    return x.astype(np.float32), y.astype(np.float32)


def learn(
    net: nn.Layer, loss: Callable, options: Options
) -> tuple[Callable, list[dict[str, float]]]:
    """(the trained net as a function of inputs, its history)."""
    x, y = sample(0, ROWS)
    steps = QUICK_STEPS if options.quick else STEPS
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, steps))
    init = jax.jit(lambda key: nn.training.init_train(net, optimizer, key, x[:BATCH]))
    end = nn.training.fit(
        nn.training.step(loss, optimizer),
        init(jax.random.key(options.seed)),
        (x, y),
        steps=steps,
        batch_size=BATCH,
        every=steps // ROWS_OF_HISTORY,
    )
    return jax.jit(lambda x: net(end.train.params, x)), end.history


def learn_mixture(branches: tuple[int, ...], options: Options):
    net = nn.mixture.mixture_of_experts(nn.dense(1), *branches)
    likelihood = nn.autoencoder.gaussian_log_likelihood(4 * NOISE)
    return learn(net, nn.mixture.mixture_loss(net, likelihood), options)


def learn_single(widths: tuple[int, ...], options: Options):
    net = nn.mlp(*widths, 1, activation=jnp.tanh)
    return learn(net, nn.training.supervised(net, nn.mse), options)


def compare(options: Options) -> Pieces:
    """Train and evaluate all networks."""
    from sklearn.metrics import adjusted_rand_score  # imported here because it is slow

    x, _ = sample(1, TEST_ROWS)
    truth, cell = surface(x)
    nets, errors = {}, {}
    nets["mixture"], history = learn_mixture((EXPERTS,), options)
    if not options.quick:
        nets["tree"], _ = learn_mixture(TREE, options)
    for name in nets:
        errors[name] = float(np.square(nets[name](x).output - truth).mean())
    singles = [QUICK_SINGLE] if options.quick else list(SINGLE)
    for name in singles:
        nets[name], _ = learn_single(SINGLE[name], options)
        errors[name] = float(np.square(nets[name](x) - truth).mean())
    best = min(singles, key=errors.__getitem__)
    expert = np.asarray(nets["mixture"](x).log_weights).argmax(axis=1)
    agreement = float(adjusted_rand_score(cell, expert))
    return Pieces(errors, errors[best], best, agreement, history, nets["mixture"], nets[best])
