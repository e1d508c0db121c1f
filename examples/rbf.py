"""Radial basis functions foresee a chaotic series, the progress of diabetes, and read digits.

Each network begins in closed form: its centres are means of rows (k-means), and the weights of its
output solve a linear problem (ridge regression). Then all of it, centres and widths and weights, is
tuned by gradient descent, on the mean squared error of the series and of the patients, and on the
cross entropy of digits that are moved by up to two pixels at each step.

The width of the series' network is chosen on the last 100 of the 500 rows learned from, once for
the closed form and once for the tuned one; all candidates are tuned side by side (`nn.ensemble`).
For patients, centres, width and penalty were compared on folds inside the training folds, for
digits on 800 of the 4000; the rows of the tests chose nothing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.svm import SVC

import jaxnn as nn
from examples import Check, Options, Result, data
from examples.classification import moved

SERIES_THRESHOLD, SHARE = 0.004, 0.8  # RMSE once tuned, and its share of the closed form's own
BEHIND_RIDGE = 0.02  # of R2, at most
DIGITS_THRESHOLD, BEHIND_MACHINE = 0.95, 0.008  # accuracy, and how far behind the support vectors'
FIT = 400  # rows of the series that are fitted where the width is chosen; 100 choose
WIDTHS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
FEW = 1000  # digits of a quick run
SHARPNESS = 10.0  # from what is nearly 0 or 1 to logits


class Task(NamedTuple):
    """The network of a task: its centres, the penalty of the closed form, and how it is tuned."""

    centres: int
    outputs: int
    penalty: float
    overlap: float  # the width over the distance of neighbours
    rate: float
    batch: int
    steps: int
    quick_steps: int

    def hidden(self) -> nn.Layer:
        """Its radial basis functions alone."""
        return nn.rbf.rbf_layer(self.centres, metric="centre")

    def net(self) -> nn.Layer:
        """The whole of it."""
        return nn.rbf.rbf_net(self.centres, self.outputs, metric="centre")


SERIES = Task(50, 1, 1e-6, 1.0, 1e-3, FIT, 30_000, 200)
PATIENTS = Task(20, 1, 0.1, 2.0, 1e-3, 64, 60, 20)
DIGITS = Task(600, 10, 1e-3, 1.0, 3e-3, 128, 4000, 60)
candidates = nn.ensemble(SERIES.net(), len(WIDTHS))


def closed_form(task: Task, x: np.ndarray, y: np.ndarray, key: jax.Array, width=None) -> dict:
    """The params of a network whose centres and output are found without a gradient."""
    rows = jnp.asarray(x)
    centres = nn.rbf.kmeans(key, rows, task.centres).centres
    near = (
        nn.rbf.rbf_widths(centres, neighbours=5).mean() * task.overlap if width is None else width
    )
    hidden = {"centres": centres, "log_width": jnp.full(task.centres, jnp.log(near))}
    features = jax.jit(task.hidden())(hidden, rows)
    return {"rbf": hidden, "head": nn.rbf.ridge(features, jnp.asarray(y), task.penalty)}


def length(task: Task, options: Options) -> int:
    return task.quick_steps if options.quick else task.steps


def errors(params: Any, state: Any, batch: tuple, *, key=None, train=False):
    """The mean of the candidates' mean squared errors: each has a gradient of its own."""
    x, y = batch
    guesses = candidates(params, x, key=key, train=train)
    return nn.mse(guesses, jnp.broadcast_to(y[None], guesses.shape)), (state, {})


def squared(task: Task):
    return nn.training.supervised(task.net(), nn.mse)


def cross_entropy(params: Any, state: Any, batch: tuple, *, key, train):
    """Of digits, in training moved by up to two pixels."""
    x, labels = batch
    if train:
        x = moved(jax.random.fold_in(key, 0), x)
    loss = optax.softmax_cross_entropy_with_integer_labels
    return nn.training.supervised(DIGITS.net(), loss, {"accuracy": nn.accuracy})(
        params, state, (x, labels), key=key, train=train
    )


def learner(task: Task, loss, options: Options):
    optimizer = optax.adam(optax.cosine_decay_schedule(task.rate, length(task, options)))
    return nn.training.step(loss, optimizer), optimizer


def plan(options: Options):
    step, optimizer = learner(DIGITS, cross_entropy, options)
    x = jax.ShapeDtypeStruct((DIGITS.batch, 784), jnp.float32)
    labels = jax.ShapeDtypeStruct((DIGITS.batch,), jnp.int32)
    train = nn.training.init_train(DIGITS.net(), optimizer, jax.random.key(options.seed), x)
    return step, train, (x, labels)


