"""A training step of one network of each family, for every backend and dtype.

Each is built in `benchmarks/peers`, as it is when it runs beside other frameworks: in
`layers_in_jaxnn.py`, `nets_in_jaxnn.py` or `family_steps_in_jaxnn.py`.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import (
    family_sizes,
    family_steps_in_jaxnn,
    graph_sizes,
    layers_in_jaxnn,
    modular_in_jaxnn,
    net_sizes,
    nets_in_jaxnn,
    sizes,
)

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}  # of the loss
CHECKED = 3  # steps until the losses are compared
WAY = "jitted step"


class Network(NamedTuple):
    """A network by its title, and how many steps of it one call takes."""

    title: str
    steps: int


QUICK = (Network(sizes.LSTM, 20),)
NETWORKS = (
    *QUICK,
    Network(sizes.CNN, 10),
    Network(sizes.GPT, 5),
    Network(net_sizes.VAE, 20),
    Network(net_sizes.DCGAN, 4),
    Network(net_sizes.CAPSNET, 4),
    Network(family_sizes.RBF_STEP, 40),
    Network(family_sizes.SOM, 100),
    Network(modular_in_jaxnn.TOP_2, 4),
    Network(family_sizes.SPIKING, 10),
    Network(graph_sizes.GCN, 20),
)
NETS = layers_in_jaxnn.NETS | nets_in_jaxnn.NETS | family_steps_in_jaxnn.NETS
OWN = nets_in_jaxnn.OWN | family_steps_in_jaxnn.OWN  # steps of their own


def begin(network: Network, dtype: Any) -> tuple[Callable, Any, Any]:
    """The jitted step, where it starts, and its batch."""
    if network.title in OWN:
        return OWN[network.title](dtype)
    return layers_in_jaxnn.begin(task(network, dtype))


def task(network: Network, dtype: Any) -> layers_in_jaxnn.Task:
    """The net, computed in dtype, its loss and its batch."""
    made = NETS[network.title]()
    return made._replace(net=nets_in_jaxnn.within(made.net, dtype))


def flops(network: Network) -> int:
    """Floating-point operations that a step needs."""
    title = network.title
    if title in family_steps_in_jaxnn.MULTIPLY_ADDS:
        return family_steps_in_jaxnn.flops(title)
    return (net_sizes if title in net_sizes.ROWS else sizes).flops(title)


def steps(network: Network, dtype: Any) -> Callable[[int], np.ndarray]:
    """A function that takes so many steps from the start and returns their losses."""
    step, start, batch = begin(network, dtype)

    def run(count: int) -> np.ndarray:
        train, losses = jax.tree.map(jnp.copy, start), []  # a step donates what it is given
        for _ in range(count):
            train, metrics = step(train, batch)
            losses.append(metrics["loss"])
        return np.asarray(jax.device_get(losses))

    return run


def compiling(network: Network, dtype: Any) -> float:
    """Seconds to trace and compile the step."""
    step, start, batch = begin(network, dtype)
    begun = time.perf_counter()
    step.lower(start, batch).compile()
    return time.perf_counter() - begun


def by_hand(network: Network, count: int) -> np.ndarray:
    """The losses of the same steps without jaxnn's step: `jax.grad` and optax in a scan."""
    net, loss, batch = task(network, jnp.float32)
    x, y = jax.tree.map(jnp.asarray, batch)
    params, state = net.init(jax.random.fold_in(jax.random.key(0), 0), x)
    optimizer = optax.sgd(layers_in_jaxnn.RATE, layers_in_jaxnn.MOMENTUM)

    def objective(params):
        return jnp.mean(loss(net.apply(params, state, x, train=True)[0], y))

    def step(carry, _):
        params, opt_state = carry
        value, slope = jax.value_and_grad(objective)(params)
        updates, opt_state = optimizer.update(slope, opt_state)
        return (optax.apply_updates(params, updates), opt_state), value

    start = params, optimizer.init(params)
    return np.asarray(jax.jit(lambda start: jax.lax.scan(step, start, length=count)[1])(start))


def agree(network: Network, built: dict[str, Callable[[int], np.ndarray]]) -> None:
    """Compares the losses of each dtype with those of a scan by hand in float32.

    Those of a net with a step of its own are compared with that step in float32.

    Raises:
      ValueError: where one differs by more than rounding.
    """
    own = network.title in OWN
    wanted = built["float32"](CHECKED) if own else by_hand(network, CHECKED)
    for dtype, run in built.items():
        off = np.max(np.abs(run(CHECKED) - wanted) / np.abs(wanted))
        if not off <= TOLERANCE[dtype]:
            raise ValueError(
                f"{network.title}: the step in {dtype} disagrees with a scan by hand: within "
                f"{CHECKED} steps its loss is off by {off:.1e} of it, {TOLERANCE[dtype]:.0e} is "
                "rounding; mend it before timing it."
            )
