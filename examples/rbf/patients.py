"""The progress of diabetes, compared with ridge regression."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score

from examples import Options, data
from examples.rbf.task import Task, closed_form, descent, squared_error, tuned

TASK = Task(
    centers=20,
    outputs=1,
    penalty=0.1,
    overlap=2.0,
    rate=1e-3,
    batch=64,
    steps=60,
    quick_steps=20,
)


def scores(options: Options) -> dict[str, float]:
    """Mean R² over the folds: of the closed form, the tuned network and ridge regression."""
    found = {"closed_form": [], "tuned": [], "ridge": []}
    steps = descent(TASK, squared_error(TASK), options)
    for fold in data.diabetes():
        mean, deviation = fold.x.mean(0, keepdims=True), fold.x.std(0, keepdims=True)
        x, test_x = (fold.x - mean) / deviation, (fold.test_x - mean) / deviation
        level, spread = fold.y.mean(), fold.y.std()
        y, test_y = ((fold.y - level) / spread)[:, None], (fold.test_y - level) / spread
        start = closed_form(TASK, x, y, jax.random.key(options.seed))
        end = tuned(TASK, steps, start, (x, y), options)
        for name, params in (("closed_form", start), ("tuned", end.train.params)):
            guess = np.asarray(TASK.net()(params, jnp.asarray(test_x)))[:, 0]
            found[name].append(float(r2_score(test_y, guess)))
        ridge = RidgeCV(np.logspace(-1, 3, 25)).fit(x, y[:, 0])
        found["ridge"].append(float(ridge.score(test_x, test_y)))
    return {name: float(np.mean(values)) for name, values in found.items()}