def tuned(task: Task, learns, params: Any, x, y, options: Options, every: int = 0):
    """The params after gradient descent from `params`, and the history of it."""
    step, optimizer = learns
    key, steps = jax.random.key(options.seed), length(task, options)
    train = nn.training.TrainState(params, (), optimizer.init(params), jnp.int32(0), key)
    end = nn.training.fit(
        *(step, train, (x, y)),
        steps=steps,
        batch_size=min(task.batch, len(x)),
        every=min(every or steps, steps),
        progress=False,
    )
    return end.train.params, end.history


def rmse(params: Any, x: np.ndarray, y: np.ndarray) -> float:
    return float(jnp.sqrt(nn.mse(SERIES.net()(params, jnp.asarray(x)), jnp.asarray(y))))


def series(options: Options) -> tuple[dict[str, Any], data.Split, dict[str, float], list]:
    """The networks of the series: in closed form and tuned; errors on validation rows; history."""
    split, key = data.mackey_glass(), jax.random.key(options.seed)
    x, y = split.x[:FIT], split.y[:FIT]
    held = split.x[FIT:], split.y[FIT:]
    begun = [closed_form(SERIES, x, y, key, width) for width in WIDTHS]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *begun)
    ended, history = tuned(
        *(SERIES, learner(SERIES, errors, options), stacked, x, y, options), every=1000
    )
    unstacked = [jax.tree.map(lambda leaf, i=i: leaf[i], ended) for i in range(len(WIDTHS))]
    found = {}
    for name, nets in (("closed form", begun), ("tuned", unstacked)):
        found |= {(name, w): rmse(p, *held) for w, p in zip(WIDTHS, nets, strict=True)}
    best = {
        name: min(WIDTHS, key=lambda width: found[name, width]) for name in ("closed form", "tuned")
    }
    # With its width chosen, each learns from all 500 rows.
    nets = {name: closed_form(SERIES, split.x, split.y, key, width) for name, width in best.items()}
    whole = SERIES._replace(batch=len(split.x))
    nets["tuned"], more = tuned(
        *(whole, learner(whole, squared(whole), options), nets["tuned"], split.x, split.y, options),
        every=1000,
    )
    history = [{"width_chosen": 0, **row} for row in history]
    history += [{"width_chosen": 1, **row} for row in more]
    widths = {f"series_width_{name.replace(' ', '_')}": width for name, width in best.items()}
    return nets, split, widths | {"series_validation_rmse": min(found.values())}, history


def patients(options: Options) -> dict[str, float]:
    """Mean R2 over the folds: closed form, tuned, and ridge regression on the measurements."""
    scores = {"closed_form": [], "tuned": [], "ridge": []}
    learns = learner(PATIENTS, squared(PATIENTS), options)
    for fold in data.diabetes():
        means, deviations = fold.x.mean(0, keepdims=True), fold.x.std(0, keepdims=True)
        x, test_x = (fold.x - means) / deviations, (fold.test_x - means) / deviations
        level, spread = fold.y.mean(), fold.y.std()
        y, test_y = ((fold.y - level) / spread)[:, None], (fold.test_y - level) / spread
        first = closed_form(PATIENTS, x, y, jax.random.key(options.seed))
        after, _ = tuned(PATIENTS, learns, first, x, y, options)
        for name, params in (("closed_form", first), ("tuned", after)):
            guess = np.asarray(PATIENTS.net()(params, jnp.asarray(test_x)))[:, 0]
            scores[name].append(float(r2_score(test_y, guess)))
        machine = RidgeCV(np.logspace(-1, 3, 25)).fit(x, y[:, 0])
        scores["ridge"].append(float(machine.score(test_x, test_y)))
    return {name: float(np.mean(each)) for name, each in scores.items()}


def digits(options: Options, split: data.Split) -> tuple[Any, np.ndarray, float, list]:
    """The network of digits, the chances [rows, 10], the closed form's accuracy, the history."""
    few = slice(FEW if options.quick else None)
    x, labels = split.x[few], split.y[few]
    y = np.eye(10, dtype=np.float32)[labels]
    first = closed_form(DIGITS, x, y, jax.random.key(options.seed))
    look = jax.jit(DIGITS.net())
    plain = float(nn.accuracy(look(first, split.test_x), jnp.asarray(split.test_y)))
    sharp = first | {"head": jax.tree.map(lambda leaf: SHARPNESS * leaf, first["head"])}
    learns = learner(DIGITS, cross_entropy, options)
    params, history = tuned(DIGITS, learns, sharp, x, labels, options, every=100)
    chances = np.asarray(jax.nn.softmax(look(params, split.test_x)))
    return params, chances, plain, history


