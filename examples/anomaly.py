"""An autoencoder of normal sensor readings finds a space shuttle's anomalies, beside a forest.

It learns nine sensors through a code of three numbers, from normal rows alone; what it cannot give
back is not normal. The score is the sum of the sensors' squared errors, each over its mean on the
rows that were learned from. Readings have tails a thousand times as wide as the bulk, so they are
first scaled by median and quartiles, and then squeezed by asinh, which is a logarithm far out.
Code, width and steps were chosen, as the threshold is, on validation rows; the test rows chose
nothing. The isolation forest sees the same rows and gets its threshold in the same way.
"""

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
SENSORS, CODE, WIDTH = 9, 3, 32
BATCH, STEPS, QUICK_STEPS = 256, 3000, 300

encoder, decoder = nn.autoencoder.dense_coder(SENSORS, CODE, WIDTH, WIDTH, activation=jax.nn.tanh)
net = nn.autoencoder.plain_autoencoder(encoder, decoder)
loss = nn.autoencoder.reconstruction(net)


def length(options: Options) -> int:
    return QUICK_STEPS if options.quick else STEPS


def plan(options: Options):
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, length(options)))
    x = jax.ShapeDtypeStruct((BATCH, SENSORS), jnp.float32)
    train = nn.training.init_train(net, optimizer, jax.random.key(options.seed), x)
    return nn.training.step(loss, optimizer), train, x


def scaled(x: np.ndarray):
    """A function that scales readings by the median and the quartiles of these, and squeezes."""
    low, middle, high = np.percentile(x, [25, 50, 75], axis=0, keepdims=True)
    spread = np.maximum(high - low, 1)  # a sensor that stands still three quarters of the time
    return lambda x: np.arcsinh((x - middle) / spread).astype(np.float32)


def threshold(scores: np.ndarray, y: np.ndarray) -> float:
    """The score from which on a row is called an anomaly, that of the best F1 on these rows."""
    precision, recall, least = precision_recall_curve(y, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(least[f1[:-1].argmax()])


def judged(scores: np.ndarray, y: np.ndarray, least: float) -> dict[str, float]:
    """What comes of a threshold: the share of anomalies found, of alarms that are right, and F1."""
    found, called = float(((scores >= least) & (y == 1)).sum()), float((scores >= least).sum())
    recall, precision = found / float(y.sum()), found / max(called, 1.0)
    return {"recall": recall, "precision": precision, "f1": 2 * found / (called + float(y.sum()))}


def run(options: Options) -> Result:
    shuttle = data.shuttle()
    scale = scaled(shuttle.x)
    step, train, _ = plan(options)
    end = nn.training.fit(
        step, train, scale(shuttle.x), steps=length(options), batch_size=BATCH, every=100
    )

    def errors(x):
        rows = jnp.asarray(scale(x))
        return np.square(np.asarray(net(end.train.params, rows) - rows))

    usual = errors(shuttle.x).mean(axis=0, keepdims=True)
    forest = IsolationForest(random_state=0).fit(shuttle.x)
    scorers = {
        "autoencoder": lambda x: (errors(x) / usual).sum(axis=1),
        "isolation forest": lambda x: -forest.score_samples(x),
    }
    areas, reports, tests, least = {}, {}, {}, {}
    for title, score in scorers.items():
        least[title] = threshold(score(shuttle.validation_x), shuttle.validation_y)
        tests[title] = score(shuttle.test_x)
        areas[title] = float(roc_auc_score(shuttle.test_y, tests[title]))
        reports[title] = judged(tests[title], shuttle.test_y, least[title])
    return Result(
        checks=(Check("auroc", areas["autoencoder"], THRESHOLD),),
        baseline="isolation forest of scikit-learn, on the same normal rows",
        baseline_value=areas["isolation forest"],
        steps=length(options),
        parameters=nn.count_params(train.params),
        metrics={"alarm_threshold": least["autoencoder"]}
        | reports["autoencoder"]
        | {f"{title}_isolation_forest": v for title, v in reports["isolation forest"].items()},
        history=end.history,
        figures={"anomalies": draw(tests, least, areas, shuttle.test_y)},
    )


def draw(tests, least, areas, y) -> Figure:
    """Both scores of the test rows with their thresholds, and both curves."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    figure.suptitle(
        f"{len(y)} readings of a space shuttle, {y.sum()} of them anomalies", fontsize=15
    )
    *both, curves = figure.subplots(1, 3)
    for axes, (title, scores) in zip(both, tests.items(), strict=True):
        wide = title == "autoencoder"
        spaced = np.geomspace if wide else np.linspace
        bins = spaced(scores.min(), scores.max(), 60)
        for kind, name, colour in ((0, "normal", "tab:blue"), (1, "anomaly", "tab:red")):
            axes.hist(scores[y == kind], bins, alpha=0.6, color=colour, label=name)
        axes.axvline(least[title], color="black", ls="--", label="threshold (validation)")
        axes.set(yscale="log", xscale="log" if wide else "linear", ylabel="readings")
        axes.set_ylim(0.7, 3e4)  # with room for the legend
        axes.set(title=f"Score of the {title}", xlabel="score (higher is stranger)")
        axes.legend(loc="upper left")
        false, true, _ = roc_curve(y, scores)
        curves.plot(false, true, label=f"{title}: area {areas[title]:.4f}")
    curves.set(xscale="log", xlim=(1e-4, 1), ylim=(0, 1.02), title="Anomalies against false alarms")
    curves.set(xlabel="share of the normal readings called strange")
    curves.set(ylabel="share of the anomalies found")
    curves.legend(loc="lower right")
    return figure
