"""A small network predicts the progress of diabetes, beside ridge regression on the same folds.

442 patients and ten measurements each: with so few rows a network has to be held back more than it
has to be large. Two hidden layers of 16, ten of them side by side (`nn.ensemble`) whose predictions
are averaged, and AdamW, whose weight decay is the counterpart of ridge's alpha. Like that one it is
chosen anew inside each training fold, by five inner folds: the rows of a test fold choose nothing
for it. Width, activation and steps are fixed here; they were compared on such inner folds as well.
"""

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

THRESHOLD, BEHIND = 0.46, 0.01  # mean R2 over the folds, and how far it may be below ridge's
MEMBERS, BATCH, STEPS, QUICK_STEPS = 10, 64, 400, 200
DECAYS = (1.0, 3.0, 10.0)


def rows_first(y: jax.Array) -> jax.Array:
    """[members, rows, 1] -> [rows, members, 1]: what follows takes a mean over rows."""
    return jnp.moveaxis(y, 0, 1)


def of_members(prediction: jax.Array, target: jax.Array) -> jax.Array:
    return nn.mse(prediction, jnp.broadcast_to(target[:, None], prediction.shape))


def of_mean(prediction: jax.Array, target: jax.Array) -> jax.Array:
    return nn.mse(prediction.mean(axis=1), target)


net = nn.serial(nn.ensemble(nn.mlp(16, 16, 1, activation=jax.nn.tanh), MEMBERS), rows_first)
loss = nn.training.supervised(net, of_members, {"mse": of_mean})


def adamw(decay: float) -> optax.GradientTransformation:
    # With its numbers in its state, one compiled step serves every decay.
    return optax.inject_hyperparams(optax.adamw)(learning_rate=1e-3, weight_decay=decay)


step = nn.training.step(loss, adamw(DECAYS[0]))


def plan(options: Options, decay: float = 3.0):
    x = jax.ShapeDtypeStruct((BATCH, 10), jnp.float32)
    y = jax.ShapeDtypeStruct((BATCH, 1), jnp.float32)
    return step, nn.training.init_train(net, adamw(decay), jax.random.key(options.seed), x), (x, y)


def learn(options: Options, x, y, decay: float, every: int) -> nn.training.FitResult:
    _, train, _ = plan(options, decay)
    steps = QUICK_STEPS if options.quick else STEPS
    return nn.training.fit(
        step, train, (x, y), steps=steps, batch_size=BATCH, every=every, progress=False
    )


def choose(options: Options, x: np.ndarray, y: np.ndarray) -> float:
    """The weight decay with the lowest error over five folds of these rows alone."""
    errors = []
    for decay in DECAYS:
        errors.append(0.0)
        for some, rest in KFold(5, shuffle=True, random_state=0).split(x):
            (inner_x, inner_y), scale = standard(x[some], y[some])
            end = learn(options, inner_x, inner_y, decay, every=STEPS)
            held = scale(x[rest], y[rest])
            errors[-1] += nn.training.evaluate(loss, end.train, held, batch_size=len(rest))["mse"]
    return DECAYS[int(np.argmin(errors))]


def standard(x: np.ndarray, y: np.ndarray):
    """Rows with mean 0 and deviation 1 in every column, and the function that did it."""
    mean_x, mean_y = x.mean(axis=0, keepdims=True), y.mean()
    deviation_x, deviation_y = x.std(axis=0, keepdims=True), y.std()

    def scale(x, y):
        return (x - mean_x) / deviation_x, ((y - mean_y) / deviation_y)[:, None]

    return scale(x, y), scale


def run(options: Options) -> Result:
    measured, predicted, scores, ridge_scores, decays, history = [], [], [], [], [], []
    for number, fold in enumerate(data.diabetes()):
        (x, y), scale = standard(fold.x, fold.y)
        test_x, test_y = scale(fold.test_x, fold.test_y)
        decays.append(3.0 if options.quick else choose(options, fold.x, fold.y))
        end = learn(options, x, y, decays[-1], every=20)
        guess = np.asarray(net(end.train.params, jnp.asarray(test_x)).mean(axis=1))
        scores.append(float(r2_score(test_y, guess)))
        ridge = RidgeCV(np.logspace(-1, 3, 25)).fit(x, y[:, 0])
        ridge_scores.append(float(ridge.score(test_x, test_y[:, 0])))
        history += [{"fold": number, **row} for row in end.history]
        measured.append(fold.test_y)
        predicted.append(guess[:, 0] * fold.y.std() + fold.y.mean())
    mean, ridge_mean = float(np.mean(scores)), float(np.mean(ridge_scores))
    return Result(
        checks=(
            Check("r2", mean, THRESHOLD),
            Check("r2_below_ridge", ridge_mean - mean, BEHIND, higher_is_better=False),
        ),
        baseline="ridge regression, its alpha chosen by leaving one out",
        baseline_value=ridge_mean,
        steps=QUICK_STEPS if options.quick else STEPS,
        parameters=sum(leaf.size for leaf in jax.tree.leaves(plan(options)[1].params)),
        metrics={f"r2_fold_{i}": score for i, score in enumerate(scores)}
        | {f"ridge_r2_fold_{i}": score for i, score in enumerate(ridge_scores)}
        | {f"weight_decay_fold_{i}": decay for i, decay in enumerate(decays)},
        history=history,
        figures={"folds": draw(measured, predicted, scores, ridge_scores)},
    )


def draw(measured, predicted, scores, ridge_scores) -> Figure:
    """Every patient as predicted by the network that never saw them, and the score of each fold."""
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    figure.suptitle("Progress of diabetes in the year after ten measurements", fontsize=15)
    left, right = figure.subplots(1, 2)
    for number, (truth, guess) in enumerate(zip(measured, predicted, strict=True)):
        left.scatter(truth, guess, s=16, alpha=0.7, label=f"fold {number}")
    ends = [0, 360]
    left.plot(ends, ends, color="black", lw=1, label="perfect")
    left.set(title="Patients the network never saw", xlim=ends, ylim=ends, aspect="equal")
    left.set(xlabel="measured progress (score)", ylabel="predicted progress (score)")
    left.legend(fontsize=8)
    place = np.arange(len(scores) + 1)
    for shift, title, values, colour in (
        (-0.2, "networks", scores, "tab:blue"),
        (0.2, "ridge regression", ridge_scores, "0.6"),
    ):
        bars = right.bar(place + shift, [*values, np.mean(values)], 0.4, label=title, color=colour)
        right.bar_label(bars, fmt="%.3f", fontsize=8)
    right.axhline(
        THRESHOLD, color="tab:red", lw=1, ls="--", label=f"the bar for the mean, {THRESHOLD}"
    )
    right.set_xticks(place, [*(f"fold {i}" for i in range(len(scores))), "mean"])
    right.set(title="Explained on each test fold", ylabel="R² (share of the variance)")
    right.set_ylim(0, 0.8)
    right.legend(fontsize=8)
    return figure
