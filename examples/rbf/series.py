"""The Mackey-Glass series, six steps ahead."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from examples import Options, data
from examples.rbf.task import Task, closed_form, descent, squared_error, tuned

FIT = 400  # of the 500 training rows; the width is chosen on the other 100
WIDTHS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # to choose from
EVERY = 1000  # steps from one row of the history to the next
TASK = Task(
    centers=50,
    outputs=1,
    penalty=1e-6,
    overlap=1.0,
    rate=1e-3,
    batch=FIT,
    steps=30_000,
    quick_steps=200,
)
candidates = nn.ensemble(TASK.net(), len(WIDTHS))


class Network(NamedTuple):
    """A network whose width was chosen.

    width: the chosen width, at which a tuned network starts.
    validation_error, error: the root of the mean squared error on the validation and test rows.
    history: the rows of `fit`, those of the candidates first.
    predicted: float [rows, 1], for the test rows.
    """

    params: Any
    width: float
    validation_error: float
    error: float
    predicted: np.ndarray
    split: data.Split
    history: list[dict[str, float]]


def candidate_loss(params: Any, state: Any, batch: tuple, *, key=None, train=False):
    """The mean of the candidates' squared errors; each candidate has a gradient of its own."""
    x, y = batch
    guesses = candidates(params, x, key=key, train=train)
    return nn.mse(guesses, jnp.broadcast_to(y[None], guesses.shape)), (state, {})


def predict(params: Any, x: np.ndarray) -> jax.Array:
    return TASK.net()(params, jnp.asarray(x))


def error(params: Any, x: np.ndarray, y: np.ndarray) -> float:
    """The root of the mean squared error."""
    return float(jnp.sqrt(nn.mse(predict(params, x), jnp.asarray(y))))


def learned(options: Options) -> tuple[Network, Network]:
    """The network in closed form and the tuned one, each with its own best width."""
    split, key = data.mackey_glass(), jax.random.key(options.seed)
    rows = split.x[:FIT], split.y[:FIT]
    validation = split.x[FIT:], split.y[FIT:]
    starts = [closed_form(TASK, *rows, key, width) for width in WIDTHS]
    end = tuned_together(options, starts, rows)
    ends = [jax.tree.map(lambda leaf, i=i: leaf[i], end.train.params) for i in range(len(WIDTHS))]

    def best(networks):
        errors = [error(params, *validation) for params in networks]
        return min(zip(errors, WIDTHS, strict=True))

    (closed_error, closed_width), (tuned_error, tuned_width) = best(starts), best(ends)
    # With its width chosen, each network is trained on all 500 rows.
    closed = closed_form(TASK, split.x, split.y, key, closed_width)
    start = closed_form(TASK, split.x, split.y, key, tuned_width)
    whole = TASK._replace(batch=len(split.x))
    steps = descent(whole, squared_error(whole), options)
    final = tuned(whole, steps, start, (split.x, split.y), options, every=EVERY)
    history = [{"width_chosen": 0, **row} for row in end.history]
    history += [{"width_chosen": 1, **row} for row in final.history]
    return (
        network(closed, closed_width, closed_error, split, []),
        network(final.train.params, tuned_width, tuned_error, split, history),
    )


def tuned_together(options: Options, starts: list, rows: tuple) -> nn.training.FitResult:
    """Tune networks side by side."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    steps = descent(TASK, candidate_loss, options)
    return tuned(TASK, steps, stacked, rows, options, every=EVERY)


def network(
    params: Any, width: float, validation_error: float, split: data.Split, history: list
) -> Network:
    return Network(
        params=params,
        width=width,
        validation_error=validation_error,
        error=error(params, split.test_x, split.test_y),
        predicted=np.asarray(predict(params, split.test_x)),
        split=split,
        history=history,
    )


def metrics(closed: Network, tuned: Network) -> dict[str, float]:
    return {
        "series_width_closed_form": closed.width,
        "series_width_tuned": tuned.width,
        "series_validation_rmse": min(closed.validation_error, tuned.validation_error),
    }
