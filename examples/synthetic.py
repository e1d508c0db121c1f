"""Adversarial networks write rows of two medical and chemical tables that are nobody's.

For breast cancer and for wine, a generator that is told a class learns from the training rows alone
to write rows of it, against a Wasserstein critic with a gradient penalty that takes five steps to
its one. The rows are worth as much as what can be learned from them: a logistic regression fitted
to written rows alone is tested on real ones that nothing has seen, beside one fitted to the real
training rows, and beside one fitted to samples of a Gaussian for each class.

That rows are written and not copied shows in how far each lies from the nearest training row,
beside how far real test rows lie from it. Columns are standardised, by the training rows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import jaxnn as nn
from examples import Check, Options, Result, data

THRESHOLD, NEAR = 0.95, 0.75  # of the real rows' accuracy; of the distance of test rows
LATENT, WIDTH, CRITIC_STEPS, BATCH = 16, 128, 5, 120
STEPS, QUICK_STEPS, DRAWS = 3000, 100, 5  # DRAWS: tables written, over which scores are means
TABLES = {"breast_cancer": data.breast_cancer, "wine": data.wine}
SHOWN = {  # columns of the picture
    "breast_cancer": {0: "mean radius", 1: "mean texture", 3: "mean area", 24: "worst smoothness"},
    "wine": {0: "alcohol (%)", 4: "magnesium (mg/l)", 9: "colour intensity", 12: "proline (mg/l)"},
}


class Table(NamedTuple):
    """A split table in units of its training rows' deviations."""

    name: str
    rows: data.Split
    mean: np.ndarray
    deviation: np.ndarray
    classes: int


def read(name: str) -> Table:
    rows = TABLES[name]()
    mean, deviation = rows.x.mean(0), rows.x.std(0)
    scaled = rows._replace(x=(rows.x - mean) / deviation, test_x=(rows.test_x - mean) / deviation)
    return Table(name, scaled, mean, deviation, int(rows.y.max()) + 1)


def nets(table: Table) -> tuple[nn.Layer, nn.Layer]:
    generator = nn.mlp(WIDTH, WIDTH, table.rows.x.shape[1])
    critic = nn.mlp(WIDTH, WIDTH, 1, activation=jax.nn.leaky_relu)
    return nn.gan.class_conditional(generator, table.classes), nn.gan.class_conditional(
        critic, table.classes
    )


def penalty(critic, real, fake, key):
    return 10 * nn.gan.gradient_penalty(critic, real, fake, key)


def begin(table: Table, options: Options):
    """The generator of a table, the step, where it starts, and a batch."""
    pair = nets(table)
    rate = optax.cosine_decay_schedule(5e-4, QUICK_STEPS if options.quick else STEPS)
    rates = rate, lambda count: rate(count / CRITIC_STEPS)
    optimizers = [optax.adam(each, b1=0.5, b2=0.9) for each in rates]
    x = jax.ShapeDtypeStruct((BATCH, table.rows.x.shape[1]), jnp.float32)
    labels = jax.ShapeDtypeStruct((BATCH,), jnp.int32)
    z = jax.ShapeDtypeStruct((BATCH, LATENT), jnp.float32)
    key = jax.random.key(options.seed)
    train = nn.gan.init_train(pair, optimizers, key, (z, labels), (x, labels))
    losses = nn.gan.losses(pair, LATENT, nn.gan.wasserstein, penalty)
    step = nn.gan.step(losses, optimizers, critic_steps=CRITIC_STEPS)
    return pair[0], step, train, (x, labels)


def plan(options: Options):
    _, step, train, batch = begin(read("breast_cancer"), options)
    return step, train, batch


class Written(NamedTuple):
    """Tables [draws, rows, columns] that were written, and what they are worth."""

    x: np.ndarray
    accuracy: float  # of what learned from them, on real test rows
    real_accuracy: float  # of what learned from the real training rows
    gaussian_accuracy: float
    distances: dict[str, np.ndarray]  # to the nearest training row, in deviations a column
    history: list[dict[str, float]]
    parameters: int

    @property
    def nearness(self) -> float:
        """How far written rows lie from training rows, in units of how far test rows do."""
        return float(np.median(self.distances["written"]) / np.median(self.distances["test"]))


