"""A training step of one network of each family, for every backend and dtype.

The networks are those that run beside other frameworks, from `benchmarks/peers/jaxnn`: `layers.py`,
`nets.py` and `family_steps.py`.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import cases
from benchmarks.peers.jaxnn import family_steps, layers, nets
from benchmarks.peers.jaxnn import task as tasks

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}  # relative to the loss
CHECKED = 3  # steps whose losses are compared
VARIANT = "jitted step"


class Network(NamedTuple):
    """A network by its title, and the number of steps that one timed call takes."""

    title: str
    steps: int


QUICK = (Network(cases.LSTM, 20),)
NETWORKS = (
    *QUICK,
    Network(cases.CNN, 10),
    Network(cases.GPT, 5),
    Network(cases.VAE, 20),
    Network(cases.DCGAN, 4),
    Network(cases.CAPSNET, 4),
    Network(cases.RBF_NET, 40),
    Network(cases.SOM, 100),
    Network(cases.TOP_2, 4),
    Network(cases.SPIKING, 10),
    Network(cases.GCN, 20),
)
TASKS = layers.TASKS | nets.TASKS | family_steps.TASKS
OWN_STEPS = nets.OWN_STEPS | family_steps.OWN_STEPS


def begin(network: Network, dtype: Any) -> tuple[Callable, Any, Any]:
    """The jitted step, its initial train state, and its batch."""
    if network.title in OWN_STEPS:
        return OWN_STEPS[network.title](dtype)
    return tasks.begin(task(network, dtype))


def task(network: Network, dtype: Any) -> tasks.Task:
    """The net computed in dtype, its loss and its batch."""
    made = TASKS[network.title]()
    return made._replace(net=tasks.in_dtype(made.net, dtype))


def losses(network: Network, dtype: Any) -> Callable[[int], np.ndarray]:
    """A function that takes the given number of steps from the start and returns their losses."""
    step, start, batch = begin(network, dtype)

    def run(count: int) -> np.ndarray:
        train, values = jax.tree.map(jnp.copy, start), []  # a step donates its train state
        for _ in range(count):
            train, metrics = step(train, batch)
            values.append(metrics["loss"])
        return np.asarray(jax.device_get(values))

    return run


def compile_seconds(network: Network, dtype: Any) -> float:
    """Seconds to trace and compile the step."""
    step, start, batch = begin(network, dtype)
    begun = time.perf_counter()
    step.lower(start, batch).compile()
    return time.perf_counter() - begun


def losses_by_hand(network: Network, count: int) -> np.ndarray:
    """The losses of the same steps without jaxnn's step: `jax.grad` and optax in a scan."""
    net, loss, batch = task(network, jnp.float32)
    x, y = jax.tree.map(jnp.asarray, batch)
    params, state = net.init(jax.random.fold_in(jax.random.key(0), 0), x)
    optimizer = optax.sgd(tasks.RATE, tasks.MOMENTUM)

    def objective(params):
        return jnp.mean(loss(net.apply(params, state, x, train=True)[0], y))

    def step(carry, _):
        params, opt_state = carry
        value, gradient = jax.value_and_grad(objective)(params)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return (optax.apply_updates(params, updates), opt_state), value

    start = params, optimizer.init(params)
    return np.asarray(jax.jit(lambda start: jax.lax.scan(step, start, length=count)[1])(start))


def agree(network: Network, runs: dict[str, Callable[[int], np.ndarray]]) -> None:
    """Compare the losses in each dtype with those of a scan by hand in float32.

    A network with its own step is compared with that step in float32.

    Args:
      network: the network.
      runs: by dtype, a function as `losses` returns it.

    Raises:
      ValueError: if a loss differs by more than rounding.
    """
    own = network.title in OWN_STEPS
    expected = runs["float32"](CHECKED) if own else losses_by_hand(network, CHECKED)
    for dtype, run in runs.items():
        error = np.max(np.abs(run(CHECKED) - expected) / np.abs(expected))
        if not error <= TOLERANCE[dtype]:
            raise ValueError(
                f"{network.title}: the step in {dtype} disagrees with a scan by hand: within "
                f"{CHECKED} steps the relative error of its loss is {error:.1e}, and "
                f"{TOLERANCE[dtype]:.0e} is allowed for rounding; fix the step before timing it."
            )
