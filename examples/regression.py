"""A small network predicts the progress of diabetes, compared with ridge regression.

There are 442 patients with ten measurements each. With so few rows, regularization matters more
than size: ten networks with two hidden layers of 16 are trained side by side (`nn.ensemble`) with
AdamW, and their predictions are averaged. The weight decay is the counterpart of ridge's alpha. As
ridge does with alpha, it is chosen within each training fold, here by five inner folds, so that the
rows of a test fold influence no choice of it. Width, activation and number of steps are fixed; they
were compared on such inner folds as well.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.46  # the mean R² over the folds
BEHIND = 0.01  # how far that mean may be below ridge regression's
MEMBERS = 10  # networks that are averaged
RATE = 1e-3  # the learning rate
DECAYS = (1.0, 3.0, 10.0)  # the weight decays to choose from
USUAL_DECAY = 3.0  # where none is chosen
BATCH = 64
STEPS = 400
QUICK_STEPS = 200


def rows_first(y: jax.Array) -> jax.Array:
    """[members, rows, 1] -> [rows, members, 1], because the loss is a mean over leading rows."""
    return jnp.moveaxis(y, 0, 1)


def of_members(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """The mean squared error of the members, each by itself."""
    return nn.mse(prediction, jnp.broadcast_to(target[:, None], prediction.shape))


def of_mean(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """The mean squared error of the averaged prediction."""
    return nn.mse(prediction.mean(axis=1), target)


net = nn.serial(nn.ensemble(nn.mlp(16, 16, 1, activation=jax.nn.tanh), MEMBERS), rows_first)
loss = nn.training.supervised(net, of_members, {"mse": of_mean})


def adamw(decay: float) -> optax.GradientTransformation:
    # The hyperparameters are part of the optimizer's state, so one compiled step serves all decays.
    return optax.inject_hyperparams(optax.adamw)(learning_rate=RATE, weight_decay=decay)


step = nn.training.step(loss, adamw(DECAYS[0]))


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options, decay: float = USUAL_DECAY):
    x = jax.ShapeDtypeStruct((BATCH, 10), jnp.float32)
    y = jax.ShapeDtypeStruct((BATCH, 1), jnp.float32)
    return step, nn.training.init_train(net, adamw(decay), jax.random.key(options.seed), x), (x, y)


def learn(options: Options, x, y, decay: float, every: int) -> nn.training.FitResult:
    _, train, _ = plan(options, decay)
    steps = length(options)
    return nn.training.fit(
        step, train, (x, y), steps=steps, batch_size=BATCH, every=every, progress=False
    )


def choose(options: Options, x: np.ndarray, y: np.ndarray) -> float:
    """The weight decay with the lowest error over five folds of these rows."""
    errors = []
    for decay in DECAYS:
        errors.append(0.0)
        for some, rest in KFold(5, shuffle=True, random_state=0).split(x):
            (inner_x, inner_y), scale = standard(x[some], y[some])
            end = learn(options, inner_x, inner_y, decay, every=STEPS)
            test = scale(x[rest], y[rest])
            errors[-1] += nn.training.evaluate(loss, end.train, test, batch_size=len(rest))["mse"]
    return DECAYS[int(np.argmin(errors))]


def standard(x: np.ndarray, y: np.ndarray):
    """Rows with mean 0 and standard deviation 1 in every column, and the function that scales."""
    mean_x, mean_y = x.mean(axis=0, keepdims=True), y.mean()
    deviation_x, deviation_y = x.std(axis=0, keepdims=True), y.std()

    def scale(x, y):
        return (x - mean_x) / deviation_x, ((y - mean_y) / deviation_y)[:, None]

    return scale(x, y), scale


class Fold(NamedTuple):
    """The results of a fold.

    truth, predicted: [rows], the progress of its test patients, as measured and as predicted.
    r2, ridge_r2: the scores of the network and of ridge regression on these patients.
    decay: the weight decay that was chosen.
    history: the rows of `fit`.
    """

    truth: np.ndarray
    predicted: np.ndarray
    r2: float
    ridge_r2: float
    decay: float
    history: list[dict[str, float]]


def evaluated(options: Options, fold: data.Split) -> Fold:
    """Train on the training rows of a fold and measure on its test rows."""
    (x, y), scale = standard(fold.x, fold.y)
    test_x, test_y = scale(fold.test_x, fold.test_y)
    decay = USUAL_DECAY if options.quick else choose(options, fold.x, fold.y)
    end = learn(options, x, y, decay, every=20)
    guess = np.asarray(net(end.train.params, jnp.asarray(test_x)).mean(axis=1))
    ridge = RidgeCV(np.logspace(-1, 3, 25)).fit(x, y[:, 0])
    return Fold(
        truth=fold.test_y,
        predicted=guess[:, 0] * fold.y.std() + fold.y.mean(),
        r2=float(r2_score(test_y, guess)),
        ridge_r2=float(ridge.score(test_x, test_y[:, 0])),
        decay=decay,
        history=end.history,
    )


def run(options: Options) -> Result:
    folds = [evaluated(options, fold) for fold in data.diabetes()]
    mean = float(np.mean([fold.r2 for fold in folds]))
    ridge_mean = float(np.mean([fold.ridge_r2 for fold in folds]))
    _, train, _ = plan(options)
    return Result(
        checks=(
            Check("r2", mean, THRESHOLD),
            Check("r2_below_ridge", ridge_mean - mean, BEHIND, higher_is_better=False),
        ),
        baseline="ridge regression, its alpha chosen by leave-one-out",
        baseline_value=ridge_mean,
        steps=length(options),
        parameters=nn.count_params(train.params),
        metrics={f"r2_fold_{i}": fold.r2 for i, fold in enumerate(folds)}
        | {f"ridge_r2_fold_{i}": fold.ridge_r2 for i, fold in enumerate(folds)}
        | {f"weight_decay_fold_{i}": fold.decay for i, fold in enumerate(folds)},
        history=[{"fold": i, **row} for i, fold in enumerate(folds) for row in fold.history],
        figures={"folds": draw(folds)},
    )


def draw(folds: list[Fold]) -> Figure:
    """The prediction for each patient, made when it was in the test fold, and all scores."""
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    figure.suptitle("Progress of diabetes in the year after ten measurements", fontsize=15)
    left, right = figure.subplots(1, 2)
    for number, fold in enumerate(folds):
        left.scatter(fold.truth, fold.predicted, s=16, alpha=0.7, label=f"fold {number}")
    ends = [0, 360]
    left.plot(ends, ends, color="black", lw=1, label="perfect")
    left.set(title="Test patients", xlim=ends, ylim=ends, aspect="equal")
    left.set(xlabel="measured progress (score)", ylabel="predicted progress (score)")
    left.legend(fontsize=8)
    place = np.arange(len(folds) + 1)
    for shift, title, values, color in (
        (-0.2, "networks", [fold.r2 for fold in folds], "tab:blue"),
        (0.2, "ridge regression", [fold.ridge_r2 for fold in folds], "0.6"),
    ):
        bars = right.bar(place + shift, [*values, np.mean(values)], 0.4, label=title, color=color)
        right.bar_label(bars, fmt="%.3f", fontsize=8)
    label = f"threshold of the mean, {THRESHOLD}"
    right.axhline(THRESHOLD, color="tab:red", lw=1, ls="--", label=label)
    right.set_xticks(place, [*(f"fold {i}" for i in range(len(folds))), "mean"])
    right.set(title="Scores of the test folds", ylabel="R² (share of the variance explained)")
    right.set_ylim(0, 0.8)
    right.legend(fontsize=8)
    return figure