def run(options: Options) -> Result:
    nets, split, found, history = series(options)
    closed, after = (rmse(nets[name], split.test_x, split.test_y) for name in nets)
    r2 = patients(options)
    rows = data.digits()
    params, chances, plain, learned = digits(options, rows)
    accuracy = float((chances.argmax(axis=1) == rows.test_y).mean())
    few = slice(FEW if options.quick else None)
    machine = SVC().fit(rows.x[few], rows.y[few]).score(rows.test_x, rows.test_y)
    right = chances[np.arange(len(chances)), rows.test_y]
    return Result(
        checks=(
            Check("series_rmse", after, SERIES_THRESHOLD, higher_is_better=False),
            Check("share_of_the_closed_form", after / closed, SHARE, higher_is_better=False),
            Check("r2_below_ridge", r2["ridge"] - r2["tuned"], BEHIND_RIDGE, False),
            Check("digits_accuracy", accuracy, DIGITS_THRESHOLD),
            Check("digits_below_machine", machine - accuracy, BEHIND_MACHINE, False),
        ),
        baseline="the closed form with its own best width",
        baseline_value=closed,
        steps=length(SERIES, options),
        parameters=nn.count_params(nets["tuned"]),
        metrics={
            **found,
            **{f"diabetes_r2_{name}": value for name, value in r2.items()},
            "digits_accuracy_closed_form": plain,
            "digits_accuracy_of_machine": float(machine),
            "digits_nats": float(-np.log(right).mean()),
            "digits_parameters": nn.count_params(params),
        },
        history=[{"task": 1, **row} for row in learned] + [{"task": 0, **row} for row in history],
        figures={
            "series": draw_series(nets, split),
            "digits": draw_digits(params, rows, chances),
        },
    )


# The pictures


def draw_series(nets: dict[str, Any], split: data.Split) -> Figure:
    """The series and its forecast, the errors, and the receptive fields of the centres."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    figure.suptitle("Mackey-Glass: six steps ahead, by 50 radial basis functions", fontsize=15)
    upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
    left, right = upper.subplots(1, 2, width_ratios=(3, 2))
    shown = slice(0, 150)
    left.plot(split.test_y[shown, 0], color="black", label="truth")
    for name, colour in (("closed form", "tab:orange"), ("tuned", "tab:blue")):
        guess = np.asarray(SERIES.net()(nets[name], jnp.asarray(split.test_x)))[:, 0]
        off = guess - split.test_y[:, 0]
        left.plot(guess[shown], color=colour, linestyle="--", linewidth=1, label=name)
        label = f"{name}: RMSE {np.sqrt(np.mean(off**2)):.4f}"
        right.hist(1e3 * off, bins=60, range=(-20, 20), color=colour, alpha=0.6, label=label)
    left.set(title="The first 150 steps of the test", xlabel="step", ylabel="x")
    left.legend()
    right.set(title="Errors", xlabel="forecast less truth (thousandths)", ylabel="rows of the test")
    right.legend()
    for axes, name in zip(lower.subplots(1, 2, sharex=True, sharey=True), nets, strict=True):
        hidden = nets[name]["rbf"]
        axes.scatter(split.x[:, 0], split.x[:, 3], s=4, color="gray", label="rows learned from")
        for centre, width in zip(hidden["centres"], jnp.exp(hidden["log_width"]), strict=True):
            angle = np.linspace(0, 2 * np.pi, 60)
            at = float(centre[0]) + width * np.cos(angle), float(centre[3]) + width * np.sin(angle)
            axes.plot(*at, color="tab:blue", linewidth=0.5, alpha=0.6)
        axes.scatter(
            *np.asarray(hidden["centres"])[:, [0, 3]].T, s=16, color="red", label="centres"
        )
        axes.set(
            title=f"Centres, and circles of one width: {name}", xlabel="x(t - 18)", ylabel="x(t)"
        )
        axes.set(xlim=(0, 1.7), ylim=(0, 1.7), aspect="equal")
        axes.legend(loc="lower right")
    return figure


def draw_digits(params: Any, rows: data.Split, chances: np.ndarray) -> Figure:
    """Centres with the class they speak for, and digits with the chances that they are given."""
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    figure.suptitle("Digits by 600 radial basis functions", fontsize=15)
    left, right = figure.subfigures(1, 2, squeeze=False)[0]
    left.suptitle("Centres, and the digit that each speaks for most")
    weights = np.asarray(params["head"]["w"])
    most = np.argsort(-np.abs(weights).max(axis=1))[:50]
    for axes, index in zip(left.subplots(5, 10).flat, most, strict=True):
        axes.imshow(np.asarray(params["rbf"]["centres"])[index].reshape(28, 28), cmap="gray_r")
        axes.set_title(str(weights[index].argmax()), fontsize=8)
        axes.axis("off")
    right.suptitle("The digits it is least sure of, and the two chances that are largest")
    unsure = np.argsort(chances.max(axis=1))[:20]
    for axes, index in zip(right.subplots(4, 5).flat, unsure, strict=True):
        first, second = np.argsort(-chances[index])[:2]
        axes.imshow(rows.test_x[index].reshape(28, 28), cmap="gray_r")
        said = (f"{each}: {100 * chances[index, each]:.0f} %" for each in (first, second))
        axes.set_title(f"truth {rows.test_y[index]}\n{', '.join(said)}", fontsize=8)
        axes.axis("off")
    return figure