def write(table: Table, options: Options) -> Written:
    generator, step, train, _ = begin(table, options)
    steps = QUICK_STEPS if options.quick else STEPS
    rows = table.rows
    end = nn.training.fit(
        step, train, (rows.x, rows.y), steps=steps, batch_size=BATCH, every=steps // 20
    )
    # As many rows of each class as there are real ones.
    key = jax.random.key(2000 + options.seed)
    z = jax.random.normal(key, (DRAWS, len(rows.y), LATENT))
    x = np.stack([np.asarray(nn.gan.sample(generator, end.train, (each, rows.y))) for each in z])
    rng = np.random.default_rng(options.seed)
    simple = [gaussian(rng, rows.x, rows.y) for _ in range(DRAWS)]
    return Written(
        x,
        float(np.mean([score(each, rows) for each in x])),
        score(rows.x, rows),
        float(np.mean([score(each, rows) for each in simple])),
        {
            "written": nearest(x.reshape(-1, x.shape[-1]), rows.x),
            "test": nearest(rows.test_x, rows.x),
        },
        end.history,
        nn.count_params(train.generator.params) + nn.count_params(train.discriminator.params),
    )


def run(options: Options) -> Result:
    tables = {name: read(name) for name in TABLES}
    written = {name: write(table, options) for name, table in tables.items()}
    checks = [
        Check(f"{name}_ratio", each.accuracy / each.real_accuracy, THRESHOLD)
        for name, each in written.items()
    ]
    checks += [Check(f"{name}_nearness", each.nearness, NEAR) for name, each in written.items()]
    metrics = {}
    for name, each in written.items():
        metrics |= {
            f"{name}_accuracy": each.accuracy,
            f"{name}_real_accuracy": each.real_accuracy,
            f"{name}_gaussian_ratio": each.gaussian_accuracy / each.real_accuracy,
            f"{name}_least_distance": float(each.distances["written"].min()),
            f"{name}_least_test_distance": float(each.distances["test"].min()),
        }
    first = written["breast_cancer"]
    return Result(
        checks=tuple(checks),
        baseline="a Gaussian for each class",
        baseline_value=metrics["breast_cancer_gaussian_ratio"],
        steps=QUICK_STEPS if options.quick else STEPS,
        parameters=first.parameters,
        metrics=metrics,
        history=first.history,
        figures={
            "marginals": marginals(tables, written),
            "distances": distances(written),
        },
    )


def score(x: np.ndarray, rows: data.Split) -> float:
    """The accuracy on real test rows of a logistic regression that learned from x alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, rows.y)
    return float(model.score(rows.test_x, rows.test_y))


def gaussian(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Samples of a Gaussian fitted to each class, with the labels y."""
    drawn = np.empty_like(x)
    for label in np.unique(y):
        own = x[y == label].astype(np.float64)
        drawn[y == label] = rng.multivariate_normal(
            own.mean(0), np.cov(own, rowvar=False), len(own), method="eigh"
        )
    return drawn


def nearest(x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How far each row lies from the nearest known one: the root of the mean over columns."""
    return np.array([np.sqrt(np.square(known - row).mean(1).min()) for row in x])


def marginals(tables: dict[str, Table], written: dict[str, Written]) -> Figure:
    """Columns of both tables, written over real."""
    figure = Figure(figsize=(14, 7), layout="constrained")
    figure.suptitle("Columns of written rows over those of the real training rows, as measured")
    axes = figure.subplots(len(tables), 4)
    for line, (name, table) in zip(axes, tables.items(), strict=True):
        for each, (column, title) in zip(line, SHOWN[name].items(), strict=True):
            scale = table.mean[column], table.deviation[column]
            real = table.rows.x[:, column] * scale[1] + scale[0]
            ours = written[name].x[..., column].ravel() * scale[1] + scale[0]
            low, high = np.quantile(np.concatenate([real, ours]), (0.002, 0.998))
            bins = np.linspace(low, high, 25)
            each.hist(real, bins, density=True, color="silver", label="real")
            each.hist(ours, bins, density=True, histtype="step", linewidth=2, label="written")
            each.set(xlabel=f"{name.replace('_', ' ')}: {title}", yticks=[])
        line[0].set_ylabel("density")
    axes[0, 0].legend()
    return figure


def distances(written: dict[str, Written]) -> Figure:
    """How far rows lie from the nearest training row, written beside real ones."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    figure.suptitle(
        "How far written and real test rows lie from the nearest training row: a copy has 0"
    )
    for axes, (name, each) in zip(figure.subplots(1, 2), written.items(), strict=True):
        bins = np.linspace(0, np.quantile(each.distances["test"], 0.99) * 1.2, 30)
        for title, values in each.distances.items():
            axes.hist(values, bins, density=True, alpha=0.6, label=f"{title} rows")
        axes.set(
            title=name.replace("_", " "),
            xlabel="distance to the nearest training row (deviations, root mean square of columns)",
            ylabel="density",
        )
        axes.legend()
    return figure
