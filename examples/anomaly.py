"""An autoencoder of normal sensor readings detects anomalies of a space shuttle.

It compresses nine sensors into three numbers and is trained on normal rows only, so rows that it
cannot reconstruct are not normal. The score of a row is the sum of the squared errors of its
sensors, each divided by its mean over the training rows. The tails of the readings are a thousand
times as wide as their bulk: readings are first scaled by their median and quartiles, then
compressed by asinh, which is logarithmic far out. The sizes, the number of steps and the threshold
of the score were chosen on validation rows; no choice was made on the test rows. An isolation
forest is trained on the same rows and gets its threshold in the same way.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from sklearn.ensemble import IsolationForest
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD = 0.99  # area under the receiver operating characteristic
SENSORS = 9
CODE = 3  # numbers that a row is compressed into
WIDTH = 32  # of the two hidden layers on each side of the code
RATE = 3e-3  # the learning rate at the start
BATCH = 256
STEPS = 3000
QUICK_STEPS = 300

encoder, decoder = nn.autoencoder.dense_coder(SENSORS, CODE, WIDTH, WIDTH, activation=jax.nn.tanh)
net = nn.autoencoder.plain_autoencoder(encoder, decoder)
loss = nn.autoencoder.reconstruction(net)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, length(options)))
    x = jax.ShapeDtypeStruct((BATCH, SENSORS), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, x


def scaled(x: np.ndarray):
    """A function that scales readings by the median and quartiles of x, and compresses them."""
    low, middle, high = np.percentile(x, [25, 50, 75], axis=0, keepdims=True)
    spread = np.maximum(high - low, 1)  # a sensor may be constant three quarters of the time
    return lambda x: np.arcsinh((x - middle) / spread).astype(np.float32)


def threshold(scores: np.ndarray, y: np.ndarray) -> float:
    """The lowest score that is called an anomaly: the one with the best F1 on these rows."""
    precision, recall, thresholds = precision_recall_curve(y, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1[:-1].argmax()])


def judged(scores: np.ndarray, y: np.ndarray, limit: float) -> dict[str, float]:
    """The recall, precision and F1 of calling scores of `limit` and above anomalies."""
    called = scores >= limit
    found, alarms = float((called & (y == 1)).sum()), float(called.sum())
    recall, precision = found / float(y.sum()), found / max(alarms, 1.0)
    return {"recall": recall, "precision": precision, "f1": 2 * found / (alarms + float(y.sum()))}


class Detector(NamedTuple):
    """The scores [rows] of the test rows, the threshold, and the area under the curve."""

    scores: np.ndarray
    threshold: float
    area: float


def tested(shuttle: data.Shuttle, score: Callable[[np.ndarray], np.ndarray]) -> Detector:
    """Choose the threshold of a score on the validation rows, and score the test rows."""
    limit = threshold(score(shuttle.validation_x), shuttle.validation_y)
    scores = score(shuttle.test_x)
    return Detector(scores, limit, float(roc_auc_score(shuttle.test_y, scores)))


def learned(options: Options, x: np.ndarray):
    """(the score of rows by an autoencoder that was trained on the rows x, the run of `fit`)."""
    scale = scaled(x)
    step, train, _ = plan(options)
    steps = length(options)
    end = nn.training.fit(step, train, scale(x), steps=steps, batch_size=BATCH, every=100)

    def errors(x):
        rows = jnp.asarray(scale(x))
        return np.square(np.asarray(net(end.train.params, rows) - rows))

    usual = errors(x).mean(axis=0, keepdims=True)
    return lambda x: (errors(x) / usual).sum(axis=1), end


def run(options: Options) -> Result:
    shuttle = data.shuttle()
    score, end = learned(options, shuttle.x)
    forest = IsolationForest(random_state=0).fit(shuttle.x)
    detectors = {
        "autoencoder": tested(shuttle, score),
        "isolation forest": tested(shuttle, lambda x: -forest.score_samples(x)),
    }
    reports = [judged(each.scores, shuttle.test_y, each.threshold) for each in detectors.values()]
    return Result(
        checks=(Check("auroc", detectors["autoencoder"].area, THRESHOLD),),
        baseline="isolation forest of scikit-learn, trained on the same normal rows",
        baseline_value=detectors["isolation forest"].area,
        steps=length(options),
        parameters=nn.count_params(end.train.params),
        metrics={"alarm_threshold": detectors["autoencoder"].threshold}
        | reports[0]
        | {f"{title}_isolation_forest": value for title, value in reports[1].items()},
        history=end.history,
        figures={"anomalies": draw(detectors, shuttle.test_y)},
    )


def draw(detectors: dict[str, Detector], y: np.ndarray) -> Figure:
    """The scores of the test rows with their thresholds, and the curves of both detectors."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    figure.suptitle(
        f"{len(y)} readings of a space shuttle, {y.sum()} of them anomalies", fontsize=15
    )
    *both, curves = figure.subplots(1, 3)
    for axes, (title, (scores, limit, area)) in zip(both, detectors.items(), strict=True):
        wide = title == "autoencoder"
        spaced = np.geomspace if wide else np.linspace
        bins = spaced(scores.min(), scores.max(), 60)
        for kind, name, color in ((0, "normal", "tab:blue"), (1, "anomaly", "tab:red")):
            axes.hist(scores[y == kind], bins, alpha=0.6, color=color, label=name)
        axes.axvline(limit, color="black", ls="--", label="threshold (validation)")
        axes.set(yscale="log", xscale="log" if wide else "linear", ylabel="readings")
        axes.set_ylim(0.7, 3e4)  # leaves room for the legend
        axes.set(title=f"Score of the {title}", xlabel="score (higher is less normal)")
        axes.legend(loc="upper left")
        false, true, _ = roc_curve(y, scores)
        curves.plot(false, true, label=f"{title}: area {area:.4f}")
    curves.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 1.02), title="Anomalies against false alarms")
    curves.set(xlabel="false positive rate", ylabel="true positive rate")
    curves.legend(loc="lower right")
    return figure
